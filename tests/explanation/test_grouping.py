"""Explanations by groups: sums, names, tables, pictures, and what has no sums."""

import dataclasses

import numpy as np
import pytest
import torch

import pyxai
from pyxai import Explanation, metrics

D = torch.float64
WORDS = torch.tensor([[0, 0, 1, 2], [0, 1, 1, 1], [2, 2, 2, 2]])
VALUES = torch.tensor([[1.0, 2, -4, 0.5], [1, 2, 3, 4], [-1, 1, 1, -0.5]], dtype=D)
SUMS = torch.tensor([[3.0, -4, 0.5], [1, 9, 0], [0, 0, 0.5]], dtype=D)


def made(**fields):
    return Explanation(VALUES, VALUES, method="by_hand", **fields)


def test_each_example_has_groups_of_its_own():
    found = made().grouped(WORDS)
    expected = [[3, 3, -4, 0.5], [1, 9, 9, 9], [0.5] * 4]
    assert torch.equal(found.attributions, torch.tensor(expected, dtype=D))
    assert torch.equal(found.group_scores(), SUMS)
    assert torch.equal(found[[2, 0]].attributions, found.attributions[[2, 0]])
    assert torch.equal(found[[2, 0]].group_scores(), SUMS[[2, 0]])
    assert found.options["feature_mask"] is WORDS


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.float32, np.int64, np.int32])
def test_masks_are_of_any_dtype_and_may_be_arrays(dtype):
    mask = WORDS.numpy().astype(dtype) if not isinstance(dtype, torch.dtype) else WORDS.to(dtype)
    assert torch.equal(made().grouped(mask).group_scores(), SUMS)


def test_groups_reach_over_several_inputs():
    parts = (VALUES[:, :3].float(), VALUES.reshape(3, 2, 2))
    masks = (torch.tensor([5, 0, 0]), torch.tensor([[[5], [7]]]))
    found = Explanation(parts, parts, method="by_hand").grouped(masks)
    zero = VALUES[:, 1:3].sum(1)
    five = VALUES[:, 0] + VALUES[:, :2].sum(1)
    seven = VALUES[:, 2:].sum(1)
    torch.testing.assert_close(found.group_scores(), torch.stack([zero, five, seven], 1))
    torch.testing.assert_close(found.attributions[0][:, 0], five.float())
    torch.testing.assert_close(found.attributions[1][:, 1, 0], seven)
    assert [part.dtype for part in found.attributions] == [torch.float32, D]


def test_names_are_of_groups_or_of_features():
    named = made().grouped(WORDS, ["unreal", "city", "fog"])
    assert named[0].top() == [("city", -4.0), ("unreal", 3.0), ("fog", 0.5)]
    assert named[2].top() == [("fog", 0.5)]
    each = made().grouped(WORDS, [["unreal", "city", "!"], ["a", "b"], ["c"]])
    assert each[1].top() == [("b", 9.0), ("a", 1.0)]
    kept = made(feature_names=list("abcd")).grouped(torch.tensor([0, 0, 1, 1]))
    assert kept[0].top() == [("c and 1 more", -3.5), ("a and 1 more", 3.0)]
    with pytest.raises(ValueError, match="feature_names must have one name for each of 4 feat"):
        made().grouped(WORDS, ["one", "two", "three", "four", "five"])


def test_tables_have_a_column_for_each_number_where_rows_differ():
    table = made().grouped(WORDS, ["unreal", "city", "fog"]).to_pandas()
    assert list(table.columns) == ["unreal", "city", "fog"]
    np.testing.assert_array_equal(table.to_numpy(), SUMS.numpy())
    names = [["unreal", "city", "!"], ["unreal", "fog"], ["!"]]
    assert list(made().grouped(WORDS, names).to_pandas().columns) == ["unreal", "group 1", "!"]
    error = made(error=VALUES.abs()).grouped(WORDS).to_pandas("error")
    assert list(error.columns) == ["group 0", "group 1", "group 2"]
    np.testing.assert_array_equal(error.to_numpy()[0], [3, 4, 0.5])


def test_errors_of_sums_are_bounded_and_those_that_are_unknown_stay_so():
    error = torch.tensor([[1, 2, 0.5, torch.inf], [1, 2, 3, 4], [torch.inf, 0, 0, 0]], dtype=D)
    found = made(error=error).grouped(WORDS).error
    inf = torch.inf
    expected = [[3, 3, 0.5, inf], [1, 9, 9, 9], [inf] * 4]
    assert torch.equal(found, torch.tensor(expected, dtype=D))


def test_groups_of_groups_count_each_once():
    once = made(error=VALUES.abs()).grouped(WORDS)
    again = once.grouped(WORDS)
    assert torch.equal(again.attributions, once.attributions)
    assert torch.equal(again.error, once.error)
    rows = once.grouped(torch.zeros(1, 4))
    assert torch.equal(rows.group_scores()[:, 0], VALUES.sum(1))
    assert torch.equal(rows.error[:, 0], VALUES.abs().sum(1))


def test_a_mask_by_which_nothing_was_explained_makes_no_groups():
    found = made(options={"feature_mask": WORDS})
    assert torch.equal(found.group_scores(), VALUES)
    assert torch.equal(found.grouped(WORDS).group_scores(), SUMS)


def test_the_error_of_a_sum_is_not_above_the_bound():
    x = torch.tensor([[1.0, -2.0, 0.5]], dtype=D)
    background = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=D)
    call = {"method": "gradient_shap", "baselines": background, "n_samples": 50, "stdevs": 0.2}

    def model(z):
        return (z**2).sum(1) * z[:, 0]

    mask = torch.tensor([0, 0, 1])
    draws = [pyxai.explain(model, x, feature_mask=mask, seed=seed, **call) for seed in range(60)]
    sums = torch.cat([draw.group_scores() for draw in draws])
    bound = torch.stack([draw.error[0, [0, 2]] for draw in draws]).mean(0)
    assert bool((sums.std(0) < 1.3 * bound).all())


def test_all_outputs_are_grouped_at_once():
    net = torch.nn.Linear(4, 2).double()
    found = pyxai.explain(net, VALUES, method="shapley_values")
    mask = torch.tensor([0, 0, 1, 1])
    by_groups = found.grouped(mask)
    assert by_groups.attributions.shape == (3, 2, 4)
    expected = found.attributions.view(3, 2, 2, 2).sum(3)
    torch.testing.assert_close(by_groups.group_scores(), expected)
    again = pyxai.explain(net, VALUES, method="shapley_values", feature_mask=mask)
    torch.testing.assert_close(again.group_scores(), expected)  # the model is linear


def test_all_outputs_of_two_inputs_are_grouped_at_once():
    weight = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]], dtype=D)
    call = {"method": "shapley_values"}
    pair = (VALUES[:, :1], VALUES[:, 1:])
    found = pyxai.explain(lambda a, b: torch.cat([a, b], 1) @ weight, pair, **call)
    by_groups = found.grouped((torch.tensor([0]), torch.tensor([1, 0, 1])))
    parts = VALUES[:, None] * weight.T  # [3, 2, 4]
    expected = torch.stack([parts[..., [0, 2]].sum(2), parts[..., [1, 3]].sum(2)], 2)
    torch.testing.assert_close(by_groups.group_scores(), expected)
    assert [part.shape for part in by_groups.attributions] == [(3, 2, 1), (3, 2, 3)]


def test_groups_of_equal_features_are_summed_and_not_taken_for_players():
    ones = torch.ones(1, 4, dtype=D)
    found = pyxai.explain(
        lambda z: z.sum(1), ones, method="input_x_gradient", feature_mask=torch.zeros(1, 4)
    )
    assert torch.equal(found.attributions, 4 * ones)
    assert torch.equal(found.group_scores(), torch.full((1, 1), 4.0, dtype=D))


def test_what_adds_up_goes_on_adding_up():
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    net.double()
    found = pyxai.explain(
        net, VALUES, method="integrated_gradients", target=1, n_steps=60, feature_mask=WORDS
    )
    gap = metrics.completeness(net, VALUES, found.attributions, target=1, feature_mask=WORDS)
    torch.testing.assert_close(gap, found.convergence_delta)
    assert float(gap.abs().max()) < 1e-5
    total = found.group_scores().sum(1)
    torch.testing.assert_close(total, net(VALUES)[:, 1] - net(VALUES * 0)[:, 1])


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap's use of matplotlib
def test_base_values_count_groups_of_each_row_once():
    net = torch.nn.Linear(4, 1).double()
    found = pyxai.explain(net, VALUES, method="integrated_gradients", feature_mask=WORDS)
    base = net(torch.zeros(3, 4, dtype=D))[:, 0].detach()
    np.testing.assert_allclose(found.to_shap().base_values, base, atol=1e-12)


def test_absolute_values_and_files_keep_their_groups(tmp_path):
    weight = torch.tensor([1.0, -2.0, 3.0, -1.0], dtype=D)
    found = pyxai.explain(lambda z: z @ weight, VALUES, method="saliency", feature_mask=WORDS)
    assert torch.equal(found.group_scores()[0], torch.tensor([3.0, 3.0, 1.0], dtype=D))
    loaded = Explanation.load(found.save(tmp_path / "groups.safetensors"))
    assert torch.equal(loaded.group_scores(), found.group_scores())


def test_a_wrong_mask_is_named_before_the_model_runs():
    def model(z):
        raise AssertionError("the model ran")

    call = {"method": "integrated_gradients", "target": 0}
    for mask, error, message in (
        (torch.tensor([0, 1]), ValueError, "feature_mask must broadcast"),
        (torch.tensor([-1, 0, 0, 0]), ValueError, "feature_mask must hold ids of at least 0"),
        (WORDS / 2, TypeError, "feature_mask must hold integers"),
        ("words", TypeError, "feature_mask must be a tensor"),
    ):
        with pytest.raises(error, match=message):
            pyxai.explain(model, VALUES, feature_mask=mask, **call)
        with pytest.raises(error, match=message):
            made().grouped(mask)
    with pytest.raises(TypeError, match="feature_mask must be a tensor or a tuple of tensors, got"):
        made().grouped(None)
    regions = dataclasses.replace(made(), method="xrai")
    with pytest.raises(ValueError, match="feature_mask must be of attributions that add up"):
        regions.grouped(WORDS)
