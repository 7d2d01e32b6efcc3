"""Feature masks that differ from example to example: every row is a game of its own."""

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net

import pyxai
from pyxai.attribution import (
    FeatureAblation,
    GreedyPIG,
    KernelShap,
    Lime,
    ShapleyValues,
    ShapleyValueSampling,
)
from pyxai.game import linear_path
from pyxai.imputers import Marginal

MASK = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 2, 3, 4], [0] * 5, [4, 4, 4, 4, 1]])


def mixed(z):
    """A function with an interaction, so that a wrong player changes the values."""
    return z[:, 0] + 10 * z[:, 1] + 100 * z[:, 2] + z[:, 0] * z[:, 1]


@pytest.mark.parametrize("method", ["shapley_values", "kernel_shap", "shapley_value_sampling"])
def test_values_belong_to_the_players_of_the_row(method):
    x = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 3.0]], dtype=torch.float64)
    mask = torch.tensor([[0, 2, 3], [0, 1, 2]])
    # Two orders at a time, one the reverse of the other, are exact for pairs of players.
    options = {"n_samples": 2, "return_error": False} if method == "shapley_value_sampling" else {}
    values = pyxai.explain(mixed, x, method=method, feature_mask=mask, **options).attributions
    expected = torch.tensor([[2, 21, 0], [2, 21, 300]], dtype=torch.float64)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-10)


def cubic(z):
    return (z**3).sum(1) + 4 * z.prod(1) + z[:, 0] * z[:, 4]


@pytest.mark.parametrize("cls", [KernelShap, ShapleyValueSampling])
def test_rows_that_go_on_after_others_keep_their_players(cls):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 5, generator=generator, dtype=torch.float64) + 1
    x[:3] *= 0.01  # these meet the tolerance at once
    mask = torch.tensor([[0, 2, 4, 6, 8], [0, 2, 4, 6, 8], [0, 1, 2, 3, 4]]).repeat(2, 1)
    options = {"tolerance": 0.05, "max_evals": 10**5, "n_samples": 12}
    if cls is ShapleyValueSampling:
        options["n_samples"] = 4
    values = cls(cubic).attribute(x, feature_mask=mask, **options)
    exact = ShapleyValues(cubic).attribute(x)
    assert float((values - exact).abs().max()) < 0.3
    for row in range(6):
        one = slice(row, row + 1)
        alone = cls(cubic).attribute(x[one], feature_mask=mask[one], **options)
        torch.testing.assert_close(values[one], alone, rtol=0, atol=1e-10)


def test_imputed_players_are_those_of_the_row():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    imputer = Marginal(torch.randn(3, 5, generator=generator, dtype=torch.float64))
    explainer = KernelShap(cubic)
    values = explainer.attribute(x, feature_mask=MASK, imputer=imputer, n_samples=10)
    for row in range(4):
        one = slice(row, row + 1)
        alone = explainer.attribute(x[one], feature_mask=MASK[one], imputer=imputer, n_samples=10)
        torch.testing.assert_close(values[one], alone, rtol=0, atol=1e-10)


def test_one_player_gets_the_difference():
    x = make_inputs(example_of("shapley_values"), 4)[:, :5]
    values = ShapleyValues(cubic).attribute(x, feature_mask=MASK)
    ablated = FeatureAblation(cubic).attribute(x, feature_mask=MASK)
    torch.testing.assert_close(values[2], ablated[2], rtol=0, atol=1e-12)


def rows_alone(explainer, x, **options):
    """Explain each row by itself."""
    rows = [slice(row, row + 1) for row in range(len(x))]
    return [explainer.attribute(x[one], feature_mask=MASK[one], **options) for one in rows]


def test_lime_columns_are_players_and_those_missing_get_zero():
    x = make_inputs(example_of("lime"), 4)[:, :5]
    explainer, options = Lime(cubic), {"n_samples": 40, "return_input_shape": False}
    columns = explainer.attribute(x, feature_mask=MASK, **options)
    for row, alone in enumerate(rows_alone(explainer, x, **options)):
        players = MASK[row].unique()
        torch.testing.assert_close(columns[row, players], alone[0], rtol=0, atol=1e-10)
        others = [player for player in range(5) if player not in players]
        assert (columns[row, others] == 0).all()


@pytest.mark.parametrize("fast_path", [False, True])
def test_greedy_gains_and_deltas_are_those_of_the_row(fast_path, monkeypatch):
    monkeypatch.setattr(linear_path, "_pays", lambda *sizes: True)
    monkeypatch.setattr(linear_path, "_LEAST_READ", 0)
    model = make_net(example_of("greedy_pig"))
    x = make_inputs(example_of("greedy_pig"), 4)
    mask = torch.cat([MASK, MASK[:, :1]], 1)
    options = {"scores": "telescoped", "return_convergence_delta": True, "target": 1}
    options["fast_path"] = fast_path
    explainer = GreedyPIG(model)
    scores, deltas = explainer.attribute(x, feature_mask=mask, **options)
    for row in range(4):
        one = slice(row, row + 1)
        alone, delta = explainer.attribute(x[one], feature_mask=mask[one], **options)
        torch.testing.assert_close(scores[one], alone, rtol=0, atol=1e-10)
        torch.testing.assert_close(deltas[one], delta, rtol=0, atol=1e-10)


def test_one_table_of_rounds_needs_the_same_players():
    x = make_inputs(example_of("greedy_pig"), 4)[:, :5]
    with pytest.raises(ValueError, match="feature_mask must have the same numbers for all exam"):
        GreedyPIG(cubic).select(x, feature_mask=MASK, output="logit")
    swapped = torch.tensor([[0, 0, 1, 1, 2], [2, 1, 1, 0, 0]])
    rounds = GreedyPIG(cubic).select(x[:2], feature_mask=swapped, output="logit")
    assert rounds.order.shape == (2, 3)
