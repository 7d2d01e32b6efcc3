"""Extra arguments of models: which follow the rows and which all rows share, for every method."""

import inspect

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, assert_close, makes, run, with_option
from torch import nn

import pyxai
from pyxai import Shared, metrics
from pyxai.attribution import (
    ExpectedGradients,
    FeatureAblation,
    GradientShap,
    IntegratedGradients,
    KernelShap,
    NoiseTunnel,
)

W = torch.tensor([1.0, 2.0, 3.0])


def weighted(rows, weights):
    return rows.sum(1) * weights.sum()


@pytest.mark.parametrize("rows", [2, 3, 4])
@pytest.mark.parametrize("method", [IntegratedGradients, FeatureAblation, KernelShap])
def test_weights_as_many_as_rows(method, rows):
    x = torch.ones(rows, 2)
    expected = torch.full((rows, 2), 6.0)
    found = method(weighted).attribute(x, additional_forward_args=Shared(W))
    assert_close(found, expected, 1e-5)
    if rows != len(W):  # the guess by size sees that these are no rows
        assert_close(method(weighted).attribute(x, additional_forward_args=W), expected, 1e-5)


def steep(rows, weights):
    return torch.tanh(rows * torch.arange(1.0, 9.0, 4)).sum(1) * weights.sum()


COPIES = {  # what takes some of the examples, or copies of them
    "adaptive steps": lambda x, w: IntegratedGradients(steep).attribute(
        x, n_steps="auto", internal_batch_size=2, additional_forward_args=w
    ),
    "noise tunnel": lambda x, w: NoiseTunnel(IntegratedGradients(steep)).attribute(
        x, nt_samples=2, n_steps=3, internal_batch_size=2, additional_forward_args=w
    ),
    "expected gradients": lambda x, w: ExpectedGradients(steep).attribute(
        x, torch.eye(2), n_steps=3, internal_batch_size=2, additional_forward_args=w
    ),
    "draws to a tolerance": lambda x, w: GradientShap(steep).attribute(
        x, torch.eye(2), tolerance=1.0, max_evals=64, internal_batch_size=2,
        additional_forward_args=w,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")  # of tolerances
@pytest.mark.parametrize("name", COPIES)
def test_weights_as_many_as_copies_of_rows(name):
    x = torch.tensor([[0.1, 0.1], [1.0, -1.0], [0.5, 2.0]])
    for count in (1, 2, 4, 6, 8, 12):
        weights = torch.arange(1.0, 1 + count)
        found, expected = (COPIES[name](x, given) for given in (weights, Shared(weights)))
        assert_close(found, expected, 1e-5)


def test_without_the_mark_a_tensor_as_long_as_the_batch_has_a_row_for_each_example():
    def per_row(rows, weights):
        return rows.sum(1) * weights

    found = IntegratedGradients(per_row).attribute(torch.ones(3, 2), additional_forward_args=W)
    assert_close(found, W[:, None].expand(3, 2), 1e-5)


def test_what_was_learned_of_shared_weights_is_not_used_for_rows():
    def linear(rows, weights):  # three weights are taken for rows of three examples, and fail so
        return rows @ weights

    method = IntegratedGradients(linear)
    for rows in (4, 3, 4):
        found = method.attribute(torch.ones(rows, 3), additional_forward_args=W)
        assert_close(found, W.expand(rows, 3), 1e-5)


class Scaled(nn.Module):
    """A net times the sum of weights that are given in some form, and times a factor per row."""

    def __init__(self, net, pick):
        super().__init__()
        self.net, self.pick = net, pick

    def forward(self, rows, given, factors):
        weights = self.pick(given)
        total = torch.sparse.sum(weights) if weights.is_sparse else weights.sum()
        return self.net(rows) * total * factors[:, None]


ONES = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)  # its sum is 1
FORMS = {
    "alone": (Shared(ONES), lambda given: given),
    "in a dict": ({"weights": Shared(ONES), "n": 3}, lambda given: given["weights"]),
    "in a tuple": ((2, Shared(ONES)), lambda given: given[1]),
    "a dict": (Shared({"weights": (ONES, None)}), lambda given: given["weights"][0]),
    "sparse": (Shared(ONES.to_sparse()), lambda given: given),
    "sparse of another size": (torch.eye(4).double().to_sparse() / 4, lambda given: given),
}


@pytest.mark.parametrize("form", ["in a dict", "sparse"])
@pytest.mark.parametrize("name", NAMES)
def test_shared_arguments_reach_the_model_as_they_are(name, form):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example, 3)
    given, pick = FORMS[form]
    factors = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    model = Scaled(net, pick).eval()
    found = run(name, model, x, 1, additional_forward_args=(given, factors))
    for row in range(3):
        one = slice(row, row + 1)
        if name == "feature_permutation":  # mixes rows
            return
        alone = run(name, model, x[one], 1, additional_forward_args=(given, factors[one]))
        assert_close(found.attributions[one], alone.attributions)
    plain = Scaled(net, lambda given: given).eval()
    other = (torch.ones(1, dtype=torch.float64)[0], factors)  # a scalar follows no row
    assert_close(
        found.attributions, run(name, plain, x, 1, additional_forward_args=other).attributions
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["integrated_gradients", "deep_lift_shap", "noise_tunnel"])
def test_every_form_of_sharing(method, form):
    example = example_of(method)
    net, x = make_net(example), make_inputs(example, 3)
    given, pick = FORMS[form]
    factors = torch.ones(3, dtype=torch.float64)
    found = run(method, Scaled(net, pick).eval(), x, 1, additional_forward_args=(given, factors))
    assert_close(found.attributions, run(method, net, x, 1).attributions)


@pytest.mark.parametrize("name", NAMES)
def test_sparse_arguments_are_passed_as_they_are_or_refused(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example, 3)
    factors = torch.ones(3, dtype=torch.float64)
    model = Scaled(net, lambda given: given).eval()
    try:
        found = run(name, model, x, 1, additional_forward_args=(ONES.to_sparse(), factors))
    except TypeError as error:
        found, message = None, str(error)
    if found is None:
        assert message.startswith("additional_forward_args must be dense tensors where they have")
        assert "pyxai.Shared(value)" in message
    else:
        expected = run(name, model, x, 1, additional_forward_args=(Shared(ONES), factors))
        assert_close(found.attributions, expected.attributions)


def test_metrics_share_what_is_marked():
    def plain(rows):
        return rows.prod(1) * 6

    def marked(rows, weights):
        return rows.prod(1) * weights.sum()

    x = torch.rand(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shared = {"additional_forward_args": Shared(W.double())}
    scores = IntegratedGradients(plain).attribute(x)
    for metric in (metrics.insertion, metrics.deletion, metrics.sufficiency):
        left, right = metric(plain, x, scores), metric(marked, x, scores, **shared)
        assert_close(getattr(right, "y", right), getattr(left, "y", left))
    assert_close(
        metrics.completeness(marked, x, scores, **shared), metrics.completeness(plain, x, scores)
    )
    moved = metrics.sensitivity_max(IntegratedGradients(marked).attribute, x, **shared)
    assert_close(moved, metrics.sensitivity_max(IntegratedGradients(plain).attribute, x))

    def perturb(rows):
        return rows * 0.1, rows * 0.9

    found = metrics.infidelity(marked, perturb, x, scores, **shared)
    assert_close(found, metrics.infidelity(plain, perturb, x, scores))
    values = [
        pyxai.Game(model, x, **given).values(torch.ones(1, 2, dtype=torch.bool))
        for model, given in ((marked, shared), (plain, {}))
    ]
    assert_close(*values)


def test_sparse_options_of_an_explanation_are_passed_as_they_are():
    table = torch.eye(3, dtype=torch.float64).to_sparse()

    def explanation(rows, table):
        assert table.is_sparse
        assert table.shape == (3, 3)
        return rows * torch.sparse.sum(table)

    x = torch.ones(3, 2, dtype=torch.float64)
    found = metrics.sensitivity_max(explanation, x, table=table)
    assert_close(found, metrics.sensitivity_max(lambda rows: rows * 3, x))


def test_explanations_keep_the_mark(tmp_path):
    given = ({"weights": Shared(W)}, 2)
    x = torch.ones(3, 2)
    explanation = pyxai.explain(
        lambda rows, options, _: weighted(rows, options["weights"]),
        x,
        method="saliency",
        additional_forward_args=given,
    )
    for kept in (
        pyxai.Explanation.load(explanation.save(tmp_path / "kept")),
        explanation.to("cpu"),
        explanation[1],
    ):
        shared = kept.options["additional_forward_args"][0]["weights"]
        assert isinstance(shared, Shared)
        assert torch.equal(shared.value, W)
    moved = explanation.to("meta").options["additional_forward_args"][0]["weights"]
    assert moved.value.device.type == "meta"


TAKING = with_option("additional_forward_args")


@pytest.mark.parametrize("name", TAKING)
def test_docstrings_say_how_the_guess_is_made(name):
    words = " ".join(inspect.getdoc(makes(name).attribute).split())
    if name != "noise_tunnel":  # passes them on
        assert "A tensor whose first size is that of the batch is taken to hold a row" in words
        assert "`pyxai.Shared` says that all rows share it" in words
