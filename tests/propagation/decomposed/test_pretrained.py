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


def test_in_float32_as_in_float64():
    model, words, mask = classifier_and_words()
    words, mask = words[:2], mask[:2]
    n_words = words.shape[1]
    real = mask.bool()[:, None]
    spans = [range(0), range(n_words), range(n_words - 1), range(1), range(2, 5)]
    groups = torch.tensor([[place in span for place in range(n_words)] for span in spans])
    groups = torch.cat([groups[None] & torch.ones_like(real), real], 1)
    found = ContextualDecomposition(model).scores(words, groups, None, mask)
    outputs = model(words, mask).detach()
    assert not found[:, 0].any()
    # All words, and all but the padding that attention does not see, are the sentence.
    torch.testing.assert_close(found[:, 1], outputs, rtol=0, atol=5e-6)
    torch.testing.assert_close(found[:, -1], outputs, rtol=0, atol=5e-6)
    exact = ContextualDecomposition(model.double()).scores(words, groups, None, mask)
    torch.testing.assert_close(found, exact.float(), rtol=0, atol=3e-5)
