"""Arguments whose wrong forms follow from no value: each check of the package refuses something."""

import inspect

import pytest
import torch
from contract_cases import example_of, make_background, make_inputs, make_net, make_options
from contract_runs import NAMES, run
from public_calls import (
    CALLS,
    DATA,
    EDGES,
    GRAPH,
    GRAPH_DATA,
    IMAGE_NET,
    IMAGES,
    MODEL,
    NET,
    NODES,
    PIXELS,
    TABLE,
    WEIGHTS,
    X,
    drawn,
)

import pyxai
from pyxai import (
    covariance,
    graphs,
    greedy,
    masks,
    metrics,
    ops,
    plot,
    registry,
    selection,
    taylor,
)
from pyxai.attribution import XRAI, ExpectedGradients, FunctionalInformation, GreedyPIG, KernelShap
from pyxai.metrics import InformationCurves
from pyxai.propagation.relevance.rules import AlphaBetaRule, ZBoxRule

NAN = float("nan")


# Ops: where results go, and which features are one player.

WITH_OUT = [name for name, call in CALLS.items() if "out" in call.defaults()]


NUMBERS = [
    (name, argument)
    for name, call in CALLS.items()
    if getattr(ops, call.function.__name__, None) is call.function
    for argument, value in call.arguments.items()
    if isinstance(value, torch.Tensor) and value.is_floating_point()
]


@pytest.mark.parametrize(("name", "argument"), NUMBERS)
def test_negated_views_are_no_numbers(name, argument):
    """Kernels read memory, which holds the other sign there."""
    call = CALLS[name]
    given = {**call.arguments, argument: torch._neg_view(-call.arguments[argument])}
    with pytest.raises(ValueError, match="must hold its numbers, got a negated view of them"):
        call.function(**given)


@pytest.mark.parametrize("name", WITH_OUT)
def test_where_a_result_goes_is_checked(name):
    good = CALLS[name]()
    with pytest.raises(TypeError, match=r"^out must be a tensor, got 'x'"):
        CALLS[name](out="x")
    with pytest.raises(ValueError, match=r"^out must be on cpu, got meta"):
        CALLS[name](out=good.to("meta"))
    with pytest.raises(ValueError, match=r"^out must have shape"):
        CALLS[name](out=good[..., :1].clone())
    with pytest.raises(TypeError, match=f"^out must have dtype {good.dtype}, got torch.int16"):
        CALLS[name](out=good.to(torch.int16))


FEATURES = {"inputs": 4, "delta": 4, "scores": 4}
WITH_PLAYERS = [
    name
    for name, call in CALLS.items()
    if name in ops.__all__ and "players" in call.defaults() and set(FEATURES) & set(call.arguments)
    if name != "pairwise_taylor_products"  # whose rows are players
]


@pytest.mark.parametrize("name", WITH_PLAYERS)
def test_players_are_checked(name):
    players = torch.tensor([0, 0, 1, 1], dtype=torch.int32)
    count = {"n_players": 2} if "n_players" in CALLS[name].defaults() else {}
    for bad, error, message in (
        ("x", TypeError, "a tensor, got 'x'"),
        (players.long(), TypeError, "dtype torch.int32, got torch.int64"),
        (players.to("meta"), ValueError, "on cpu, got meta"),
        (players[:3], ValueError, r"shape \[4\], got \[3\]"),
    ):
        with pytest.raises(error, match=f"^players must (be|have) {message}"):
            CALLS[name](players=bad, **count)
    if count:
        for bad, error in (("few", TypeError), (-1, ValueError)):
            with pytest.raises(error, match=f"^n_players must be .*got {bad!r}"):
                CALLS[name](players=players, n_players=bad)


@pytest.mark.parametrize("name", ["path_accumulate", "path_points"])
def test_what_is_selected_is_checked(name):
    selected = torch.zeros(3, 1, dtype=torch.int32)
    for bad, error, message in (
        ("x", TypeError, "a tensor, got 'x'"),
        (selected.long(), TypeError, "dtype torch.int32, got torch.int64"),
        (selected.to("meta"), ValueError, "on cpu, got meta"),
        (selected[:2], ValueError, r"shape \[3, 1\], got \[2, 1\]"),
    ):
        with pytest.raises(error, match=f"^selected must (be|have) {message}"):
            CALLS[name](selected=bad)


# Methods: called by themselves, since `explain` checks the target first.


@pytest.mark.parametrize("name", NAMES)
def test_targets_for_other_examples_are_named(name):
    example, entry = example_of(name), registry.get(name)
    model, x = make_net(example), make_inputs(example, 4)
    options = make_options(example, model)
    if entry.baselines == "distribution":
        options["baselines"] = make_background(example)
    first = {key: options.pop(key) for key in [*options] if key in parameters(entry.factory)}
    method = entry.factory(model, **first)
    with pytest.raises(ValueError, match=r"^target must have one entry per example, 4, got 3"):
        method.attribute(x, target=[0, 1, 2], **options)


def parameters(function):
    return inspect.signature(function).parameters


@pytest.mark.parametrize("name", ["feature_ablation", "shapley_values", "kernel_shap", "lime"])
def test_masks_on_another_device_are_named(name):
    example = example_of(name)
    mask = torch.arange(6, device="meta")
    with pytest.raises(ValueError, match=r"^feature_mask must be on cpu, got meta"):
        run(name, make_net(example), make_inputs(example), feature_mask=mask)


class Loss:
    """A loss that is no tensor."""

    def __call__(self, outputs, labels):
        return "x"


def loader(*batch):
    return FunctionalInformation(NET).fit([batch])


def curves(**changes):
    arguments = {"target": 0, "workers": 1, "min_prediction": 0.0, **changes}
    return InformationCurves(lambda x: x.float().flatten(1)[:, :3], PIXELS, **arguments)


def xrai(**changes):
    return XRAI(IMAGE_NET).attribute(IMAGES, target=0, min_pixels=1, **changes)


def rounds(**changes):
    return greedy.greedy_rounds(lambda *_: drawn(2, 4), 2, 4, **changes)


BAND = torch.zeros(2, 6, 6, dtype=torch.int64)
POLYNOMIAL = taylor.Polynomial.random(3, 2, generator=torch.Generator().manual_seed(0))
ORDERED = graphs.select_players(GRAPH)
PAIRS = taylor.pairwise_terms(**MODEL)
SHOWN = pyxai.explain(NET, X, method="saliency", target=0)
PICTURES = pyxai.explain(IMAGE_NET, IMAGES, method="saliency", target=0)
# What is called, the error, and its message.
CASES = {
    # plots
    "an example of bars": (
        lambda: plot.bar(SHOWN, example=-1),
        (ValueError, "example must be at least 0, got -1"),
    ),
    "the rest of bars": (
        lambda: plot.bar(SHOWN, example=0, rest="no"),
        (TypeError, "rest must be True or False, got 'no'"),
    ),
    "the scale of a heat map": (
        lambda: plot.heatmap(PICTURES, colorbar="no"),
        (TypeError, "colorbar must be True or False, got 'no'"),
    ),
    "pairs that are shown": (
        lambda: plot.interactions(PAIRS, top=0),
        (ValueError, "top must be at least 1, got 0"),
    ),
    "an example of pairs": (
        lambda: plot.interactions(PAIRS, example=-1),
        (ValueError, "example must be at least 0, got -1"),
    ),
    "an example of graphs": (
        lambda: plot.graph(ORDERED, example=-1),
        (ValueError, "example must be at least 0, got -1"),
    ),
    "nodes that are marked": (
        lambda: plot.graph(ORDERED, marked="x"),
        (TypeError, "marked must be a tensor, got 'x'"),
    ),
    # rules
    "biases of a rule": (
        lambda: AlphaBetaRule(bias="none"),
        (ValueError, "bias must be one of"),
    ),
    "bounds of a box": (
        lambda: ZBoxRule(torch.tensor(NAN), 1.0),
        (ValueError, "low must be finite"),
    ),
    # names of examples
    "names elsewhere": (
        lambda: ExpectedGradients(NET).attribute(
            X, X, target=0, n_samples=2, example_ids=torch.arange(3, device="meta")
        ),
        (ValueError, "example_ids must be on cpu, got meta"),
    ),
    "values of sums": (
        lambda: ops.table_sums("x", TABLE[:1], [1]),
        (TypeError, "values must be a tensor, got 'x'"),
    ),
    # random coalitions
    "sizes of no players": (
        lambda: ops.shapley_kernel_size_weights(0),
        (ValueError, "n_players must be at least 1, got 0"),
    ),
    "size weights": (
        lambda: CALLS["sample_coalitions"](
            law="kernel", size_weights=torch.full((6,), NAN, dtype=torch.float64)
        ),
        (ValueError, "size_weights must be finite"),
    ),
    "probabilities of other examples": (
        lambda: CALLS["sample_coalitions"](probability=torch.rand(3, 4, dtype=torch.float64)),
        (ValueError, r"probability must have shape \[2, 4\], got \[3, 4\]"),
    ),
    "probabilities of other samples": (
        lambda: CALLS["sample_coalitions"](probability=torch.rand(3, dtype=torch.float64)),
        (ValueError, r"probability must have shape \[4\], got \[3\]"),
    ),
    "probabilities of another dtype": (
        lambda: CALLS["sample_coalitions"](probability=torch.rand(4)),
        (TypeError, "probability must have dtype torch.float64"),
    ),
    # references check what their ops do
    "reference of indices": (
        lambda: ops.interaction_indices_from_table_reference("x", 2),
        (TypeError, "values must be a tensor, got 'x'"),
    ),
    "reference of sums": (
        lambda: ops.table_sums_reference(TABLE[:, :3], TABLE[:1], [1]),
        (ValueError, "values must"),
    ),
    # covariances
    "rank of rows": (
        lambda: covariance.SampleCovariance(drawn(9, 4), rank=0),
        (ValueError, "rank must be at least 1, got 0"),
    ),
    "features of lags": (
        lambda: covariance.ToeplitzCovariance(torch.ones(2).double(), features=0),
        (ValueError, "features must be at least 1, got 0"),
    ),
    # graphs
    "own weights that are not finite": (
        lambda: graphs.weighted_adjacency(weights=WEIGHTS, base=WEIGHTS * NAN, **GRAPH_DATA),
        (ValueError, "base must be finite"),
    ),
    "own weights below 0": (
        lambda: graphs.weighted_adjacency(weights=WEIGHTS, base=-WEIGHTS, **GRAPH_DATA),
        (ValueError, "base must be at least 0"),
    ),
    "own weights of another dtype": (
        lambda: graphs.weighted_adjacency(weights=WEIGHTS, base=WEIGHTS.int(), **GRAPH_DATA),
        (TypeError, "base must have dtype"),
    ),
    "a word for undirected": (
        lambda: graphs.graph_players(EDGES, 5, undirected="no"),
        (TypeError, "undirected must be True or False, got 'no'"),
    ),
    "a word for undirected edges of a game": (
        lambda: graphs.GraphGame(
            lambda x, a: a @ x, NODES, EDGES, weights_as="dense", undirected="no"
        ),
        (TypeError, "undirected must be True or False, got 'no'"),
    ),
    "a count of edges": (
        lambda: ORDERED.kept("few"),
        (TypeError, "count must be an integer, got 'few'"),
    ),
    "labels of a graph": (
        lambda: metrics.graph_fidelity(
            GRAPH, drawn(GRAPH.n_players), measure="log_probability", labels=torch.full((5,), 99)
        ),
        (ValueError, "(labels|target) must"),
    ),
    # greedy rounds
    "values that are no tensor": (
        lambda: rounds(value=lambda *_: "x", shortlist=2),
        (TypeError, "value must be a tensor, got 'x'"),
    ),
    "values of an order": (
        lambda: rounds(n_order=9),
        (ValueError, "n_order must"),
    ),
    "with values": (
        lambda: GreedyPIG(NET).select(X, target=0, with_values="no"),
        (TypeError, "with_values must be True or False, got 'no'"),
    ),
    "options of select": (
        lambda: GreedyPIG(NET).select(X, target=0, show_progress=3),
        (TypeError, "show_progress must be True, False or a function"),
    ),
    "flags of select": (
        lambda: GreedyPIG(NET).select(X, target=0, softmax_aware="no"),
        (TypeError, "softmax_aware must be True or False, got 'no'"),
    ),
    "prefix of select": (
        lambda: GreedyPIG(NET).select(X, target=0, fast_path="no"),
        (TypeError, "fast_path must be True or False, got 'no'"),
    ),
    # pictures and masks
    "patches of nothing": (
        lambda: masks.patches((0, 4), 2),
        (ValueError, "images must be at least 1, got 0"),
    ),
    "attributions for regions": (
        lambda: xrai(attributions="x"),
        (TypeError, "attributions must be a tensor, got 'x'"),
    ),
    "complex attributions for regions": (
        lambda: xrai(attributions=IMAGES.to(torch.cfloat)),
        (TypeError, "attributions must be real"),
    ),
    "attributions for regions elsewhere": (
        lambda: xrai(attributions=IMAGES.to("meta")),
        (ValueError, "attributions must be on cpu, got meta"),
    ),
    "regions of another size": (
        lambda: xrai(segments=BAND[0, :5]),
        (ValueError, r"segments must have shape \[6, 6\]"),
    ),
    "regions of other examples": (
        lambda: xrai(segments=torch.cat([BAND, BAND])),
        (ValueError, r"segments must have shape \[2, 6, 6\], got \[4, 6, 6\]"),
    ),
    "stacked regions of another size": (
        lambda: xrai(segments=(BAND == 0)[:, :5]),
        (ValueError, r"segments must have shape \[\*, 6, 6\], got \[2, 5, 6\]"),
    ),
    "known pixels": (
        lambda: metrics.blurred_baseline(PIXELS, "x"),
        (TypeError, "masks must be a tensor, got 'x'"),
    ),
    "what information is of": (
        lambda: curves(output="loss"),
        (ValueError, "output must be one of 'probability', 'accuracy', got 'loss'"),
    ),
    "maps that are no tensor": (
        lambda: curves().curve("x"),
        (TypeError, "attributions must be a tensor, got 'x'"),
    ),
    "complex maps": (
        lambda: curves().curve(torch.zeros(2, 8, 8, dtype=torch.cfloat)),
        (TypeError, "attributions must be real"),
    ),
    "points of a curve": (
        lambda: curves().curve(drawn(2, 8, 8), n_points=0),
        (ValueError, "n_points must be at least 1, got 0"),
    ),
    "means of curves": (
        lambda: curves().curve(drawn(2, 8, 8)).aggregate("mode"),
        (ValueError, "method must be one of 'median', 'mean', got 'mode'"),
    ),
    # rows at a time
    "rows of infidelity": (
        lambda: CALLS["infidelity"](max_examples_per_batch=0),
        (ValueError, "max_examples_per_batch must be at least 1, got 0"),
    ),
    "rows of sensitivity": (
        lambda: CALLS["sensitivity_max"](max_examples_per_batch=0),
        (ValueError, "max_examples_per_batch must be at least 1, got 0"),
    ),
    # Fisher information
    "layout": (
        lambda: CALLS["FunctionalInformation.scores"](parity=True, layout="film"),
        (ValueError, "layout must be one of"),
    ),
    "rows of a loader": (
        lambda: loader("x", DATA[1]),
        (TypeError, "inputs of the loader must be a tensor, got 'x'"),
    ),
    "rows of a loader that are not finite": (
        lambda: loader(DATA[0] * NAN, DATA[1]),
        (ValueError, "inputs of the loader must be finite"),
    ),
    "labels of a loader": (
        lambda: loader(DATA[0], "x"),
        (TypeError, "labels of the loader must be a tensor, got 'x'"),
    ),
    "rank of a fit": (
        lambda: CALLS["FunctionalInformation.fit"](form="low_rank", rank=0),
        (ValueError, "(rank|form) must"),
    ),
    "draws of a tolerance": (
        lambda: KernelShap(NET).attribute(X, target=0, tolerance=0.1, max_evals="few"),
        (TypeError, "max_evals must be an integer, got 'few'"),
    ),
    # selection
    "sizes of a curve": (
        lambda: CALLS["selection_curve"](sizes=["a"]),
        (TypeError, "sizes must be an integer, got 'a'"),
    ),
    "rows of a pass": (
        lambda: CALLS["greedy_feature_selection"](batch_size=0),
        (ValueError, "batch_size must be at least 1, got 0"),
    ),
    "widths of fields": (
        lambda: CALLS["greedy_feature_selection"](fields=[0, 4]),
        (ValueError, "fields must be at least 1, got 0"),
    ),
    "rows of a growing sample": (
        lambda: CALLS["greedy_feature_selection"](sample_size=2, max_sample_size="few"),
        (TypeError, "max_sample_size must be an integer, got 'few'"),
    ),
    "a loss that is no tensor": (
        lambda: CALLS["greedy_feature_selection"](loss=Loss()),
        (TypeError, "loss must be a tensor, got 'x'"),
    ),
    "labels that are no tensor": (
        lambda: selection.greedy_feature_selection(NET, [(DATA[0], "x")]),
        (TypeError, "labels must be a tensor, got 'x'"),
    ),
    "features of a support": (
        lambda: CALLS["greedy_feature_selection"]().support("few"),
        (TypeError, "n_features must be an integer, got 'few'"),
    ),
    # effects
    **{
        f"names of {name}": (
            lambda call=call, more=more: call(names=["a"], **more),
            (ValueError, "names must"),
        )
        for name, call, more in (
            ("dividends", CALLS["harsanyi_dividends"], {}),
            ("indices", CALLS["interaction_indices"], {}),
            ("pairs", CALLS["pairwise_terms"], {}),
            ("hessians", CALLS["integrated_hessians"], {}),
            ("orders", CALLS["taylor_effects"], {"kind": "order"}),
            ("kappa", CALLS["taylor_effects"], {"kind": "kappa"}),
            ("a jet", CALLS["taylor_jet"], {}),
        )
    },
    "where orders start": (
        lambda: CALLS["taylor_effects"](kind="order", anchor="middle"),
        (ValueError, "anchor must be one of 'baseline', 'input', got 'middle'"),
    ),
    "points of a polynomial": (
        lambda: POLYNOMIAL("x"),
        (TypeError, "points must be a tensor, got 'x'"),
    ),
    "width of the points of a polynomial": (
        lambda: POLYNOMIAL(drawn(2, 4)),
        (ValueError, r"points must have shape \[\*, 3\], got \[2, 4\]"),
    ),
    "inputs of a polynomial": (
        lambda: POLYNOMIAL.taylor_terms("x"),
        (TypeError, "inputs must be a tensor, got 'x'"),
    ),
    "width of the inputs of a polynomial": (
        lambda: POLYNOMIAL.taylor_terms(drawn(2, 4)),
        (ValueError, r"inputs must have shape \[\*, 3\], got \[2, 4\]"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_forms_are_named(case):
    call, (error, message) = CASES[case]
    with pytest.raises(error, match=f"^{message}"):
        call()
