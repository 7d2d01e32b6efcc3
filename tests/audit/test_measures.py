"""Metrics that need more than the audit's arguments say what a direct call on the row says."""

import numpy as np
import pytest
import torch
from audit_cases import make_net, make_rows
from photographs import photograph

from pyxai import metrics, taylor
from pyxai.attribution import GradientShap
from pyxai.audit import audit
from pyxai.audit.measures.pictures import byte_pictures

CURVES = ("softmax_information_curve", "accuracy_information_curve")


class Contrast(torch.nn.Module):
    """Class 0 for a picture of more spread than lies between one that is shown and one hidden."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        spread = (x / self.scale).flatten(1).std(1)
        return torch.stack([24 * spread, 24 * (0.33 - spread)], 1)


@pytest.fixture(scope="module")
def pictures():
    """Return 3 pictures of 24 x 24 as bytes: two of a photograph, and one that has no curve."""
    whole = photograph(48)
    flat = torch.full((3, 24, 24), 128, dtype=torch.uint8)
    return torch.stack([whole[:, :24, :24], flat, whole[:, 24:, :24]])


def options_of(name):
    return (name, {"min_prediction": 0.0, "thresholds": (0.05, 0.2, 0.5)})


def test_information_curves_are_those_of_a_call_for_the_row(pictures, tmp_path):
    net, rows = Contrast(), pictures.float() / 255
    asked = [options_of(name) for name in CURVES]
    found = audit(net, rows, ["input_x_gradient", "saliency"], asked, tmp_path, batch_size=2)
    table = found.rows()
    assert table.error.isna().all()
    for name in CURVES:
        for method in found.methods:
            for number in range(3):
                maps = found.maps(method, [number])
                row = table[(table.id == number) & (table.method == method)].iloc[0]
                direct = getattr(metrics, name)(
                    net, pictures[number : number + 1], maps, target=row.target, **asked[0][1]
                )
                assert row[name] == pytest.approx(float(direct.auc), nan_ok=True)
        assert table[name].isna().tolist() == [False, False, True, True, False, False]
    assert table[CURVES[0]].nunique() > 2


@pytest.mark.parametrize("form", ["numbers", "channels", "function"])
def test_inputs_of_any_range_become_bytes(pictures, tmp_path, form):
    ends = ((-2.0, -1.0, 0.0), (1.0, 2.0, 3.0)) if form == "channels" else (-2.0, 3.0)
    first, last = (torch.tensor(end, dtype=torch.float64).reshape(-1, 1, 1) for end in ends)
    span = last - first

    def to_inputs(bytes_):
        return (bytes_.double() / 255 * span + first).float()

    def to_bytes(rows):
        return ((rows.double() - first) / span * 255).round().to(torch.uint8)

    rows, net = to_inputs(pictures), Contrast(4.0)
    name, options = options_of(CURVES[0])
    asked = {"to_bytes": ends}
    if form == "function":
        asked = {"to_bytes": to_bytes, "preprocess": to_inputs}
    found = audit(net, rows, "saliency", (name, {**options, **asked}), tmp_path)
    direct = metrics.softmax_information_curve(
        net,
        pictures,
        found.maps("saliency"),
        target=torch.tensor(found.rows().target.to_numpy()),
        preprocess=to_inputs,
        **options,
    )
    np.testing.assert_allclose(found.rows()[name], direct.auc, rtol=1e-12)
    assert direct.auc.isfinite().any()


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 4, 5), (2, 4, 5)])
def test_bytes_come_back(shape):
    pictures = torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).byte()
    for ends in ((0, 1), (-3.5, 12.25), (0, 255)):
        rows = pictures.float() / 255 * (ends[1] - ends[0]) + ends[0]
        found, preprocess = byte_pictures(rows, ends)
        assert found.equal(pictures)
        torch.testing.assert_close(preprocess(found), rows)


@pytest.mark.parametrize(
    ("rows", "to_bytes", "error", "message"),
    [
        (torch.rand(2, 6), (0, 1), ValueError, r"inputs must be pictures, .* got shape \[2, 6\]"),
        (torch.rand(2, 5, 4, 4), (0, 1), ValueError, r"1, 3 or 4 channels .* \[2, 5, 4, 4\]"),
        (torch.rand(2, 3, 1, 4), (0, 1), ValueError, r"inputs must be pictures"),
        ((torch.rand(2, 3, 4, 4),) * 2, (0, 1), ValueError, "one tensor of pictures, got 2"),
        (torch.full((1, 4, 4), 1.5), (0, 1), ValueError, r"range \(0, 1\) .* got 1.5 .. 1.5"),
        (torch.full((1, 4, 4), -2.0), (-1, 1), ValueError, r"range \(-1, 1\) .* got -2 .. -2"),
        (torch.rand(1, 4, 4), (1, 0), ValueError, "the second above the first"),
        (torch.rand(1, 4, 4), (0, float("inf")), ValueError, "to_bytes must be"),
        (torch.rand(1, 3, 4, 4), ((0, 0), (1, 1)), ValueError, "or 3 of the channels"),
        (torch.rand(1, 4, 4), 255, TypeError, "to_bytes must be a function or a pair"),
        (torch.rand(1, 4, 4), ("a", "b"), TypeError, "to_bytes must be a function or a pair"),
    ],
)
def test_what_is_no_picture_is_an_error(rows, to_bytes, error, message):
    with pytest.raises(error, match=message):
        byte_pictures(rows, to_bytes)


def test_an_audit_of_no_pictures_says_so(tmp_path):
    with pytest.raises(ValueError, match="explain examples, got: ValueError: inputs must be pict"):
        audit(make_net(), make_rows(), "saliency", CURVES[0], tmp_path)


def product(x):
    return (x[:, 0] * x[:, 1] + x[:, 2])[:, None]


def test_principles_of_a_product(tmp_path):
    """J({0, 1}) = x0 x1, J({2}) = x2; gradient x input gives x0 x1 twice."""
    rows = torch.tensor([[2.0, 3.0, 4.0], [1.0, -1.0, 2.0]], dtype=torch.float64)
    methods = ["input_x_gradient", "shapley_values"]
    found = audit(product, rows, methods, "principles", tmp_path)
    table = found.rows().set_index(["method", "id"])
    assert (table.loc["shapley_values"].filter(regex="_P") == 1).all(axis=None)
    assert (table.loc["shapley_values"].filter(regex="_(e1|u|c|c_sum|epsilon)$") < 1e-9).all(
        axis=None
    )
    for number, (pair, single) in enumerate([(6, 4), (-1, 2)]):
        row = table.loc["input_x_gradient", number]
        assert (row.principles_P1, row.principles_P2, row.principles_P3) == (0, 1, 0)
        assert row.principles_e1 == pytest.approx(0)
        assert row.principles_u == pytest.approx(0)
        assert row.principles_c == pytest.approx(abs(pair) / (abs(pair) + abs(single)))
        assert row.principles_epsilon == pytest.approx(abs(pair) / abs(pair + single))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_principles_are_those_of_a_call_for_the_row(tmp_path, batch_size):
    net, rows, background = make_net(), make_rows(4), make_rows(5, seed=8)
    ig = {"n_steps": 3}
    methods = {
        "ig": ("integrated_gradients", ig),
        "drawn": ("gradient_shap", {"baselines": background, "n_samples": 3}),
    }
    found = audit(
        net, rows, methods, "principles", tmp_path, baselines=0.5, batch_size=batch_size
    ).rows()
    mine = found[found.method == "ig"]
    for number, target in enumerate(mine.target):
        direct = taylor.principles_table(
            {"ig": "integrated_gradients"},
            net,
            rows[number : number + 1],
            0.5,
            target=int(target),
            options={"ig": ig},
        )["ig"].to_dict()
        for key in ("e1", "u", "c", "c_sum", "epsilon", "P1", "P2", "P3"):
            value = mine[f"principles_{key}"].iloc[number]
            assert value == pytest.approx(float(direct[key]), rel=1e-3, abs=1e-5), key
    drawn = found[found.method == "drawn"]
    for number, target in enumerate(drawn.target):

        def same_draws(masked, number=number, target=target):
            ids = torch.full((len(masked),), number)
            options = {"n_samples": 3, "seed": 0, "example_ids": ids}
            return GradientShap(net).attribute(masked, background, target=int(target), **options)

        direct = taylor.principles_table(
            {"drawn": same_draws}, net, rows[number : number + 1], target=int(target)
        )["drawn"].to_dict()
        for key in ("e1", "u", "c", "c_sum"):
            assert drawn[f"principles_{key}"].iloc[number] == pytest.approx(direct[key], rel=1e-3)


def test_principles_of_groups(tmp_path):
    """A method with groups writes their score on each member: it counts once."""
    torch.manual_seed(0)
    net, rows = torch.nn.Linear(20, 1), make_rows(2, 20)
    mask = (torch.arange(20) // 5)[None]
    with pytest.raises(ValueError, match="at most 16 players for all subsets, got 20"):
        audit(net, rows, "input_x_gradient", "principles", tmp_path / "a")
    asked = ("principles", {"feature_mask": mask})
    methods = ["input_x_gradient", ("feature_ablation", {"feature_mask": mask})]
    for metric, method in ((asked, methods[0]), (asked, methods[1]), ("principles", methods[1])):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        table = audit(net, rows, method, metric, out).rows()
        assert (table.filter(regex="_P") == 1).all(axis=None)
        assert (table.principles_c < 1e-5).all()


def test_groups_of_a_method_count_once_in_what_adds_up(tmp_path):
    net, rows = make_net(), make_rows()
    mask = torch.arange(rows.shape[1])[None] // 2
    methods = {
        "sums": ("integrated_gradients", {"n_steps": 60, "feature_mask": mask}),
        "players": ("shapley_values", {"feature_mask": mask}),
    }
    table = audit(net, rows, methods, ["completeness", "infidelity"], tmp_path / "a").rows()
    assert (table.completeness.abs() < 1e-4).all()
    asked = ("infidelity", {"feature_mask": mask})
    assert table.infidelity.equals(
        audit(net, rows, methods, asked, tmp_path / "b").rows().infidelity
    )


def test_principles_of_several_inputs_are_an_error(tmp_path):
    data = (make_rows(3, 2), make_rows(3, 2))
    with pytest.raises(ValueError, match="inputs must be one tensor for principles, got 2"):
        audit(lambda a, b: (a + b).sum(1), data, "input_x_gradient", "principles", tmp_path)


@pytest.mark.parametrize(
    ("metric", "option", "message"),
    [
        ("sparseness", {"order": 2}, "options of sparseness must be none, got 'order'"),
        ("insertion", {"steps": 2}, r"must be among .*n_points, .*, got 'steps'"),
        ("infidelity", {"perturb_func": len}, r"among .*perturb_radius, got 'perturb_func'"),
    ],
)
def test_options_of_a_metric_are_not_swallowed(tmp_path, metric, option, message):
    with pytest.raises(TypeError, match=message):
        audit(make_net(), make_rows(), "saliency", (metric, option), tmp_path)


@pytest.mark.parametrize(
    "metric",
    [
        ("infidelity", {"perturb_radius": 0.1, "n_perturb_samples": 2}),
        ("sensitivity_max", {"perturb_func": metrics.default_perturb_func}),
    ],
)
def test_options_that_only_an_audit_has_are_taken(tmp_path, metric):
    found = audit(make_net(), make_rows(), "saliency", metric, tmp_path, on_error="raise")
    assert np.isfinite(found.rows()[metric[0]]).all()
