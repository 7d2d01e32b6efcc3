"""Linear maps of whole tensors, complex values and order statistics: parts that add up."""

import pytest
import torch
import torch.nn.functional as F
from deep_nets import Function

from pyxai import UnsupportedOperationError
from pyxai.decomposition import ContextualDecomposition

F64 = torch.float64
X = torch.tensor([[1, 2, -1, 0.5], [0.3, -0.7, 1.1, 2.2]], dtype=F64)
GROUPS = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1]], dtype=torch.bool)[None]
K = torch.tensor([1, -2, 0.5, 3], dtype=F64)
W = torch.tensor([[1, 0.5, -1, 2], [0.3, -1, 2, 0.4], [2, 1, 0.4, -0.6], [0.1, 0.7, -0.3, 1]])
W, GRID = W.double(), torch.full((1, 2, 2, 2), 0.3, dtype=F64)


def convolved(x):
    return torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(K), n=4)


def sampled(x):
    grid = GRID.expand(len(x), -1, -1, -1)
    return F.grid_sample(x.reshape(-1, 1, 2, 2), grid, align_corners=False).flatten(1)


def solved(x):
    return torch.linalg.solve(W, x.unsqueeze(-1)).squeeze(-1)


LINEAR = {
    "spectrum": convolved,
    "whole spectrum": lambda x: torch.fft.ifft(torch.fft.fft(x) * torch.fft.fft(K)).real,
    "Hermitian": lambda x: torch.fft.hfft(x.to(torch.complex128), n=4),
    "view as real": lambda x: torch.view_as_real(torch.fft.rfft(x)).flatten(1),
    "solve": solved,
    "solve on the right": lambda x: torch.linalg.solve(W, x, left=False),
    "grid": sampled,
}
OTHERS = {
    "biases of a spectrum": lambda x: torch.fft.irfft(torch.fft.rfft(x) + torch.fft.rfft(K), n=4),
    "rectified spectrum": lambda x: (convolved(x) + K).relu() @ W + K,
    "amplitudes": lambda x: torch.fft.rfft(x).abs(),
    "phases": lambda x: torch.fft.rfft(x).angle(),
    "solve and bias": lambda x: (solved(x) + K).relu() + K,
    "grid and bias": lambda x: (sampled(x) + K).relu(),
    "pairs": lambda x: (
        torch.view_as_real(torch.view_as_complex(x.reshape(-1, 2, 2)) + 1).flatten(1).relu()
    ),
    "put": lambda x: (x @ W).masked_fill(x < 0, 0.5),
    "between": lambda x: x * ((x > 0) & (K > 0)),
    "topk": lambda x: x.topk(2, 1)[0],
    "median": lambda x: x.median(1, keepdim=True)[0] * K,
    "kthvalue": lambda x: x.kthvalue(2, 1)[0].unsqueeze(1) * K,
    "cummax": lambda x: x.cummax(1)[0],
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "norms": lambda x: x.norm(torch.inf, dim=1, keepdim=True) + x.norm(1, dim=1, keepdim=True) * K,
    "distances": lambda x: torch.cdist(x, W),
}


@pytest.mark.parametrize("name", [*LINEAR, *OTHERS])
def test_parts_add_up_at_every_node(name):
    function = {**LINEAR, **OTHERS}[name]
    model = Function(lambda _, x: function(x) * 1.0)
    cd = ContextualDecomposition(model)
    assert max(error.error for error in cd.completeness_errors(X, GROUPS)) < 1e-12
    scores, output = cd.scores(X, GROUPS), model(X)
    assert scores[:, 0].abs().max() < 1e-12
    torch.testing.assert_close(scores[:, 1], output)
    if name in LINEAR:
        torch.testing.assert_close(scores[:, 2], model(X * GROUPS[0, 2]))


def test_what_has_no_rule_is_named_with_its_line():
    matrix = Function(
        lambda _, x: torch.linalg.solve(x.reshape(-1, 2, 2) + 5, x.unsqueeze(2)[:, :2]).flatten(1)
    )
    with pytest.raises(UnsupportedOperationError, match=rf"_linalg_solve_ex .*{__name__}\.py:\d+"):
        ContextualDecomposition(matrix).scores(X, GROUPS)
