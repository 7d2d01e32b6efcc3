"""Contextual decomposition of a real pretrained transformer: 6 layers of BERT, groups of words."""

import torch
from contract_runs import assert_close
from pretrained_encoder import MARKS, classifier_and_words

from pyxai.decomposition import ContextualDecomposition

pytestmark = MARKS


def test_groups_of_words():
    model, words, mask = classifier_and_words()
    model.double()
    n_words = words.shape[1]
    spans = [range(0), range(n_words), range(2), range(2, 5)]
    groups = torch.tensor([[place in span for place in range(n_words)] for span in spans])[None]
    cd = ContextualDecomposition(model)
    found = cd.scores(words, groups, None, mask)
    assert not found[:, 0].any()
    assert_close(found[:, 1], model(words, mask).detach(), 1e-9)
    assert (found[:, 2] - found[:, 3]).abs().max() > 1e-3
    errors = cd.completeness_errors(words, groups, mask)
    assert max(error.error for error in errors) < 1e-10
    vectors = model.bert.embeddings.word_embeddings(words).detach()
    by_vectors = cd.scores(vectors, groups[..., None], None, mask)
    assert_close(by_vectors, found, 1e-9)
    for row in range(len(words)):
        alone = cd.scores(words[[row]], groups, None, mask[[row]])
        assert_close(alone[0], found[row], 1e-9)
