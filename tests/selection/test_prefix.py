"""Selection with the first layer run once a round: the same numbers, fewer products."""

import hypothesis.strategies as st
import pytest
import torch
from first_layers import FirstLayerRows, LargeInParts, models, taken_always
from hypothesis import given, settings
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pyxai.game import linear_path
from pyxai.runner import path_noted
from pyxai.selection import greedy_feature_selection

WIDE = torch.float64
N, D = 25, 8

always = pytest.fixture(autouse=True)(taken_always)


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=WIDE)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # An affine map of an affine map, of which the first is run by itself.
        layers = [nn.Linear(D, 20), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3)]
    return nn.Sequential(*layers).to(WIDE).eval()


@pytest.fixture(scope="module")
def table(network):
    x = draws(N, D, seed=1)
    return x, network(2 * x + draws(N, D, seed=2)).argmax(1)


def both(model, data, **options):
    """Return selections by the path and directly, and which paths were taken for the first."""
    with path_noted() as paths:
        fast = greedy_feature_selection(model, data, **options)
    with path_noted() as none:
        direct = greedy_feature_selection(model, data, fast_path=False, **options)
    assert none == []
    return fast, direct, paths


@st.composite
def calls(draw):
    """Return how a call integrates, what loss, and in which rounds."""
    call = {"rounds": draw(st.sampled_from([1, 2, "geometric", "adaptive", [1, 2]]))}
    call["method"] = draw(st.sampled_from(["midpoint", "gausslegendre", "trapezoid", "start"]))
    call["n_steps"] = draw(st.integers(2, 4))
    call["absolute"] = draw(st.booleans())
    call["batch_size"] = draw(st.sampled_from([None, 1, 5]))
    losses = ["cross_entropy", lambda outputs, labels: (outputs[:, 0] - labels).square()]
    call["loss"] = draw(st.sampled_from(losses))
    if call["rounds"] != "adaptive" and draw(st.booleans()):
        call["shortlist"] = 2
    return call


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@settings(max_examples=25, deadline=None)
@given(question=models(masks=False), call=calls(), held=st.sampled_from([7, 2**20]))
def test_same_as_the_direct_way(question, call, held):
    model, x, start, _, alone = question
    start = start[:1] if isinstance(start, torch.Tensor) else start
    rows = torch.cat([x, 1.5 * x.flip(0) + 0.1, -x])
    mask = torch.arange(x[0].numel()).view(x.shape[1:]) % 4
    data = rows, torch.arange(len(rows)) % 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_path, "_MOST_HELD", held)
        fast, direct, paths = both(model, data, baselines=start, feature_mask=mask, **call)
    assert paths == ["linear prefix"] * alone
    scale = float(direct.scores.abs().max()) + 1e-3
    torch.testing.assert_close(fast.scores, direct.scores, rtol=0, atol=1e-11 * scale)
    assert fast.order.tolist() == direct.order.tolist()


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
    quick, plain, paths = both(network, table, **options)
    assert paths == ["linear prefix"]
    assert quick.order.tolist() == plain.order.tolist()
    assert quick.n_rows == plain.n_rows
    torch.testing.assert_close(quick.scores, plain.scores, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(quick.curve.values, plain.curve.values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_size", [9, N])
def test_batches_of_a_loader_do_not_matter(network, table, batch_size):
    loader = DataLoader(TensorDataset(*table), batch_size=batch_size)
    expected = greedy_feature_selection(network, table, curve=False, fast_path=False)
    with path_noted() as paths:
        found = greedy_feature_selection(network, loader, curve=False)
    assert paths == ["linear prefix"]
    assert found.order.tolist() == expected.order.tolist()
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-9, atol=1e-12)


def test_the_first_layer_runs_twice_a_round(network, table):
    call = {"rounds": 3, "n_steps": 8, "curve": False}
    greedy_feature_selection(network, table, **call)  # measured
    with FirstLayerRows(D) as direct:
        greedy_feature_selection(network, table, fast_path=False, **call)
    with FirstLayerRows(D) as once:
        greedy_feature_selection(network, table, **call)
    assert direct.rows >= 3 * 8 * N
    # Three rounds: at the selection, and at the rows.
    assert once.rows == 3 * 2 * N


class Noted(nn.Module):
    """What it is given first is detached, or its gradient is turned."""

    def __init__(self, network, before):
        super().__init__()
        self.network, self.before = network, before

    def forward(self, x):
        return self.network(self.before(x))


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize(
    "model",
    [
        lambda network: lambda x: network(x),
        lambda network: nn.Sequential(nn.Tanh(), network),
        lambda network: Noted(network, lambda x: x + (2 * x).detach()),
        lambda network: Noted(network, lambda x: x * (2.0 if x.requires_grad else 1.0)),
        lambda network: nn.Sequential(nn.BatchNorm1d(D, dtype=WIDE), network).train(),
    ],
)
def test_models_that_go_the_direct_way(network, table, model):
    fast, direct, paths = both(model(network), table, curve=False)
    network.eval()
    assert paths == []
    assert fast.order.tolist() == direct.order.tolist()
    assert torch.equal(fast.scores, direct.scores)


def test_several_inputs_go_the_direct_way():
    data = (draws(4, 2), draws(4, 2, seed=1)), torch.tensor([0, 1, 2, 0])
    _, _, paths = both(nn.Bilinear(2, 2, 3).to(WIDE), data)
    assert paths == []


def test_switch_is_checked(network, table):
    with pytest.raises(TypeError, match="fast_path must be True or False, got 'yes'"):
        greedy_feature_selection(network, table, fast_path="yes")


def test_a_model_that_changes_its_mind_is_asked_directly(network, table):
    fast, direct, paths = both(LargeInParts(network, 9).eval(), table, n_steps=8)
    assert paths == []
    assert fast.order.tolist() == direct.order.tolist()
    torch.testing.assert_close(fast.scores, direct.scores, rtol=1e-9, atol=1e-12)
