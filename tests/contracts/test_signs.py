"""Data of both signs, wherever a size is taken: what is negative counts as much as its opposite."""

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, assert_close, having, run, with_option
from public_calls import CALLS, NET, X, drawn
from torch import nn

from pyxai import metrics, registry
from pyxai.attribution import GreedyPIG

# The sign of the output is part of these: absolute gradients, what raises an output, a positive
# output's relevance, positive gradients only, or a function of the output that is not odd.
NOT_ODD = {"saliency", "greedy_pig", "deep_taylor", "guided_backprop", "guided_grad_cam"}
NOT_ODD |= {"functional_information", "noise_tunnel", "deconvolution"}


class Negative(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return -self.net(x)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_ODD])
def test_the_negative_of_a_model_has_the_negative_attributions(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example)
    plain, turned = run(name, net, x), run(name, Negative(net).eval(), x)
    # The stabiliser of LRP, 1e-9, has the sign that the output had.
    tolerance = 1e-6 if name == "lrp" else 1e-10
    assert_close(turned.attributions, -plain.attributions, tolerance)
    if plain.convergence_delta is not None:
        assert_close(turned.convergence_delta, -plain.convergence_delta, tolerance)


@pytest.mark.parametrize(
    "name", [name for name in with_option("max_steps") if registry.get(name).complete]
)
def test_a_tolerance_is_met_by_deltas_of_both_signs(name):
    example = example_of(name)
    net, x = make_net(example), 4 * make_inputs(example, 8)
    options = {"n_steps": 2, "rule": "riemann_left"}
    coarse = run(name, net, x, **options).convergence_delta
    assert coarse.min() < -1e-2  # so that one side alone would miss some
    assert coarse.max() > 1e-2
    fine = run(name, net, x, tolerance=1e-2, **options).convergence_delta
    assert (fine.abs() <= 1e-2).all()


def test_the_delta_of_greedy_rounds_is_the_largest_gap_of_either_sign():
    example = example_of("greedy_pig")
    net, x = make_net(example), 3 * make_inputs(example, 12)
    call = {"target": 0, "output": "logit", "n_steps": 1, "rounds": 2}
    _, delta = GreedyPIG(net).attribute(x, return_convergence_delta=True, **call)
    gaps = GreedyPIG(net).select(x, with_values=True, **call).residuals
    assert_close(delta, gaps.abs().amax(1))
    assert (gaps.abs().amax(1) > gaps.amax(1) + 1e-3).any()
    fine = GreedyPIG(net).attribute(
        x, return_convergence_delta=True, tolerance=1e-3, max_steps=4096, **call
    )[1]
    assert ((fine >= 0) & (fine <= 1e-3)).all()


SCORED = {"attributions", "scores", "selected"}
ABSOLUTE = [
    (name, argument)
    for name, call in CALLS.items()
    if "absolute" in call.defaults()
    for argument in SCORED & set(call.arguments)
    if call.arguments[argument].is_floating_point()
]


@pytest.mark.parametrize(("name", "argument"), ABSOLUTE)
def test_absolute_values_have_no_sign(name, argument):
    call = CALLS[name]
    values = call.arguments[argument]
    signs = torch.where(drawn(*values.shape, seed=7) > 0, 1.0, -1.0).double()

    def found(absolute, scores):
        result = call(absolute=absolute, **{argument: scores})
        if isinstance(result, tuple):
            result = result[0]
        return result.y if hasattr(result, "y") else result

    assert (values < 0).any()
    assert_close(found(True, values), found(True, values * signs))
    assert_close(found(True, values), found(False, values.abs()))
    assert not torch.equal(found(True, values), found(False, values))


def test_absolute_values_are_asked_of_as_many_functions_as_have_them():
    names = {name for name, _ in ABSOLUTE}
    assert {"insertion", "deletion", "comprehensiveness", "sufficiency", "greedy_select"} <= names
    assert {"selection_rates", "graph_fidelity"} <= names


def test_sizes_in_metrics_have_no_sign():
    values = drawn(3, 4, seed=1)
    assert_close(metrics.sparseness(values), metrics.sparseness(values.abs()))
    assert_close(metrics.sparseness(values), metrics.sparseness(-values))

    def moved(inputs):
        return inputs * 0.1, inputs * 0.9

    infidelities = [
        metrics.infidelity(
            model, moved, X, scale * values, target=0, n_perturb_samples=3, normalize=True
        )
        for model in (NET, Negative(NET).eval())
        for scale in (1.0, -1.0, 5.0)
    ]
    # The scale of the attributions is fitted, with its sign.
    for other in infidelities[1:]:
        assert_close(other, infidelities[0])


@pytest.mark.parametrize("name", having(lambda method: method.complete))
def test_deltas_of_both_signs_are_reported(name):
    """Of a method that is handed attributions too large and too small by as much."""
    example = example_of(name)
    net, x = make_net(example), make_inputs(example)
    method = registry.get(name).factory(net)
    values = run(name, net, x).attributions
    exact = method.compute_convergence_delta(values, 0.0, x, target=0)
    for shift in (-0.25, 0.25):
        wrong = values.clone()
        wrong.view(len(x), -1)[:, 1] += shift
        found = method.compute_convergence_delta(wrong, 0.0, x, target=0)
        assert_close(found, exact + shift)
