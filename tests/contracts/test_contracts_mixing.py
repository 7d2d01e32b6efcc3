"""Models that mix their rows: for every method, and whoever multiplies its rows."""

import re

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, assert_close, method_of, run
from torch import nn

from pyxai import PyxaiWarning, metrics, registry, taylor
from pyxai.attribution import (
    DeepLiftShap,
    ExpectedGradients,
    GreedyPIG,
    IntegratedGradients,
    NoiseTunnel,
    Saliency,
)
from pyxai.selection.losses import RowGains
from pyxai.selection.scoring import Hit, Margin

W = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
X = torch.tensor([[0.3, -0.4, 0.2]], dtype=torch.float64)
BASELINES = torch.tensor(
    [[0.0, 0.0, 0.0], [0.1, 0.1, 0.1], [0.2, 0.0, 0.0], [0.0, 0.3, 0.0]], dtype=torch.float64
)


class Tanh(nn.Module):
    def forward(self, rows):
        return torch.tanh(rows @ W)


class MeanTanh(Tanh):
    def forward(self, rows):
        return super().forward(rows).mean(0, keepdim=True)


# The path is a line, on which all features share one integral: f(x) - f(0) by their terms.
SHARES = torch.tanh(X @ W) * X * W / (X @ W)


def test_the_mean_of_one_row_is_that_row():
    ig = IntegratedGradients(MeanTanh())
    assert_close(ig.attribute(X), SHARES, 1e-9)
    expected = torch.tensor([[0.2084, 0.5558, 0.0695]], dtype=torch.float64)
    assert_close(ig.attribute(X), expected, 1e-4)
    assert_close(NoiseTunnel(ig).attribute(X, stdevs=0.0, nt_samples=5), SHARES, 1e-9)


@pytest.mark.parametrize("method", [DeepLiftShap, ExpectedGradients])
def test_baselines_are_averaged_for_means_of_rows(method):
    expected, gaps = method(Tanh()).attribute(X, BASELINES, return_convergence_delta=True)
    found, delta = method(MeanTanh()).attribute(X, BASELINES, return_convergence_delta=True)
    assert_close(found, expected)
    assert_close(delta, gaps)
    mean = torch.tanh(BASELINES @ W).mean()
    assert_close(found.sum(), torch.tanh(X @ W)[0] - mean, 1e-9)


def test_sensitivity_of_the_mean_of_one_row():
    mixed, apart = (IntegratedGradients(model()).attribute for model in (MeanTanh, Tanh))
    found = metrics.sensitivity_max(mixed, X, perturb_radius=0.1)
    assert_close(found, metrics.sensitivity_max(apart, X, perturb_radius=0.1))
    assert 0.16 < float(found) < 0.18
    hidden = metrics.sensitivity_max(lambda rows: mixed(rows), X, perturb_radius=0.1)
    assert_close(hidden, found)


class Mean(nn.Module):
    """The mean over the rows of a batch, of one output or of all."""

    def __init__(self, net, form):
        super().__init__()
        self.net, self.form = net, form

    def forward(self, rows):
        outputs = self.net(rows)
        if self.form == "classes":  # [1, n_classes]
            return outputs.mean(0, keepdim=True)
        return outputs[:, 1].mean(0, keepdim=self.form == "one value")


FORMS = {"classes": 1, "one value": None, "scalar": None}
REFUSING = ("functional_information", "idgi")  # they ask for the output of each example
OWN_DRAWS = ("feature_permutation", "kernel_shap", "lime", "shapley_value_sampling")
ALONE = [name for name in NAMES if name != "feature_permutation"]  # needs a second row


@pytest.mark.parametrize("form", ["classes", "scalar"])
@pytest.mark.parametrize("name", ALONE)
def test_the_mean_of_one_row_is_explained_as_that_row(name, form):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example, 1)
    expected = run(name, net, x, 1)
    found = run(name, Mean(net, form).eval(), x, FORMS[form])
    assert_close(found.attributions, expected.attributions, 1e-8)
    if expected.convergence_delta is not None:
        assert_close(found.convergence_delta, expected.convergence_delta, 1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_of_several_rows_is_shared_by_them_or_refused(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example, 3)
    model = Mean(net, "one value").eval()
    if name in REFUSING:
        with pytest.raises(ValueError, match=r"^model must return one .* got one .* all"):
            run(name, model, x, None)
        return
    apart, found = run(name, net, x, 1).attributions, run(name, model, x, None)
    if name not in OWN_DRAWS:
        one = len(found.attributions) == 1  # captum's form: all rows perturbed at once
        parts = 9 if name == "guided_grad_cam" else 3  # the product of two gradients
        parts = 1 if name == "greedy_pig" else parts  # ranks
        expected = apart.mean(0, keepdim=True) if one else apart / parts
        assert_close(found.attributions, expected, 1e-8)
    delta = found.convergence_delta
    if delta is not None:
        assert len(delta) == (5 if name in ("deep_lift_shap", "gradient_shap") else 1)
        if registry.get(name).complete:
            assert float(delta.abs().max()) <= example.delta


WRAPPED = [name for name in ALONE if name != "noise_tunnel"]


@pytest.mark.parametrize(("form", "rows"), [("classes", 1), ("one value", 2)])
@pytest.mark.parametrize(
    "name", [n for n in WRAPPED if registry.get(n).baselines != "distribution"]
)
def test_noise_of_size_zero_changes_nothing(name, form, rows):
    example = example_of(name)
    model, x = Mean(make_net(example), form).eval(), make_inputs(example, rows)
    method, options = method_of(name, model)
    tunnel = NoiseTunnel(method)
    options |= {"target": FORMS[form]}
    if rows > 1 and name in REFUSING:
        for call in (method, tunnel):
            with pytest.raises(ValueError, match="model must return"):
                call.attribute(x, **options)
        return
    expected = method.attribute(x, **options)
    assert_close(tunnel.attribute(x, stdevs=0.0, nt_samples=3, **options), expected, 1e-8)


@pytest.mark.parametrize("name", WRAPPED)
def test_sensitivity_is_that_of_the_row(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example, 1)
    found = []
    for model, target in ((net, 1), (Mean(net, "classes").eval(), 1)):
        method, options = method_of(name, model)
        changes = {"n_perturb_samples": 3, "perturb_radius": 0.1, "target": target, **options}
        found.append(metrics.sensitivity_max(method.attribute, x, **changes))
    assert_close(found[1], found[0], 1e-7)


def perturb(rows):
    return rows * 0.1, rows * 0.9


METRICS = {
    "insertion": lambda model, x: metrics.insertion(model, x, x * 2, target=1).y,
    "deletion": lambda model, x: metrics.deletion(model, x, x * 2, target=1).y,
    "softmax_auc": lambda model, x: metrics.softmax_auc(model, x, x * 2, target=1).y,
    "kl_auc": lambda model, x: metrics.kl_auc(model, x, x * 2).y,
    "comprehensiveness": lambda model, x: metrics.comprehensiveness(model, x, x * 2, target=1),
    "sufficiency": lambda model, x: metrics.sufficiency(model, x, x * 2, target=1),
    "completeness": lambda model, x: metrics.completeness(model, x, x * 2, target=1),
    "infidelity": lambda model, x: metrics.infidelity(model, perturb, x, x * 2, target=1),
    "divergence": lambda model, x: GreedyPIG(model).attribute(x, output="kl"),
    "harsanyi_dividends": lambda model, x: taylor.harsanyi_dividends(model, x, target=1).values,
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_the_mean_are_those_of_the_row_or_refused(name):
    net, x = make_net(example_of("saliency")), make_inputs(example_of("saliency"), 3)
    model = Mean(net, "classes").eval()
    assert_close(METRICS[name](model, x[:1]), METRICS[name](net, x[:1]), 1e-8)
    with pytest.raises(ValueError, match=r"^model must return one row for each of 3 input rows"):
        METRICS[name](model, x)


def test_several_rows_do_not_take_part_in_a_row_of_their_own():
    # Outputs that would broadcast against what belongs to the rows.
    net, x = make_net(example_of("saliency")), make_inputs(example_of("saliency"), 3)
    for model in (Mean(net, "classes"), Mean(net, "one value")):
        for made in (Margin(model), Hit(model), RowGains(model, "cross_entropy")):
            with pytest.raises(ValueError, match=r"^model must return one row for each of 3"):
                made(x, torch.tensor([0, 1, 1]))


def test_information_curves_refuse_one_output_of_all_pictures():
    picture = torch.arange(3 * 16 * 16).remainder(251).view(1, 3, 16, 16).to(torch.uint8)
    scores = picture.double().sum(1)

    def mean(rows):
        return rows.flatten(1)[:, :3].mean(0, keepdim=True)

    for curve in (metrics.softmax_information_curve, metrics.accuracy_information_curve):
        with pytest.raises(
            ValueError, match=r"^model must return one row for each of 2 input rows"
        ):
            curve(mean, picture, scores, target=1)


class Normed(nn.Module):
    """An output for each row, which the rows beside it scale."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, rows):
        outputs = self.net(rows)
        return outputs / (1 + outputs.square().mean(0, keepdim=True))


BESIDE = "another (output|one) .* beside "


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", ALONE)
def test_rows_that_scale_each_other_are_explained_alone_or_refused(name):
    example = example_of(name)
    model, x = Normed(make_net(example)).eval(), make_inputs(example, 3)
    try:
        with pytest.warns(PyxaiWarning, match=BESIDE):
            found = run(name, model, x, 1)
    except ValueError as error:
        assert registry.get(name).needs == "module"
        assert re.search(BESIDE, str(error))  # noqa: PT017
        return
    alone = run(name, model, x[1:2], 1)
    assert_close(found.attributions[1:2], alone.attributions, 1e-10)
    assert_close(found.outputs[1:2], alone.outputs, 1e-10)


class Centred(nn.Module):
    """Takes half of the mean over rows off its hidden units, or half of each row."""

    def __init__(self, net, *, mixes):
        super().__init__()
        self.net, self.mixes = net, mixes

    def forward(self, rows):
        hidden = self.net[0](rows)
        return self.net[1:](hidden - 0.5 * (hidden.mean(0, keepdim=True) if self.mixes else hidden))


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", ALONE)
def test_what_a_row_is_compared_with_is_not_beside_it(name):
    example = example_of(name)
    x = make_inputs(example, 1)
    mixed, apart = (
        run(name, Centred(make_net(example), mixes=mixes).eval(), x, 1) for mixes in (True, False)
    )
    assert_close(mixed.attributions, apart.attributions, 1e-8)


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", METRICS)
def test_rows_that_scale_each_other_are_judged_alone(name):
    example = example_of("saliency")
    model, x = Normed(make_net(example)).eval(), make_inputs(example, 3)
    with pytest.warns(PyxaiWarning, match=BESIDE):
        found = METRICS[name](model, x)
    assert_close(found[1:2], METRICS[name](model, x[1:2]), 1e-10)


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
def test_rows_that_are_equal_do_not_hide_what_they_do_to_each_other():
    net = make_net(example_of("saliency"))
    x = make_inputs(example_of("saliency"), 3)
    x[1] = x[0]
    mixed, apart = (Centred(net, mixes=mixes).eval() for mixes in (True, False))
    for rows in (x, x.flip(0)):
        found, expected = (Saliency(model).attribute(rows, target=1) for model in (mixed, apart))
        assert_close(found, expected)


def test_what_was_seen_of_rows_beside_each_other_is_kept():
    model, calls = Normed(nn.Linear(3, 2)).eval(), []
    model.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    for seen in ([2, 2, 1, 1, 1], [1, 1]):
        with pytest.warns(PyxaiWarning, match=BESIDE):
            Saliency(model).attribute(torch.rand(2, 3), target=0)
        assert calls == seen
        calls.clear()
    plain = nn.Linear(3, 2)
    plain.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    for seen in ([2, 2, 2], [2]):
        Saliency(plain).attribute(torch.rand(2, 3), target=0)
        assert calls == seen
        calls.clear()


def test_models_that_need_other_rows_get_them():
    """Batch norm that adapts to its batch does not run on one row."""
    norm = nn.BatchNorm1d(3).double().eval()
    x = make_inputs(example_of("saliency"), 4)[:, :3]

    def adapted(rows):
        return nn.functional.batch_norm(rows, None, None, norm.weight, norm.bias, training=True)

    with pytest.warns(PyxaiWarning, match="does not run on a single one"):
        found = Saliency(adapted).attribute(x, target=0)
    leaf = x.clone().requires_grad_()
    (grad,) = torch.autograd.grad(adapted(leaf)[:, 0].sum(), leaf)
    assert_close(found, grad.abs(), 1e-12)
