"""Groups that are any parts of the inputs, as TRIM's second form has them."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn

from pyxai.decomposition import BuildUp, ContextualDecomposition, RelevantInputs
from pyxai.transforms import FourierTransform, TransformedModel

F64 = torch.float64
X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0), dtype=F64)


def net():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(8, 9), nn.ReLU(), nn.Linear(9, 2)).double()


def bands():
    """Return the share of each of five frequencies in the signals, [3, 5, 8]."""
    fourier = FourierTransform(8)
    coefficients = fourier(X)
    kept = torch.eye(5, dtype=F64)[None, :, :, None] * coefficients[:, None]
    return fourier.inverse(kept)


def test_masks_are_a_case_of_it():
    cd, masks = ContextualDecomposition(net()), torch.rand(1, 4, 8) > 0.5
    expected = cd.parts(X, masks)
    for rows in (X[:, None] * masks, torch.zeros(3, 1, 8, dtype=F64), X[:, None]):
        found = cd.parts(X, RelevantInputs(rows))
        if rows.shape[1] == 4:
            assert_close(found.relevant, expected.relevant)
            assert_close(found.irrelevant, expected.irrelevant)
    assert not cd.scores(X, RelevantInputs(torch.zeros(1, 1, 8))).any()
    assert_close(cd.scores(X, RelevantInputs(X[:, None]))[:, 0], net()(X).detach())


def test_both_forms_of_trim_are_one():
    parts = bands()
    assert_close(parts.sum(1), X)  # complementary bands add up to the signal
    found = ContextualDecomposition(net()).scores(X, RelevantInputs(parts))
    fourier = FourierTransform(8)
    transformed = TransformedModel(net(), fourier, residual=False)
    coefficients, _ = transformed.split(X)
    masks = torch.eye(5).bool()[None, :, :, None]
    first = ContextualDecomposition(transformed).scores(coefficients, masks)
    assert_close(found, first)


def test_interactions_and_batches_and_errors_at_every_node():
    cd, parts = ContextualDecomposition(net()), RelevantInputs(bands())
    alone, pairs = cd.scores(X, parts, 1), cd.interactions(X, parts, 1)
    both = RelevantInputs(bands()[:, [0]] + bands()[:, [3]])
    assert_close(pairs[:, 0, 3], cd.scores(X, both, 1)[:, 0] - alone[:, 0] - alone[:, 3])
    assert_close(cd.scores(X, parts, 1, internal_batch_size=2), alone)
    assert max(error.error for error in cd.completeness_errors(X, parts)) < 1e-12
    values = bands()[:1].requires_grad_()

    def scores(values):
        return cd.scores(X[:1], RelevantInputs(values), create_graph=True)

    assert torch.autograd.gradcheck(scores, (values,))


def test_ties_are_shared_by_parts():
    layer = nn.Linear(4, 1).double()  # reads the black half of the image
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
        layer.bias.fill_(8.0)
    x = torch.tensor([[4.0, 4.0, 0.0, 0.0]], dtype=F64)
    part = torch.tensor([[[1.0, 3.0, 0.0, 0.0]]], dtype=F64)
    # 1 of 4 and 3 of 4 are the group's, so half of what is black.
    assert float(ContextualDecomposition(layer).scores(x, RelevantInputs(part))) == 4.0


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (torch.ones(3, 2, 7), ValueError, r"groups must have shape \[batch or 1, groups, 8\], got"),
        (torch.ones(3, 2, 1), ValueError, r"groups must have shape .*got \[3, 2, 1\]"),
        (torch.full((1, 1, 8), float("inf")), ValueError, "groups must be finite"),
        ((torch.ones(1, 1, 8),) * 2, ValueError, "groups must have 1 entries"),
        ("all", TypeError, "groups must be a tensor, got 'all'"),
    ],
)
def test_refusals(values, error, message):
    with pytest.raises(error, match=f"^{message}"):
        ContextualDecomposition(net()).scores(X, RelevantInputs(values))


def test_words_and_other_scorers_take_masks_alone():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(5, 2)

        def forward(self, x):
            return self.words(x).sum(1)

    with pytest.raises(TypeError, match=r"^groups must be masks for inputs of whole numbers"):
        ContextualDecomposition(Words()).scores(
            torch.ones(1, 3, dtype=torch.long), RelevantInputs(torch.ones(1, 1, 3))
        )
    with pytest.raises(TypeError, match=r"^groups must be a tensor, got"):
        BuildUp(net()).scores(X, RelevantInputs(bands()))
