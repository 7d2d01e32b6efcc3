"""Selection with the affine first layers run once a round: the same numbers, fewer products."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from pyxai.selection import greedy_feature_selection

WIDE = torch.float64
N, D = 25, 8


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=WIDE)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # An affine map of an affine map: both belong to the first layers.
        layers = [nn.Linear(D, 20), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3)]
    return nn.Sequential(*layers).to(WIDE).eval()


@pytest.fixture(scope="module")
def table(network):
    x = draws(N, D, seed=1)
    return x, network(2 * x + draws(N, D, seed=2)).argmax(1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rounds": "geometric", "method": "gausslegendre", "n_steps": 3, "absolute": True},
        {"method": "start", "baselines": 0.5, "batch_size": 7},
        {"rounds": 2, "shortlist": 5, "epsilon": 1e-3, "method": "trapezoid"},
        {"rounds": "adaptive", "feature_mask": torch.arange(D) // 2},
        {"fields": [3, 1, 4], "loss": lambda outputs, labels: outputs[:, 0].square()},
        {"sample_size": 8, "max_sample_size": 24},
    ],
)
def test_scores_are_those_of_every_node(network, table, options):
    plain = greedy_feature_selection(network, table, **options)
    quick = greedy_feature_selection(network, table, affine_prefix=True, **options)
    assert quick.order.tolist() == plain.order.tolist()
    assert quick.n_rows == plain.n_rows
    torch.testing.assert_close(quick.scores, plain.scores, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(quick.curve.values, plain.curve.values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_size", [9, N])
def test_batches_of_a_loader_do_not_matter(network, table, batch_size):
    loader = DataLoader(TensorDataset(*table), batch_size=batch_size)
    expected = greedy_feature_selection(network, table, curve=False)
    found = greedy_feature_selection(network, loader, curve=False, affine_prefix=True)
    assert found.order.tolist() == expected.order.tolist()
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-9, atol=1e-12)


class Products(TorchDispatchMode):
    """Count the rows that the first layer is run on."""

    rows = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.addmm.default and args[1].shape[1] == D:
            self.rows += args[1].shape[0]
        return func(*args, **(kwargs or {}))


def test_the_first_layer_runs_twice_a_round(network, table):
    call = {"rounds": 3, "n_steps": 8, "curve": False}
    greedy_feature_selection(network, table, affine_prefix=True, **call)  # traced, measured
    with Products() as direct:
        greedy_feature_selection(network, table, **call)
    with Products() as once:
        greedy_feature_selection(network, table, affine_prefix=True, **call)
    assert direct.rows >= 3 * 8 * N
    # Three rounds: at the selection, and at the rows; and two rows in either way, to compare.
    assert once.rows == 3 * 2 * N + 2 + 2


@pytest.mark.parametrize(
    ("model", "inputs", "error", "message"),
    [
        (lambda x: x[:, :3], draws(4, D), TypeError, "model must be an nn.Module for affine_pre"),
        (nn.Tanh(), draws(4, D), ValueError, "model must start with affine layers"),
        (nn.Bilinear(2, 2, 3).to(WIDE), (draws(4, 2), draws(4, 2)), ValueError, "must be one tens"),
    ],
)
def test_models_without_affine_first_layers(model, inputs, error, message):
    labels = torch.tensor([0, 1, 2, 0])
    with pytest.raises(error, match=message):
        greedy_feature_selection(model, (inputs, labels), affine_prefix=True)
    with pytest.raises(TypeError, match="affine_prefix must be True or False, got 'yes'"):
        greedy_feature_selection(model, (inputs, labels), affine_prefix="yes")
