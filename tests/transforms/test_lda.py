"""Topics as coordinates: likelihood is largest there, and counts add up."""

import pytest
import torch
from contract_runs import assert_close

from pyxai.transforms import LDATransform, trim

F64 = torch.float64
GENERATOR = torch.Generator().manual_seed(0)
TOPICS = torch.rand(3, 7, generator=GENERATOR, dtype=F64).pow(3)
TOPICS = TOPICS / TOPICS.sum(1, keepdim=True)


def test_expected_counts_are_found_again():
    counts = torch.tensor([[30.0, 5.0, 12.0], [1.0, 40.0, 8.0]], dtype=F64)
    lda = LDATransform.from_components(TOPICS)
    torch.testing.assert_close(lda(lda.inverse(counts)), counts, rtol=1e-4, atol=1e-3)


def test_the_likelihood_is_largest_there():
    x = torch.randint(0, 9, (4, 7), generator=GENERATOR).double()
    lda = LDATransform.from_components(TOPICS)
    found = lda(x)
    assert_close(found.sum(1), x.sum(1))  # topics add up to 1
    # Slopes of the likelihood: 0 where a topic has words, not up where it has none.
    slope = (x / (found @ TOPICS)) @ TOPICS.T - 1
    assert (slope * found).abs().max() < 1e-2
    assert slope.max() < 1e-2
    assert_close(torch.cat([lda(row[None]) for row in x]), found)


def test_fitted_topics_explain_a_model():
    shares = torch.rand(60, 3, generator=GENERATOR, dtype=F64)
    x = torch.poisson(100 * shares @ TOPICS, generator=GENERATOR)
    lda = LDATransform(3, seed=1).fit(x)
    assert_close(lda.components.sum(1), torch.ones(3, dtype=F64))
    assert torch.equal(lda.components, LDATransform(3, seed=1).fit(x).components)
    weights = torch.arange(7, dtype=F64)
    found = trim(lambda rows: rows @ weights, x[:5], transform=lda, method="input_x_gradient")
    assert_close(found.signed(), lda(x[:5]) * (lda.components @ weights))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lda: lda(-torch.ones(1, 7)), "inputs must be at least 0 for LDA, got -1"),
        (lambda lda: lda.fit(-torch.ones(2, 7)), "data must be at least 0 for LDA, got -1"),
        (lambda lda: lda.from_components(-TOPICS), "components must be at least 0 for LDA"),
        (lambda lda: lda.from_components(TOPICS, TOPICS[0]), "offset must be None for topics"),
        (lambda lda: LDATransform(2)(torch.ones(1, 7)), "transform must be fitted"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call(LDATransform.from_components(TOPICS))
