"""A first layer that is affine runs once an example; what comes out is what the model gives."""

import copy
import itertools
import warnings

import hypothesis.strategies as st
import pytest
import torch
from first_layers import Around, Before, LargeInParts
from hypothesis import given, settings
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import pyxai
from pyxai import Game, metrics
from pyxai.attribution import (
    FeatureAblation,
    KernelShap,
    PredictionDifference,
    ShapleyValues,
    ShapleyValueSampling,
)
from pyxai.game import linear_prefix
from pyxai.ops import sample_permutations
from pyxai.runner import execution, path_noted
from pyxai.runner.split import LayerSizes

pytestmark = pytest.mark.usefixtures("always")

OUTWEIGHS = linear_prefix._OUTWEIGHS


@pytest.fixture(scope="module")
def always():
    """Take the path whatever it saves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_prefix, "_LEAST_SAVED", -float("inf"))
        patch.setattr(linear_prefix, "_LEAST_READ", 0)
        patch.setattr(linear_prefix, "_OUTWEIGHS", dict.fromkeys(OUTWEIGHS, float("inf")))
        yield


@st.composite
def questions(draw):
    """Return a model, inputs, baselines, a feature mask, and whether its first layer is alone."""
    torch.manual_seed(draw(st.integers(0, 99)))
    batch = draw(st.integers(1, 3))
    kind = draw(st.sampled_from([None, "none", "normalise", "shift"]))
    form = draw(st.sampled_from(["dense", "matrix", "conv1d", "conv2d", "tokens", "residual"]))
    sizes = {"dense": (6,), "matrix": (2, 3), "conv1d": (2, 6), "conv2d": (2, 4, 4)}
    sizes = {**sizes, "tokens": (3, 4), "residual": (6,)}[form]
    first = {
        "dense": lambda: [nn.Linear(6, 5)],
        "matrix": lambda: [nn.Flatten(), nn.Linear(6, 5, bias=draw(st.booleans()))],
        "conv1d": lambda: [nn.Conv1d(2, 3, draw(st.integers(1, 3)), padding=1)],
        "conv2d": lambda: [nn.Conv2d(2, 4, 3, stride=draw(st.integers(1, 2)), groups=2)],
        "tokens": lambda: [nn.Linear(4, 5)],
        "residual": lambda: [Around(6)],
    }[form]()
    layers = first if kind is None else [Before(kind, sizes[-1]), *first]
    if form == "dense" and draw(st.booleans()):
        layers.insert(kind is not None, nn.BatchNorm1d(6))
    if draw(st.booleans()) and form.startswith("conv"):
        layers.append(
            (nn.BatchNorm1d if form == "conv1d" else nn.BatchNorm2d)(first[0].out_channels)
        )
    layers += [nn.ReLU(inplace=draw(st.booleans())), nn.Flatten(), nn.LazyLinear(3), nn.Tanh()]
    model = nn.Sequential(*layers)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    model = model.to(dtype)
    x = torch.randn(batch, *sizes, dtype=dtype)
    model(torch.randn(4, *sizes, dtype=dtype))  # statistics of the norms
    starts = draw(st.sampled_from([None, 0.3, "shared", "each"]))
    if isinstance(starts, str):
        starts = torch.randn(1 if starts == "shared" else batch, *sizes, dtype=dtype)
    grouped = draw(st.sampled_from([None, 1, batch]))
    mask = None if grouped is None else torch.randint(0, 3, (grouped, *sizes))
    return model.eval(), x, starts, mask, form != "residual"


def both(ask):
    """Return answers by the path and directly, and which path was taken."""
    with path_noted() as paths:
        fast = ask(True)
    with path_noted() as none:
        direct = ask(False)
    assert none == []
    return fast, direct, paths


def assert_equal(fast, direct):
    scale = float(direct.abs().max()) + 0.1
    tolerance = 1e-5 if direct.dtype == torch.float32 else 1e-12
    torch.testing.assert_close(fast, direct, rtol=0, atol=tolerance * scale)


@settings(max_examples=25, deadline=None)
@given(question=questions(), target=st.sampled_from([0, "each"]))
def test_same_as_the_direct_way(question, target):
    model, x, starts, mask, alone = question
    target = target if target == 0 else torch.arange(len(x))
    found = FeatureAblation(model)
    fast, direct, paths = both(
        lambda fast: found.attribute(x, starts, target, feature_mask=mask, fast_path=fast)
    )
    assert paths == ["linear prefix"] * alone
    assert_equal(fast, direct)


SCORES = ["logit", "probability", "log_odds", "weight_of_evidence"]


@settings(max_examples=25, deadline=None)
@given(
    question=questions(),
    n_rows=st.integers(1, 5),
    score=st.sampled_from(SCORES),
    at_once=st.sampled_from([1, 2, 3]),
)
def test_means_over_a_background_are_the_same(question, n_rows, score, at_once):
    model, x, _, mask, alone = question
    background = torch.randn(n_rows, *x.shape[1:], dtype=x.dtype)
    background[0] = x[0]
    found = PredictionDifference(model)
    fast, direct, paths = both(
        lambda fast: found.attribute(
            x, background, 1, feature_mask=mask, score=score, fast_path=fast,
            perturbations_per_eval=at_once,
        )
    )  # fmt: skip
    shared = mask is None or len(mask) == 1
    assert paths == ["linear prefix"] * (alone and shared)
    assert_equal(fast, direct)
    first = found.attribute(
        x[:1], background, 1, feature_mask=mask if shared else mask[:1], score=score
    )
    assert_equal(first, direct[:1])


@settings(max_examples=20, deadline=None)
@given(question=questions(), data=st.data())
def test_games_are_the_same(question, data):
    model, x, starts, mask, alone = question
    games = [
        Game(model, x, baselines=starts, feature_mask=mask, target=1, fast_path=fast)
        for fast in (True, False)
    ]
    count = games[0].n_players
    n_masks = data.draw(st.integers(1, 9))
    shape = data.draw(st.sampled_from([(n_masks, count), (len(x), n_masks, count)]))
    masks = torch.rand(shape) < 0.5
    with path_noted() as paths:
        fast = games[0].values(masks)
    assert paths == ["linear prefix"] * alone
    assert_equal(fast, games[1].values(masks))
    if count > 1:
        some = torch.randperm(count)[: data.draw(st.integers(2, count))]
        orders = torch.stack([some[torch.randperm(len(some))] for _ in range(3)]).int()
        assert_equal(games[0].values_along(orders), games[1].values_along(orders))


CURVES = [metrics.insertion, metrics.deletion, metrics.softmax_auc]
RANKED = [*CURVES, metrics.comprehensiveness, metrics.sufficiency]


@settings(max_examples=25, deadline=None)
@given(question=questions(), metric=st.sampled_from(RANKED), n_points=st.integers(2, 9))
@pytest.mark.parametrize("held", [1, 2**24])
def test_curves_are_the_same(held, question, metric, n_points):
    model, x, starts, mask, alone = question
    options = {"baselines": starts, "feature_mask": mask}
    if metric in CURVES:
        options["n_points"] = n_points
    if metric is not metrics.softmax_auc:
        options["output"] = "log_probability"
    direct = metric(lambda rows: model(rows), x, x.sin(), target=1, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_prefix._Asked, "pays", lambda asked, layer: True)
        patch.setattr(linear_prefix, "_MOST_HELD", held)  # one example at a time
        with path_noted() as paths:
            fast = metric(model, x, x.sin(), target=1, max_rows=n_points, **options)
    assert paths == ["linear prefix"] * alone
    if metric in CURVES:
        fast, direct = fast.y, direct.y
    assert_equal(fast.to(x.dtype), direct.to(x.dtype))


class RowsOf(TorchFunctionMode):
    """Counts the rows that a layer is given."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.count = layer, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is nn.functional.linear and args[1] is self.layer.weight:
            self.count += len(args[0])
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("metric", CURVES)
@pytest.mark.parametrize("width", [1, 4])
def test_curves_run_the_first_layer_once_an_example(metric, width):
    model = net(40, 7, 3)
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(40)[None] // width
    n_points = 40 // width + 1
    with RowsOf(model[0]):  # what is learned of a model stays so
        metric(model, x, x.sin(), target=1, feature_mask=mask)
    with RowsOf(model[0]) as fast:
        curve = metric(model, x, x.sin(), target=1, feature_mask=mask)
    with RowsOf(model[0]) as slow:
        direct = metric(lambda rows: model(rows), x, x.sin(), target=1, feature_mask=mask)
    assert slow.count >= 5 * n_points
    assert fast.count == 2  # one to see where the layer is, one for what it makes of the baseline
    assert_equal(curve.y.float(), direct.y.float())


def net(*widths):
    torch.manual_seed(0)
    layers = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


X = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (FeatureAblation, {}),
        (ShapleyValues, {}),
        (ShapleyValueSampling, {"n_samples": 6}),
        (ShapleyValueSampling, {"n_samples": 4, "tolerance": 1e-9, "max_evals": 60}),
        (KernelShap, {"n_samples": 60}),
    ],
)
@pytest.mark.parametrize("target", [0, None])
def test_methods(method, options, target):
    inputs = X.clone()
    inputs[:, 3] = 0.0  # is at its baseline, and changes nothing
    explainer = method(net(8, 7, 6, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyxai.attribution.coalitions.coalition_method.warn", lambda text: None)
        fast, direct, paths = both(
            lambda fast: explainer.attribute(inputs, target=target, fast_path=fast, **options)
        )
    assert paths == ["linear prefix"]
    assert_equal(fast, direct)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyxai.attribution.coalitions.coalition_method.warn", lambda text: None)
        first = explainer.attribute(inputs[:1], target=target, **options)
        pieces = explainer.attribute(inputs, target=target, perturbations_per_eval=2, **options)
    assert_equal(first, fast[: len(first)])
    assert_equal(pieces, fast)


def test_explain_names_the_path():
    model = net(8, 7, 3)
    taken = pyxai.explain(model, X, method="feature_ablation", target=1)
    assert taken.path == "linear prefix"
    left = pyxai.explain(model, X, method="feature_ablation", target=1, fast_path=False)
    assert left.path == "direct"
    assert_equal(taken.attributions, left.attributions)


def test_new_weights_count():
    model = net(8, 7, 3)
    game = Game(model, X, target=1)
    masks = torch.rand(6, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    before = game.values(masks)
    model[0].weight.data.mul_(2)  # moves no version
    with path_noted() as paths:
        now = game.values(masks)
    assert paths == ["linear prefix"]
    assert_equal(now, Game(copy.deepcopy(model), X, target=1, fast_path=False).values(masks))
    assert (now - before).abs().max() > 0.01


class Reads(nn.Module):
    """A net whose code also asks its input something else."""

    def __init__(self, what):
        super().__init__()
        self.net = net(8, 7, 3)
        self.what = what
        self.seen = None

    def forward(self, x):
        match self.what:
            case "sum":
                return self.net(x) + x.sum(1, keepdim=True)
            case "branch":
                return self.net(x) if x.sum() > 0 else -self.net(x)
            case "number":
                return self.net(x) * float(x[0, 0])
            case "before":
                return self.net(x - x.mean(0))
            case "rows":
                return self.net(x * torch.arange(1.0, len(x) + 1)[:, None])
            case "square":
                return self.net(x * x)
            case "integers":
                return self.net(x.long().to(x.dtype))
            case "turned":
                return self.net(x.view(-1, 2, 4).transpose(1, 2).reshape(-1, 8))
            case "twice":
                return self.net(x) + self.net(x)
            case "numpy":
                return self.net(x) + torch.from_numpy(x.numpy().sum(1, keepdims=True))
            case "caught":
                try:
                    return self.net(x) + x.sum(1, keepdim=True)
                except BaseException:
                    return self.net[2:](torch.zeros(len(x), 7))
            case "apply":
                return self.net(x) + Total.apply(x)
            case "out":
                return self.net(torch.add(x, x, out=x))


class Total(torch.autograd.Function):
    """Reads the input where functions of torch are not followed."""

    @staticmethod
    def forward(ctx, x):
        return x.sum(1, keepdim=True)

    @staticmethod
    def backward(ctx, grad):
        return grad


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize(
    "what",
    [
        "sum",
        "branch",
        "number",
        "before",
        "rows",
        "square",
        "integers",
        "turned",
        "twice",
        "numpy",
        "caught",
        "apply",
        "out",
    ],
)
def test_what_reads_more_goes_the_direct_way(what):
    model = Reads(what).eval()
    found = FeatureAblation(model)
    fast, direct, paths = both(lambda fast: found.attribute(X[:1], target=0, fast_path=fast))
    assert paths == []
    torch.testing.assert_close(fast, direct)


class FirstOf(nn.Module):
    """A net whose first layer is called in some way."""

    def __init__(self, first):
        super().__init__()
        self.first, self.net = first, net(8, 7, 3)

    def forward(self, x):
        return self.net[1:](self.first(x, self.net[0].weight))


def mixed(x, weight):
    with torch.autocast("cpu", torch.bfloat16):
        return F.linear(x, weight)


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize(
    "first",
    [
        lambda x, weight: F.linear(x, F.dropout(weight)),
        lambda x, weight: torch.mm(x, weight.T, out=torch.empty(len(x), 7)),
        lambda x, weight: mixed(x, weight).float(),
    ],
)
def test_layers_that_go_the_direct_way(first):
    model = FirstOf(first).eval()
    with path_noted() as paths:
        PredictionDifference(model).attribute(X, X + 1, target=0)
        metrics.insertion(model, X, X, target=0)
    assert paths == []


def hooked(model):
    model[0].register_forward_hook(lambda module, given, found: found * 2)
    return model


def compiled(model):
    model[1].compile(backend="eager")
    return model


def compiled_code(model):
    model.forward = torch.compile(model.forward, backend="eager")
    return model


def scripted(model):
    return nn.Sequential(torch.jit.script(model))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "change",
    [
        hooked,
        scripted,
        compiled,
        compiled_code,
        lambda model: torch.compile(model, backend="eager"),
        lambda model: model.forward,
        lambda model: lambda x: model(x),
        lambda model: nn.Sequential(nn.Dropout(0.5), model).train(),
        lambda model: nn.DataParallel(model),
        lambda model: model.bfloat16(),
    ],
)
def test_models_that_go_the_direct_way(change):
    model = change(net(8, 7, 3))
    inputs = X if not isinstance(model, nn.Module) else X.to(next(model.parameters()).dtype)
    with path_noted() as paths:
        FeatureAblation(model).attribute(inputs, target=0)
    assert paths == []


def test_further_arguments_and_switches_go_the_direct_way():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(8, 7, 3)

        def forward(self, x, other=0.0):
            return self.net(x) + other

    with path_noted() as paths:
        found = FeatureAblation(Two())
        found.attribute(X, target=0, additional_forward_args=torch.ones(5, 1))
        found.attribute((X, torch.ones(5, 1)), target=0)
        Game(net(8, 7, 3), X, target=0, imputer=pyxai.imputers.Marginal(X)).values(
            torch.rand(4, 8) < 0.5
        )
        with execution(compile=True, backend="eager"):
            FeatureAblation(net(8, 7, 3)).attribute(X, target=0)
        with torch.autocast("cpu", torch.bfloat16):
            FeatureAblation(net(8, 7, 3)).attribute(X, target=0)
    assert paths == []


@pytest.mark.parametrize("method", [FeatureAblation, PredictionDifference, metrics.deletion])
def test_model_is_left_as_found(method):
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(8, 7, 3)
            self.last = torch.zeros(1)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            out = self.net(x)
            self.last = out
            return out

    model, state = Counts(), torch.get_rng_state()
    last = model.last
    with path_noted() as paths:
        x = X.clone().requires_grad_()
        if method is metrics.deletion:
            method(model, x, X.sin(), target=0)
        else:
            method(model).attribute(x, X, target=0)
    assert paths == ["linear prefix"]
    assert model.last is last
    assert float(model.calls) == 0
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


class Counted(nn.Module):
    """Counts how deep it is, which is only right where every pass runs to its end."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.depth = nn.Linear(6, 5), nn.Linear(5, 3), 0

    def forward(self, x):
        self.depth += 1
        found = self.last(self.first(x).relu()) * self.depth
        self.depth -= 1
        return found


@pytest.mark.parametrize("method", ["feature_ablation", "kernel_shap", "shapley_value_sampling"])
def test_every_pass_runs_to_its_end(method):
    model, x = Counted().double().eval(), torch.randn(3, 6, dtype=torch.float64)
    both = [
        pyxai.explain(model, x, method=method, target=1, fast_path=fast) for fast in (True, False)
    ]
    assert both[0].path == "linear prefix"
    assert model.depth == 0
    torch.testing.assert_close(both[0].attributions, both[1].attributions)


@pytest.mark.parametrize("kind", ["squeezed", "divided"])
def test_what_depends_on_the_number_of_rows(kind):
    class Reads(nn.Sequential):
        def forward(self, x):
            return super().forward(x.squeeze() if kind == "squeezed" else x / x.shape[0])

    model = Reads(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double().eval()
    shape = (3, 1, 6) if kind == "squeezed" else (3, 6)
    x = torch.randn(shape, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the second mixes rows, and is run one by one
        both = [
            pyxai.explain(model, x, method="feature_ablation", target=1, fast_path=fast)
            for fast in (True, False)
        ]
    assert both[0].path == ("linear prefix" if kind == "squeezed" else "direct")
    torch.testing.assert_close(both[0].attributions, both[1].attributions)


def test_errors_are_the_models_own():
    with pytest.raises(ValueError, match="target must"):
        FeatureAblation(net(8, 7, 3)).attribute(X, target=7)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        FeatureAblation(net(9, 7, 3)).attribute(X, target=0)
    with pytest.raises(TypeError, match="fast_path must be True or False"):
        FeatureAblation(net(8, 7, 3)).attribute(X, target=0, fast_path=1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: FeatureAblation(model).attribute(X, target=0),
        lambda model: KernelShap(model).attribute(X, target=0, n_samples=60),
        lambda model: ShapleyValues(model).attribute(X, target=0),
        lambda model: ShapleyValueSampling(model).attribute(X, target=0, n_samples=9),
        lambda model: PredictionDifference(model).attribute(X, X[:4], target=0),
        lambda model: metrics.insertion(model, X, X, target=0).y,
        lambda model: metrics.deletion(model, X, X, target=0).y,
    ],
)
def test_a_model_that_changes_its_mind_is_asked_directly(ask):
    model = LargeInParts(net(8, 7, 3), 9).eval()
    with path_noted() as paths:
        found = ask(model)
    assert paths == []
    torch.testing.assert_close(found, ask(lambda x: model(x)))
    with path_noted() as paths:  # it is known now
        torch.testing.assert_close(ask(model), found)
    assert paths == []


@pytest.mark.parametrize(
    ("orders", "error", "text"),
    [
        (torch.zeros(2, 3), TypeError, "orders"),
        (torch.zeros(3, dtype=torch.int32), ValueError, "orders must have shape"),
        (
            torch.tensor([[0, 0]], dtype=torch.int32),
            ValueError,
            "orders must each have the same of 8 players once",
        ),
        (torch.tensor([[0, 8]], dtype=torch.int32), ValueError, "orders must each have"),
        (torch.tensor([[0, 1], [1, 2]], dtype=torch.int32), ValueError, "orders must each have"),
    ],
)
def test_orders_are_checked(orders, error, text):
    with pytest.raises(error, match=text):
        Game(net(8, 7, 3), X, target=0).values_along(orders)


class Mixes(nn.Module):
    """Rows meet behind the first layer."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(8, 7), nn.Linear(7, 3)

    def forward(self, x):
        z = self.first(x)
        return self.last((z - z.mean(0)).relu())


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
def test_outputs_of_several_rows():
    torch.manual_seed(0)
    found = FeatureAblation(Mixes().eval())
    fast, direct, _ = both(lambda fast: found.attribute(X, target=0, fast_path=fast))
    assert_equal(fast, direct)

    class Total(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(8, 7, 3)

        def forward(self, x):
            return self.net(x).sum(0, keepdim=True)

    found = FeatureAblation(Total())
    fast, direct, paths = both(lambda fast: found.attribute(X, target=0, fast_path=fast))
    assert paths == []
    assert torch.equal(fast, direct)


@pytest.mark.parametrize("at_once", [1, 50])
@pytest.mark.parametrize("held", [8 * 2, 2**20])
def test_contributions_in_parts(at_once, held, monkeypatch):
    """Made for some examples at a time, and by running the layer where its matrix is too large."""
    monkeypatch.setattr(linear_prefix, "_MADE_AT_ONCE", at_once)
    monkeypatch.setattr(linear_prefix, "_MOST_HELD", held)
    model = net(8, 7, 3)
    mask = torch.randint(0, 2, (5, 8), generator=torch.Generator().manual_seed(3))
    found = ShapleyValues(model)
    fast, direct, paths = both(
        lambda fast: found.attribute(X, 0.5, target=0, feature_mask=mask, fast_path=fast)
    )
    assert paths == ["linear prefix"]
    assert_equal(fast, direct)


def test_taken_only_where_it_saves(monkeypatch):
    monkeypatch.setattr(linear_prefix, "_LEAST_SAVED", 1)
    monkeypatch.setattr(linear_prefix, "_ADDED", 1)
    game = Game(net(8, 7, 3), X, target=0)
    ids = torch.zeros(1, dtype=torch.int64)
    with path_noted() as paths:
        game.values(torch.rand(64, 8) < 0.5)  # as many sums as there are features
    assert paths == []
    with path_noted() as paths:
        game.values_along(sample_permutations(8, 6, seed=0, example_ids=ids)[0])
    assert paths == ["linear prefix"]
    grouped = Game(net(8, 7, 3), X, target=0, feature_mask=torch.arange(8) // 4)
    with path_noted() as paths:
        grouped.values(torch.rand(64, 2) < 0.5)
    assert paths == ["linear prefix"]


def test_background_is_taken_only_where_it_saves(monkeypatch):
    monkeypatch.setattr(linear_prefix, "_ADDED", 1)
    explain = PredictionDifference(net(8, 7, 3)).attribute
    rows = torch.randn(6, 8, generator=torch.Generator().manual_seed(2))
    grouped = torch.arange(8) // 4
    # 5 examples, 2 groups, 6 rows: 61 rows of 8 products less 2 sums, 11 times the contributions.
    saved = 7 * (5 * 13 * (8 - 2) - 11 * 8)
    for least, taken in ((saved, True), (saved + 1, False)):
        monkeypatch.setattr(linear_prefix, "_LEAST_SAVED", least)
        with path_noted() as paths:
            explain(X, rows, target=0, feature_mask=grouped)
        assert paths == ["linear prefix"] * taken
    monkeypatch.setattr(linear_prefix, "_LEAST_SAVED", 1)
    monkeypatch.setattr(linear_prefix, "_MOST_HELD", 2 * 6 * 7 - 1)  # contributions of all rows
    with path_noted() as paths:
        explain(X, rows, target=0, feature_mask=grouped)
    assert paths == []


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("method", [FeatureAblation, PredictionDifference])
@pytest.mark.parametrize(("large", "path"), [(10.0, ["linear prefix"]), (1e5, [])])
def test_what_one_large_feature_would_swamp(monkeypatch, method, grouped, large, path):
    monkeypatch.setattr(linear_prefix, "_OUTWEIGHS", OUTWEIGHS)
    monkeypatch.setattr(linear_prefix, "_MADE_AT_ONCE", 16)  # of two examples
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).eval()
    x = torch.randn(4, 8)
    x[2, 3] = large
    base = torch.randn(1 if method is FeatureAblation else 4, 8)  # as many draws as examples
    mask = torch.arange(8) // 2 if grouped else None
    with path_noted() as paths:
        found = method(model).attribute(x, base, target=0, feature_mask=mask)
    assert paths == path
    wide = method(model.double()).attribute(x.double(), base.double(), target=0, feature_mask=mask)
    torch.testing.assert_close(found.double(), wide, rtol=0, atol=5e-6)


@pytest.mark.parametrize("shift", [0.0, 1e4])  # of input and baseline
def test_the_quick_look_at_one_large_feature_agrees_with_the_long_one(monkeypatch, shift):
    monkeypatch.setattr(linear_prefix, "_OUTWEIGHS", OUTWEIGHS)
    model = net(8, 16, 3)
    nn.init.zeros_(model[0].bias)
    found = []
    for quick in (linear_prefix._are_alike, lambda *sizes: False):
        monkeypatch.setattr(linear_prefix, "_are_alike", quick)
        found.append([])
        for large in torch.logspace(0, 4, 41).tolist():
            x, base = torch.ones(2, 8), torch.zeros(1, 8)
            x[1, 3] = shift + large
            base[0, 3] = shift
            with path_noted() as paths:
                FeatureAblation(model).attribute(x, base, target=0)
            found[-1].append(bool(paths))
    assert found[0] == found[1]
    assert found[0][0]
    assert found[0][-1] == (shift > 0)  # then what is put in its place is as large


def test_a_bias_that_is_in_every_sum_is_not_swamped(monkeypatch):
    monkeypatch.setattr(linear_prefix, "_OUTWEIGHS", OUTWEIGHS)
    model, x = net(8, 16, 3), torch.ones(1, 8)
    x[0, 3] = 1e5
    for bias, path in ((0.0, []), (1e5, ["linear prefix"])):
        nn.init.constant_(model[0].bias, bias)
        with path_noted() as paths:
            FeatureAblation(model).attribute(x, target=0)
        assert paths == path


DENSE = LayerSizes(n_features=64, size=128, n_terms=64, has_matrix=True)
COLOURS = LayerSizes(n_features=3 * 256, size=32 * 256, n_terms=27, has_matrix=False)
WAVE = LayerSizes(n_features=2**14, size=16, n_terms=1024, has_matrix=False)


@pytest.mark.parametrize(
    ("layer", "asked", "taken"),
    [
        (DENSE, (128, 64, 65, 1, None, True), True),  # each feature out
        (DENSE, (32, 64, 1025, 1, 16, True), True),
        (DENSE, (128, 16, 17, 1, None, False), False),  # groups, whose contributions are made
        (DENSE, (128, 64, 65, 2, None, False), False),  # a curve
        (DENSE._replace(n_features=128, n_terms=128), (128, 128, 129, 2, None, False), True),
        (DENSE, (16, 64, 630, 5, None, True), False),  # orders
        (DENSE, (16, 8, 512, None, None, False), True),  # masks of groups, a product of matrices
        (COLOURS, (8, 64, 65, 1, None, False), False),  # sums take longer than the convolution
        (COLOURS, (8, 64, 257, 1, 4, False), False),
        (COLOURS, (2, 64, 379, 5, None, False), False),
        (WAVE, (2, 2**14, 2**16 + 1, 1, 4, True), False),  # features times features in memory
    ],
)
def test_sums_take_longer_than_products_of_matrices(monkeypatch, layer, asked, taken):
    monkeypatch.setattr(linear_prefix, "_LEAST_SAVED", 2**24)
    assert linear_prefix._Asked(*asked).pays(layer) == taken


def test_what_is_drawn_goes_the_direct_way():
    explain = PredictionDifference(net(8, 7, 3)).attribute
    rows = torch.randn(6, 8, generator=torch.Generator().manual_seed(2))
    with path_noted() as paths:
        explain(X, target=0, imputer=pyxai.imputers.Marginal(rows, n_draws=3))
        explain(X, target=0, imputer=pyxai.imputers.Gaussian(rows, shrinkage=0.5, n_draws=2))
    assert paths == []
    with path_noted() as paths:
        explain(X, target=0, imputer=pyxai.imputers.Marginal(rows))
    assert paths == ["linear prefix"]
