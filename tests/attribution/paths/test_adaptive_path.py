"""Integrated gradients with as many nodes as each example needs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pyxai
from pyxai.attribution import IntegratedGradients


class Counted(torch.nn.Module):
    """Count the rows of each call."""

    def __init__(self, function):
        super().__init__()
        self.function, self.rows = function, []

    def forward(self, *parts):
        self.rows.append(len(parts[0]))
        return self.function(*parts)


def rows(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def counted_auto(model, inputs, **options):
    """Return what `auto` does, and how many rows it takes once the runner knows the model."""
    auto(model, inputs, **options)
    model.rows.clear()
    return *auto(model, inputs, **options), sum(model.rows)


def mlp(activation, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = torch.nn.Linear(5, 12), activation(), torch.nn.Linear(12, 3)
    return torch.nn.Sequential(*layers).double().eval()


def auto(model, inputs, **options):
    return IntegratedGradients(model).attribute(
        inputs, n_steps="auto", return_convergence_delta=True, **options
    )


def change(model, x, start, target):
    with torch.no_grad():
        return (model(x) - model(start))[:, target]


@pytest.mark.parametrize(("power", "exact"), [(1, True), (4, True), (5, True), (7, False)])
def test_five_nodes_are_exact_for_gradients_of_degree_four(power, exact):
    model = Counted(lambda x: x.pow(power).sum(1))  # whose gradient has one degree less
    x = rows(1, 3).abs() + 1
    values, delta, taken = counted_auto(model, x, tolerance=1)
    assert taken == 5  # both ends among them
    assert torch.allclose(values, x**power, rtol=1e-13, atol=0) == exact
    torch.testing.assert_close(delta, values.sum(1) - (x**power).sum(1), rtol=1e-9, atol=1e-11)


def test_nodes_go_where_the_output_turns():
    places = []

    def steep(x):
        places.extend(x[:, 0].tolist())
        return torch.sigmoid(200 * (x[:, 0] - 0.37))

    auto(steep, torch.ones(1, 1).double())
    places.clear()
    values, _ = auto(steep, torch.ones(1, 1).double())
    assert abs(float(values) - 1) < 0.01
    assert len(places) < 30  # Gauss-Legendre with 50 nodes is 2 % off
    assert sum(abs(place - 0.37) < 0.05 for place in places) > len(places) / 2


def test_kinks_are_estimated_one_by_one():
    # Every feature has a kink at a place of its own, so that errors cancel in the sum.
    places = torch.linspace(0.03, 0.97, 40).double()

    def model(x):
        return (torch.relu(x - places) / (1 - places)).sum(1)

    x, exact = torch.ones(1, 40).double(), torch.ones(1, 40).double()
    for tolerance in (0.03, 0.01, 0.003):
        values, _ = auto(model, x, tolerance=tolerance)
        error = float((values - exact).abs().mean())
        assert 0.1 * tolerance < error < 4 * tolerance  # the estimate is to be at most 2.5


def test_each_row_takes_what_it_takes_alone():
    scale = torch.tensor([0.01, 30.0, 1.0, 6.0, 0.3], dtype=torch.float64)
    model, x = Counted(lambda x: torch.tanh(x.sum(1))), scale[:, None] * torch.ones(5, 2).double()
    values, delta, together = counted_auto(model, x, tolerance=1e-4)
    alone = []
    for row in range(5):
        value, gap, taken = counted_auto(model, x[row : row + 1], tolerance=1e-4)
        torch.testing.assert_close(value[0], values[row], rtol=1e-13, atol=0)
        torch.testing.assert_close(gap[0], delta[row], rtol=1e-6, atol=1e-12)
        alone.append(taken)
    assert len(set(alone)) >= 4
    assert together == sum(alone)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from((torch.nn.ReLU, torch.nn.Tanh, torch.nn.GELU)),
    st.integers(0, 9),
    st.sampled_from((0.1, 0.01)),
    st.integers(1, 4),
)
def test_gaps_and_errors_of_nets_are_as_small_as_asked(activation, seed, tolerance, batch):
    model, x, start = mlp(activation, seed), rows(batch, 5, seed=seed), rows(1, 5, seed=seed + 99)
    values, delta = auto(model, x, baselines=start, target=1, tolerance=tolerance)
    moved = change(model, x, start, 1)
    assert (delta.abs() <= tolerance * moved.abs() + 1e-12).all()
    torch.testing.assert_close(delta, values.sum(1) - moved, rtol=1e-9, atol=1e-12)
    if activation is torch.nn.ReLU:
        return  # errors of single features are estimated, which kinks can mislead
    exact = IntegratedGradients(model).attribute(x, start, 1, n_steps=200)
    error, size = (values - exact).abs().sum(1), exact.abs().sum(1)
    assert (error <= 3 * tolerance * size).all()


def test_errors_that_cancel_in_the_sum_are_seen():
    def model(x):  # the two curves have gaps of one size and opposite signs
        return torch.tanh(9 * x[:, 0]) - torch.tanh(9 * x[:, 1]) + x[:, 2]

    x = torch.ones(1, 3).double()
    five = IntegratedGradients(model).attribute(x, n_steps=5, method="clenshawcurtis")
    assert abs(float(five.sum()) - 1) < 1e-12
    exact = torch.tensor([[1.0, -1.0, 1.0]]).double() * torch.tanh(torch.tensor(9.0).double())
    exact[0, 2] = 1.0
    assert (five - exact).abs().sum() > 0.15
    values, _ = auto(model, x)
    assert (values - exact).abs().sum() < 0.03 * exact.abs().sum()


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_not_met_is_told(sign):
    def jump(x):
        return sign * ((x[:, 0] > 0.3).double() + x[:, 0])

    x = torch.tensor([[1.0], [0.2], [0.6]], dtype=torch.float64)
    said = r"miss the tolerance of 0\.01 in 2 of 3 .*up to 0\.6\d* of the change.*max_steps=40"
    with pytest.warns(pyxai.PyxaiWarning, match=said):
        values, delta = auto(jump, x, max_steps=40)
    torch.testing.assert_close(values, sign * x)
    torch.testing.assert_close(delta, -sign * torch.tensor([1.0, 0.0, 1.0]).double())


def test_steep_slopes_and_small_tolerances_take_few_nodes():
    def steep(x):
        return torch.sigmoid(200 * (x[:, 0] - 0.37))

    model = Counted(steep)
    values, delta, taken = counted_auto(model, torch.ones(1, 1).double(), tolerance=1e-6)
    assert abs(float(delta)) <= 1e-6
    torch.testing.assert_close(values, torch.ones(1, 1).double(), rtol=0, atol=2e-6)
    assert taken < 200  # a rule for the whole path takes 513


def test_a_jump_is_given_up_where_pieces_are_narrow():
    model = Counted(lambda x: (x[:, 0] > 0.3).double() + x[:, 0])
    with pytest.warns(pyxai.PyxaiWarning, match=r"in 1 of 1 example"):
        auto(model, torch.ones(1, 1).double())
    model.rows.clear()
    with pytest.warns(pyxai.PyxaiWarning):
        auto(model, torch.ones(1, 1).double())
    assert sum(model.rows) < 100


@pytest.mark.parametrize("held", [1, 10**5])
def test_few_paths_at_a_time_get_what_all_get(monkeypatch, held):
    model, x = mlp(torch.nn.ReLU), rows(5, 5)
    expected = auto(model, x, target=0)
    monkeypatch.setattr("pyxai.attribution.paths.adaptive_path._HELD_BYTES", held)
    monkeypatch.setattr("pyxai.attribution.paths.path_pieces._ELEMENTS", held)
    for found, whole in zip(auto(model, x, target=0), expected, strict=True):
        torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-14)


def test_tiny_outputs_are_not_taken_for_none():
    x = torch.ones(1, 1)
    scaled, _ = auto(lambda x: 1e-30 * torch.tanh(30 * (x[:, 0] - 0.4)), x)
    plain, _ = auto(lambda x: torch.tanh(30 * (x[:, 0] - 0.4)), x)
    torch.testing.assert_close(scaled * 1e30, plain, rtol=1e-5, atol=0)


def test_halves_of_a_number_and_a_wider_input_come_back_in_their_dtypes():
    x = torch.ones(2, 3, dtype=torch.bfloat16), torch.full((2, 1), 2.0, dtype=torch.float64)

    def model(a, b):
        return a.double().pow(2).sum(1) + b[:, 0] ** 3

    (first, second), delta = auto(model, x, baselines=(0.5, torch.ones(1, 1).double()))
    assert (first.dtype, second.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(first, torch.full((2, 3), 0.75))
    torch.testing.assert_close(second, torch.full((2, 1), 7.0).double())
    assert delta.abs().max() < 1e-6


def test_one_output_for_the_whole_batch():
    x = rows(3, 4)
    values, delta = auto(lambda x: x.pow(4).sum(), x, tolerance=1e-6)
    torch.testing.assert_close(values, x**4)
    assert delta.shape == (1,)


def test_a_model_that_does_not_change_is_done_at_once():
    model = Counted(lambda x: x[:, 0] - x[:, 1])
    values, delta, taken = counted_auto(model, torch.ones(2, 2))
    assert torch.equal(values, torch.tensor([[1.0, -1.0]]).expand(2, 2))
    assert delta.dtype == torch.float32
    assert taken == 2 * 5


def test_several_inputs_targets_and_arguments_stay_with_their_rows():
    def model(a, b, weight):
        return torch.stack([torch.tanh(a * weight).sum(1), torch.exp(b[:, 0])], 1)

    a, b, weight = rows(4, 2), rows(4, 1, seed=1), torch.tensor([0.1, 9.0, 3.0, 1.0]).double()
    target, starts = torch.tensor([0, 0, 1, 0]), (rows(4, 2, seed=2), 0.5)
    given = {"tolerance": 1e-5, "target": target, "additional_forward_args": weight[:, None]}
    (first, second), delta = auto(model, (a, b), baselines=starts, **given)
    exact = IntegratedGradients(model).attribute(
        (a, b), starts, target, weight[:, None], n_steps=400
    )
    torch.testing.assert_close(first, exact[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(second, exact[1], rtol=1e-4, atol=1e-6)
    assert delta.shape == (4,)


def test_explain_takes_it_by_name():
    model, x = mlp(torch.nn.Tanh), rows(2, 5)
    found = pyxai.explain(model, x, method="integrated_gradients", target=0, n_steps="auto")
    expected, delta = auto(model, x, target=0)
    assert torch.equal(found.attributions, expected)
    torch.testing.assert_close(found.convergence_delta, delta, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": "many"}, "n_steps must be a number or 'auto', got 'many'"),
        ({"method": "midpoint"}, "method must be left out where n_steps is 'auto', got 'midp"),
        ({"tolerance": 0}, "tolerance must be positive, got 0"),
        ({"max_steps": 4}, "max_steps must be at least 5, got 4"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        IntegratedGradients(mlp(torch.nn.Tanh)).attribute(
            rows(2, 5), target=0, **{"n_steps": "auto", **options}
        )


def test_mean_gradients_have_no_gap():
    with pytest.raises(ValueError, match="multiply_by_inputs"):
        IntegratedGradients(mlp(torch.nn.Tanh), False).attribute(
            rows(2, 5), target=0, n_steps="auto"
        )
