"""Greedy PIG with the first layer run once a round: the same numbers, fewer products."""

import copy
import warnings

import hypothesis.strategies as st
import pytest
import torch
from captum_peer import TwoInputs, conv, mlp, rows
from first_layers import FirstLayerRows, LargeInParts, models, taken_always
from hypothesis import given, settings
from torch import nn
from torch.utils.checkpoint import checkpoint

import pyxai
from pyxai.attribution import GreedyPIG
from pyxai.game import linear_path
from pyxai.runner import execution, path_noted
from pyxai.runner.split import part_model

WIDE = torch.float64

always = pytest.fixture(autouse=True)(taken_always)


def both(model, x, *args, ask="attribute", **call):
    """Return results by the path and directly, and which paths were taken for the first."""
    explainer = GreedyPIG(model)
    found = getattr(explainer, ask)
    with path_noted() as paths:
        fast = found(x, *args, **call)
    with path_noted() as none:
        direct = found(x, *args, fast_path=False, **call)
    assert none == []
    return fast, direct, paths


def assert_equal(fast, direct):
    scale = float(direct.abs().max()) + 1e-3
    torch.testing.assert_close(fast, direct, rtol=0, atol=1e-11 * scale)


@st.composite
def options(draw):
    """Return how a call integrates, what of, and in which rounds."""
    output = draw(st.sampled_from(["probability", "logit", "log_probability", "kl", "reverse_kl"]))
    call = {"output": output}
    call["method"] = draw(st.sampled_from(["midpoint", "gausslegendre", "trapezoid", "start"]))
    call["n_steps"] = draw(st.integers(2, 5))
    call["rounds"] = draw(st.sampled_from(["geometric", "adaptive", 2, [1, 2]]))
    call["internal_batch_size"] = draw(st.sampled_from([None, 1, 5]))
    call["softmax_aware"] = draw(st.booleans()) and call["method"] != "start"
    if call["method"] != "start" and draw(st.booleans()):
        call["tolerance"], call["max_steps"] = 1e-4, 16
    elif call["rounds"] != "adaptive" and draw(st.booleans()):
        call["shortlist"] = 2
    return call


@settings(max_examples=40, deadline=None)
@given(question=models(), call=options(), data=st.data())
def test_same_as_the_direct_way(question, call, data):
    model, x, start, mask, alone = question
    # What no round selects comes in the order of scores that may differ by rounding only.
    score = data.draw(st.sampled_from(["raw", "telescoped"]))
    target = data.draw(st.sampled_from([1, torch.arange(len(x)) % 3]))
    call |= {"scores": score, "target": target, "feature_mask": mask}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pyxai.PyxaiWarning)
        fast, direct, paths = both(model, x, start, **call)
        assert paths == ["linear prefix"] * alone
        assert_equal(fast, direct)
        call |= {"target": target if isinstance(target, int) else int(target[-1])}
        last = slice(len(x) - 1, None)
        each = start[last] if isinstance(start, torch.Tensor) and len(start) > 1 else start
        own = mask[last] if mask is not None and len(mask) > 1 else mask
        row = GreedyPIG(model).attribute(x[last], each, **{**call, "feature_mask": own})
    assert_equal(row, fast[last])


@settings(max_examples=20, deadline=None)
@given(question=models(masks=False), call=options())
def test_rounds_are_the_same(question, call):
    model, x, start, _, alone = question
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pyxai.PyxaiWarning)
        fast, direct, paths = both(
            model, x, start, ask="select", target=1, with_values=True, **call
        )
    assert paths == ["linear prefix"] * alone
    assert_equal(fast.raw, direct.raw)
    assert_equal(fast.values, direct.values)
    assert torch.equal(fast.round_index, direct.round_index)


@pytest.mark.parametrize(
    ("aware", "output", "rule"),
    [
        (False, "probability", "midpoint"),
        (True, "probability", "midpoint"),
        (False, "kl", "trapezoid"),
        (True, "kl", "gausslegendre"),
        (False, "logit", "start"),
    ],
)
def test_orders_and_values(aware, output, rule):
    call = {"output": output, "softmax_aware": aware, "method": rule, "with_values": True}
    call |= {"target": torch.tensor([2, 0, 1]), "internal_batch_size": 5}
    call["epsilon"] = None if output == "kl" else 1e-3
    groups = torch.tensor([0, 1, 1, 2, 3, 4])
    cases = (
        (mlp(WIDE), rows(3, 6, dtype=WIDE), rows(1, 6, seed=1, dtype=WIDE), {}),
        (mlp(WIDE), rows(3, 6, dtype=WIDE), 0.2, {"feature_mask": groups}),
        (conv(WIDE), rows(3, 2, 7, 8, dtype=WIDE), 0.0, {}),
    )
    for model, x, baseline, more in cases:
        fast, direct, paths = both(model, x, baseline, ask="select", **call, **more)
        assert paths == ["linear prefix"]
        torch.testing.assert_close(fast.raw, direct.raw, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(fast.values, direct.values, rtol=1e-10, atol=1e-13)
        if x.dim() == 2:  # pixels that no maximum looks at have a score of zero, but for rounding
            assert torch.equal(fast.order, direct.order)


def test_first_layer_runs_once_a_round():
    model = nn.Sequential(nn.Linear(40, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    x, call = rows(4, 40), {"target": 0, "rounds": 10, "n_steps": 8}
    GreedyPIG(model).attribute(x, **call)  # measured
    with FirstLayerRows(40) as direct:
        GreedyPIG(model).attribute(x, fast_path=False, **call)
    with FirstLayerRows(40) as once:
        GreedyPIG(model).attribute(x, **call)
    assert direct.rows >= 4 * 4 * 8
    # At the inputs, whose record leads back in all rounds, then in each round at the selection.
    assert once.rows == 4 + 4 * 4


@pytest.mark.parametrize("aware", [False, True])
def test_blocks_of_examples_change_nothing(aware, monkeypatch):
    model, x = mlp(WIDE), rows(7, 6, dtype=WIDE)
    call = {"target": torch.arange(7) % 3, "scores": "raw", "softmax_aware": aware}
    mask = torch.arange(42).view(7, 6) % 4
    whole = GreedyPIG(model).attribute(x, feature_mask=mask, **call)
    monkeypatch.setattr(linear_path, "_MOST_HELD", 3 * model[0].out_features)
    fast, direct, paths = both(model, x, feature_mask=mask, **call)
    assert paths == ["linear prefix"]
    assert_equal(fast, direct)
    assert_equal(fast, whole)


def test_several_targets():
    model, x = mlp(WIDE), rows(3, 6, dtype=WIDE)
    found = [
        pyxai.explain(model, x, method="greedy_pig", target=[0, 2, 1], scores="raw", fast_path=fast)
        for fast in (True, False)
    ]
    assert [each.path for each in found] == ["linear prefix", "direct"]
    assert_equal(found[0].attributions, found[1].attributions)


def test_inference_mode():
    class Shifts(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(WIDE)

        def forward(self, x):
            return self.net((x - torch.ones(6, dtype=WIDE)) * torch.full((6,), 0.5, dtype=WIDE))

    model = Shifts().eval()
    call = {"target": 0, "scores": "raw"}
    expected = GreedyPIG(model).attribute(rows(3, 6, dtype=WIDE), fast_path=False, **call)
    with torch.inference_mode(), path_noted() as paths:
        found = GreedyPIG(model).attribute(rows(3, 6, dtype=WIDE), **call)
    assert paths == ["linear prefix"]
    assert_equal(found, expected)


def test_leaf_of_the_user_and_no_grad():
    model, x = mlp(WIDE), rows(3, 6, dtype=WIDE).requires_grad_()
    with torch.no_grad():
        fast, direct, paths = both(model, x, target=1, scores="raw")
    assert paths == ["linear prefix"]
    assert not fast.requires_grad
    assert x.grad is None
    assert_equal(fast, direct)


class Between(nn.Module):
    """A function before the first layer, and one behind it."""

    def __init__(self, before=lambda x: x, behind=torch.relu, layer=None):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 3)
        self.before, self.behind = before, behind
        self.layer = layer or (lambda first, x: first(x))
        self.to(WIDE).eval()

    def forward(self, x):
        return self.last(self.behind(self.layer(self.first, self.before(x))))


class RoundedThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (4 * x).round() / 4

    @staticmethod
    def backward(ctx, grad):
        return grad


class TurnedBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    def backward(ctx, grad):
        return -grad


def gated_without_gradient(h):
    with torch.no_grad():
        gate = h.sigmoid()
    return h.relu() * gate


def clipped(h):
    if h.requires_grad:
        h.register_hook(lambda grad: grad.clamp(-0.02, 0.02))
    return h


@pytest.mark.parametrize(
    "behind",
    [
        RoundedThrough.apply,
        TurnedBack.apply,
        lambda h: h.relu() * h.sigmoid().detach(),
        gated_without_gradient,
        lambda h: clipped(h).tanh(),
        lambda h: clipped(h * 2).tanh(),
        lambda h: h.relu_(),
        lambda h: checkpoint(torch.tanh, h, use_reentrant=False),
    ],
)
def test_gradients_of_what_comes_behind_are_the_models_own(behind):
    fast, direct, paths = both(
        Between(behind=behind), rows(3, 6, dtype=WIDE), target=1, scores="raw", rounds=1
    )
    assert paths == ["linear prefix"]
    assert_equal(fast, direct)


def test_checkpoint_of_the_layer():
    model = Between(layer=lambda first, x: checkpoint(first, x, use_reentrant=False))
    fast, direct, _ = both(model, rows(3, 6, dtype=WIDE), target=1, scores="raw", rounds=1)
    assert_equal(fast, direct)


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
def test_rows_that_meet_behind_the_layer():
    model = Between(behind=lambda h: (h - h.mean(0)).tanh())
    fast, direct, _ = both(model, rows(3, 6, dtype=WIDE), target=1, scores="raw", rounds=1)
    assert_equal(fast, direct)


def noted(x):
    if x.requires_grad:  # what two rows do not show
        x.register_hook(lambda grad: grad.clamp(-1e9, 1e9))
    return x


def without_gradient(function):
    def call(*given):
        with torch.no_grad():
            return function(*given)

    return call


def doubled_if_followed(x):
    return x * (2.0 if x.requires_grad else 1.0)


@pytest.mark.parametrize(
    "model",
    [
        Between(before=RoundedThrough.apply),
        Between(before=TurnedBack.apply),
        Between(before=lambda x: clipped(x)),
        Between(before=doubled_if_followed),
        Between(before=lambda x: clipped(x * 2)),
        Between(before=lambda x: x + TurnedBack.apply(3 * x)),
        Between(before=lambda x: noted(x)),
        Between(before=lambda x: noted(x * 2)),
        Between(
            layer=lambda first, x: checkpoint(
                lambda rows: first(rows).tanh(), x, use_reentrant=False
            )
        ),
        Between(before=lambda x: (x * 3).detach() + x),
        nn.Sequential(nn.Tanh(), mlp(WIDE)),
        nn.Sequential(nn.LayerNorm(6, dtype=WIDE), mlp(WIDE)),
    ],
)
def test_gradients_of_what_comes_before_are_seen(model):
    x = rows(3, 6, dtype=WIDE)
    fast, direct, paths = both(model.eval(), x, target=1, scores="raw", rounds=1)
    assert paths == []
    assert torch.equal(fast, direct)


def test_values_may_be_had_where_gradients_are_not():
    model, x = Between(before=noted), rows(2, 6, dtype=WIDE)
    GreedyPIG(model).attribute(x, target=1)
    assert part_model(model, x, lambda: x, lambda sizes: True, gradients=True) is None
    assert part_model(model, x, lambda: x, lambda sizes: True) is not None


@pytest.mark.parametrize(
    "model",
    [
        Between(before=lambda x: (x * 2).detach()),
        Between(before=without_gradient(lambda x: x * 2)),
        Between(layer=without_gradient(lambda first, x: first(x))),
    ],
)
def test_errors_are_those_of_the_direct_way(model):
    for fast in (True, False):
        with pytest.raises(ValueError, match="must depend on the inputs in a way that autograd"):
            GreedyPIG(model).attribute(rows(3, 6, dtype=WIDE), target=1, fast_path=fast)


@pytest.mark.parametrize("place", ["first", "last", ""])
@pytest.mark.parametrize("kind", ["full_backward", "full_backward_pre", "forward", "forward_pre"])
def test_hooks_are_seen(place, kind):
    model = Between()

    def doubled(module, *given):
        return tuple(2 * value for value in given[0])

    hooks = {
        "full_backward": lambda module, before, after: (2 * before[0],),
        "full_backward_pre": lambda module, grads: (2 * grads[0],),
        "forward": lambda module, given, found: 2 * found,
        "forward_pre": lambda module, given: (2 * given[0],),
    }
    getattr(model.get_submodule(place), f"register_{kind}_hook")(hooks[kind])
    fast, direct, paths = both(model, rows(3, 6, dtype=WIDE), target=1, scores="raw", rounds=1)
    assert paths == []
    assert torch.equal(fast, direct)
    bare = GreedyPIG(Between()).attribute(rows(3, 6, dtype=WIDE), target=1, scores="raw", rounds=1)
    assert (direct - bare).abs().max() > 1e-4


def test_global_backward_hooks_are_seen():
    handle = nn.modules.module.register_module_full_backward_hook(lambda *given: None)
    try:
        _, _, paths = both(Between(), rows(3, 6, dtype=WIDE), target=1)
    finally:
        handle.remove()
    assert paths == []


class Remembers(nn.Module):
    """Counts its passes and keeps what it returned."""

    def __init__(self):
        super().__init__()
        self.net, self.last = mlp(WIDE), None
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.last = self.net(x)
        return self.last


def test_model_is_left_as_found():
    model, state = Remembers().eval(), torch.get_rng_state()
    weights = copy.deepcopy(model.state_dict())
    fast, direct, paths = both(model, rows(3, 6, dtype=WIDE), target=0, scores="raw")
    assert paths == ["linear prefix"]
    assert_equal(fast, direct)
    assert model.last is None
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())


def test_new_weights_count():
    model, x = mlp(WIDE), rows(3, 6, dtype=WIDE)
    call = {"target": 0, "scores": "raw"}
    before = GreedyPIG(model).attribute(x, **call)
    model[0].weight.data.mul_(2)  # moves no version
    fast, direct, _ = both(model, x, **call)
    assert_equal(fast, direct)
    assert (fast - before).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "change",
    [
        lambda model: nn.Sequential(torch.jit.script(model)),
        lambda model: lambda x: model(x),
        lambda model: nn.Sequential(nn.BatchNorm1d(6, dtype=WIDE), model).train(),
        lambda model: nn.DataParallel(model),
    ],
)
def test_models_that_go_the_direct_way(change):
    fast, direct, paths = both(change(mlp(WIDE)), rows(3, 6, dtype=WIDE), target=0, scores="raw")
    assert paths == []
    assert_equal(fast, direct)


def test_further_inputs_and_switches_go_the_direct_way():
    inputs, scale = (rows(4, 4), rows(4, 2, 3)), torch.ones(4)
    with path_noted() as paths:
        GreedyPIG(TwoInputs()).attribute(inputs, additional_forward_args=(scale,), target=0)
        GreedyPIG(mlp(torch.bfloat16)).attribute(rows(2, 6).bfloat16(), target=0)
        with execution(compile=True, backend="eager"):
            GreedyPIG(mlp()).attribute(rows(2, 6), target=0)
        with torch.autocast("cpu", torch.bfloat16):
            GreedyPIG(mlp()).attribute(rows(2, 6), target=0)
    assert paths == []


def test_further_arguments_go_the_direct_way():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(WIDE)

        def forward(self, x, shift=1.0):
            return self.net(x - 1) * shift

    shift = rows(3, 1, seed=2, dtype=WIDE)
    fast, direct, paths = both(
        Shifted(), rows(3, 6, dtype=WIDE), target=1, additional_forward_args=shift, scores="raw"
    )
    assert paths == []
    assert torch.equal(fast, direct)


@pytest.mark.parametrize("options", [{}, {"method": "midpoint", "softmax_aware": True}])
def test_a_model_that_changes_its_mind_is_asked_directly(options):
    model = LargeInParts(mlp(WIDE), 9).eval()
    fast, direct, paths = both(model, rows(4, 6, dtype=WIDE), target=1, n_steps=8, **options)
    assert paths == []
    assert_equal(fast, direct)
