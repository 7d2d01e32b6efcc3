import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pyxai.game import Game
from pyxai.imputers import Constant, Imputer, Marginal, Mean
from pyxai.ops import pack_masks

DOUBLE = torch.float64


def every_mask(n_players):
    index = torch.arange(2**n_players).unsqueeze(1)
    return (index >> torch.arange(n_players)) & 1 == 1


def draw(*shape, seed=0, dtype=DOUBLE):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=DOUBLE).to(dtype)


def product(*inputs):
    return torch.cat([value.flatten(1) for value in inputs], 1).prod(1)


WEIGHTS = draw(4, seed=9)


def linear(inputs):
    return inputs @ WEIGHTS.to(inputs.dtype)


BASELINES = {
    "none": (None, torch.zeros(3, 4, dtype=DOUBLE)),
    "number": (2, torch.full((3, 4), 2.0, dtype=DOUBLE)),
    "shared": (draw(1, 4, seed=3), draw(1, 4, seed=3).expand(3, 4)),
    "features": (draw(4, seed=3), draw(4, seed=3).expand(3, 4)),
    "each": (draw(3, 4, seed=3), draw(3, 4, seed=3)),
}


@pytest.mark.parametrize("form", BASELINES)
@pytest.mark.parametrize("max_rows", [None, 1, 5, 7, 40])
def test_values_of_a_linear_model(form, max_rows):
    inputs, masks = draw(3, 4), every_mask(4)
    given_baselines, baselines = BASELINES[form]
    game = Game(linear, inputs, baselines=given_baselines, max_rows=max_rows)
    expected = masks.double() @ (inputs * WEIGHTS).T + (~masks).double() @ (baselines * WEIGHTS).T
    torch.testing.assert_close(game.values(masks), expected.T)


@pytest.mark.parametrize("form", BASELINES)
@pytest.mark.parametrize("max_rows", [None, 1, 4, 7])
def test_gradients_of_a_product(form, max_rows):
    inputs, points = draw(3, 4), torch.rand(5, 4, dtype=DOUBLE)
    given_baselines, baselines = BASELINES[form]
    game = Game(product, inputs, baselines=given_baselines, max_rows=max_rows)
    found = game.gradients(points)
    places = baselines[:, None] + points * (inputs - baselines)[:, None]
    for player in range(4):
        others = [p for p in range(4) if p != player]
        expected = places[..., others].prod(-1) * (inputs - baselines)[:, None, player]
        torch.testing.assert_close(found[..., player], expected)


def test_masks_and_weights_for_each_example():
    inputs = draw(3, 4)
    masks = draw(3, 6, 4, seed=1) > 0
    points = torch.rand(3, 2, 4, dtype=DOUBLE)
    game = Game(product, inputs, baselines=0.5)
    values, gradients = game.values(masks), game.gradients(points)
    for row in range(3):
        alone = Game(product, inputs[row : row + 1], baselines=0.5)
        torch.testing.assert_close(alone.values(masks[row]), values[row : row + 1])
        torch.testing.assert_close(alone.gradients(points[row]), gradients[row : row + 1])


def test_packed_masks():
    inputs, masks = draw(2, 70), draw(9, 70, seed=1) > 0
    game = Game(lambda rows: rows.sum(1), inputs)
    torch.testing.assert_close(game.values(pack_masks(masks)), game.values(masks))
    torch.testing.assert_close(game.values(masks), inputs @ masks.double().T)


def test_players_count_on_over_a_tuple():
    inputs = (draw(2, 2), draw(2, 1, 3, seed=1))
    game = Game(lambda a, b: a.sum(1) + 10 * b.flatten(1).sum(1), inputs)
    assert game.n_players == 5
    values = game.values(torch.eye(5).bool())
    torch.testing.assert_close(values, torch.cat([inputs[0], 10 * inputs[1].flatten(1)], 1))
    spread = game.to_features(values)
    torch.testing.assert_close(spread, (inputs[0], 10 * inputs[1]))


def test_one_player_in_two_tensors_and_gaps():
    inputs = (draw(2, 2), draw(2, 3, seed=1))
    mask = (torch.tensor([[7, 2]]), torch.tensor([[2, 2, 40]]))
    game = Game(lambda a, b: a.sum(1) + b.sum(1), inputs, feature_mask=mask)
    assert game.player_ids.tolist() == [2, 7, 40]
    values = game.values(torch.eye(3).bool())
    expected = [
        inputs[0][:, 1] + inputs[1][:, :2].sum(1),
        inputs[0][:, 0],
        inputs[1][:, 2],
    ]
    torch.testing.assert_close(values, torch.stack(expected, 1))
    gradients = game.gradients(torch.zeros(1, 3))
    torch.testing.assert_close(gradients[:, 0], values)
    assert game.to_features(values)[1].shape == (2, 3)


def test_feature_mask_for_each_example_and_broadcast():
    inputs = draw(2, 1, 2, 2)
    mask = torch.tensor([[[[0, 0], [1, 1]]], [[[0, 1], [0, 1]]]])
    game = Game(lambda rows: rows.flatten(1).sum(1), inputs, feature_mask=mask)
    expected = torch.stack([inputs[0, 0].sum(1), inputs[1, 0].sum(0)])
    torch.testing.assert_close(game.values(torch.eye(2).bool()), expected)
    torch.testing.assert_close(game.gradients(torch.ones(1, 2))[:, 0], expected)
    rows = torch.tensor([[0], [1]])  # over columns
    game = Game(lambda x: x.flatten(1).sum(1), inputs, feature_mask=rows.view(1, 1, 2, 1))
    torch.testing.assert_close(game.values(torch.eye(2).bool()), inputs[:, 0].sum(2))


@pytest.mark.parametrize("max_rows", [None, 1, 2, 7])
def test_marginal_is_the_mean_over_background_rows(max_rows):
    inputs, background, masks = draw(3, 4), draw(5, 4, seed=1), every_mask(4)
    game = Game(product, inputs, imputer=Marginal(background), max_rows=max_rows)
    rows = torch.where(masks[None, :, None], inputs[:, None, None], background)
    torch.testing.assert_close(game.values(masks), rows.prod(-1).mean(-1))
    points = torch.rand(2, 4, dtype=DOUBLE)
    found = game.gradients(points)
    expected = sum(
        Game(product, inputs, baselines=background[i]).gradients(points) for i in range(5)
    )
    torch.testing.assert_close(found, expected / 5)


def test_draws_depend_on_seed_and_id_alone():
    inputs, masks = draw(4, 4), every_mask(4)
    imputer = Marginal(draw(50, 4, seed=1), n_draws=3)

    def values(rows, **options):
        return Game(product, inputs[rows], imputer=imputer, **options).values(masks)

    ids = torch.tensor([5, 6, 7, 5])
    whole = values(slice(None), example_ids=ids)
    assert torch.equal(whole, values(slice(None), example_ids=ids, max_rows=2))
    torch.testing.assert_close(values([2, 0], example_ids=ids[[2, 0]]), whole[[2, 0]])
    assert not torch.allclose(whole, values(slice(None), example_ids=ids, seed=1))
    assert not torch.allclose(whole, values(slice(None), example_ids=ids + 1))


class Conditional(Imputer):
    """Absent features get the number of present ones plus the draw's index."""

    conditional = True
    n_draws = 2

    def draw(self, inputs, masks, *, seed, example_ids):
        counts = [mask.flatten(2).sum(2) for mask in masks]
        return tuple(
            (count[:, :, None] + torch.arange(2))[..., None].expand(-1, -1, -1, 4).to(value.dtype)
            for count, value in zip(counts, inputs, strict=True)
        )


@pytest.mark.parametrize("max_rows", [None, 1, 3])
def test_conditional_imputer_sees_the_masks(max_rows):
    inputs, masks = draw(3, 4), every_mask(4)
    game = Game(lambda x: x.sum(1), inputs, imputer=Conditional(), max_rows=max_rows)
    present = masks.sum(1)
    expected = inputs @ masks.double().T + (4 - present) * (present + 0.5)
    torch.testing.assert_close(game.values(masks), expected)
    with pytest.raises(NotImplementedError, match="imputer must draw without looking at the mask"):
        game.gradients(torch.ones(1, 4))


class Known(Imputer):
    """Draws that are known."""

    def __init__(self, draws, antithetic):
        self.values, self.n_draws = draws, draws.shape[0]
        self.__dict__["antithetic"] = antithetic

    def draw(self, inputs, masks, *, seed, example_ids):
        return (self.values[None],)


@pytest.mark.parametrize("n_draws", [2, 4, 5])
@pytest.mark.parametrize("antithetic", [False, True])
def test_standard_errors_are_those_of_independent_draws(n_draws, antithetic):
    """Opposite draws count in pairs; the last of an odd number has no opposite."""
    inputs, draws = draw(3, 4), draw(n_draws, 4, seed=1)
    masks = torch.tensor([[True, False, False, True], [False] * 4])
    _, errors = Game(linear, inputs, imputer=Known(draws, antithetic)).values_and_errors(masks)
    rows = torch.where(masks[:, None], inputs[:, None, None], draws)
    outputs = rows @ WEIGHTS  # [batch, n_masks, n_draws]
    if antithetic:
        outputs = outputs[..., : n_draws - n_draws % 2].unflatten(2, (-1, 2)).mean(3)
    count = outputs.shape[2]
    if count < 2:
        assert errors.isposinf().all()
        return
    deviations = outputs - outputs.mean(2, keepdim=True)
    expected = (deviations.square().sum(2) / (count - 1) / count).sqrt()
    torch.testing.assert_close(errors, expected)


def test_constant_and_mean_imputers():
    inputs, background, masks = draw(3, 4), draw(5, 4, seed=1), every_mask(4)
    mean = Game(product, inputs, imputer=Mean(background)).values(masks)
    constant = Game(product, inputs, imputer=Constant(background.mean(0))).values(masks)
    direct = Game(product, inputs, baselines=background.mean(0)).values(masks)
    torch.testing.assert_close(mean, direct)
    torch.testing.assert_close(constant, direct)


def test_integer_inputs():
    tokens = torch.tensor([[3, 1, 2], [4, 0, 1]])
    table = draw(5, 1, seed=2)
    game = Game(lambda ids: table[ids].sum((1, 2)), tokens)
    values = game.values(torch.eye(3).bool())
    expected = table[tokens, 0] + 2 * table[0, 0]
    torch.testing.assert_close(values, expected)
    with pytest.raises(TypeError, match=r"inputs must have dtype torch.float32 .* got torch.int64"):
        game.gradients(torch.ones(1, 3))


def test_images_in_channels_last_order():
    inputs = draw(2, 3, 4, 5, dtype=torch.float32).to(memory_format=torch.channels_last)
    seen = []

    def model(rows):
        seen.append(rows.is_contiguous(memory_format=torch.channels_last))
        return rows.flatten(1).sum(1)

    masks = draw(6, 60, seed=1) > 0
    values = Game(model, inputs).values(masks)
    torch.testing.assert_close(values, inputs.flatten(1) @ masks.float().T)
    assert all(seen)


@pytest.mark.parametrize(
    ("dtype", "result"),
    [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (DOUBLE, DOUBLE)],
)
def test_dtypes(dtype, result):
    inputs = draw(3, 4, dtype=dtype)
    seen = set()

    def model(rows):
        seen.add(rows.dtype)
        return linear(rows)

    game = Game(model, inputs)
    assert game.values(every_mask(4)).dtype == result
    gradients = game.gradients(torch.full((1, 4), 0.5))
    assert gradients.dtype == result
    torch.testing.assert_close(
        gradients[:, 0], (inputs * WEIGHTS.to(dtype)).to(result), rtol=1e-2, atol=1e-2
    )
    assert seen == {dtype}


def test_one_scalar_for_the_batch():
    inputs, masks = draw(3, 4), every_mask(4)
    game = Game(lambda rows: rows.square().mean(), inputs)
    values = game.values(masks)
    assert values.shape == (1, 16)
    expected = (inputs[:, None] * masks).square().mean((0, 2))
    torch.testing.assert_close(values[0], expected)
    gradients = game.gradients(torch.ones(1, 4))
    torch.testing.assert_close(gradients[:, 0], 2 * inputs.square() / 12)


def test_output_transforms():
    inputs = draw(3, 4)
    net = nn.Linear(4, 3).double()
    everyone = torch.ones(1, 4, dtype=torch.bool)
    logits = net(inputs).detach()

    def values(output):
        return Game(net, inputs, target=[0, 1, 2], output=output).values(everyone)[:, 0]

    torch.testing.assert_close(values("logit"), logits.diagonal())
    torch.testing.assert_close(values("probability"), logits.softmax(1).diagonal())
    torch.testing.assert_close(values("log_probability"), logits.log_softmax(1).diagonal())
    torch.testing.assert_close(values(lambda out: out * 2), 2 * logits.diagonal())
    single = Game(lambda x: x.sum(1), inputs, output="probability").values(everyone)
    torch.testing.assert_close(single[:, 0], inputs.sum(1).sigmoid())


def test_extra_arguments_follow_their_example():
    inputs, scale, shared = draw(3, 4), draw(3, seed=1), draw(2, seed=2)

    def model(rows, factor, pair, name):
        assert name == "x"
        assert pair.shape == (2,)
        return rows.sum(1) * factor + pair.sum()

    for max_rows in (None, 1, 5):
        game = Game(model, inputs, additional_forward_args=(scale, shared, "x"), max_rows=max_rows)
        expected = (inputs * scale[:, None]) @ every_mask(4).double().T + shared.sum()
        torch.testing.assert_close(game.values(every_mask(4)), expected)


def test_no_masks_and_no_points():
    game = Game(linear, draw(3, 4))
    assert game.values(torch.ones(0, 4, dtype=torch.bool)).shape == (3, 0)
    assert game.gradients(torch.ones(0, 4)).shape == (3, 0, 4)


def test_estimate():
    game = Game(linear, draw(3, 4), imputer=Marginal(draw(5, 4)), max_rows=40)
    estimate = game.estimate(16)
    assert estimate.rows == 3 * 16 * 5
    assert estimate.rows_per_pass <= 40
    assert estimate.passes * estimate.rows_per_pass >= estimate.rows
    assert game.estimate(16, gradients=True).rows == estimate.rows


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 4),
    n_masks=st.integers(1, 9),
    features=st.integers(1, 40),
    max_rows=st.one_of(st.none(), st.integers(1, 20)),
    own=st.booleans(),
)
def test_equals_plain_torch(batch, n_masks, features, max_rows, own):
    inputs, baselines = draw(batch, features), draw(batch, features, seed=1)
    owners = torch.randint(0, 5, (features,), generator=torch.Generator().manual_seed(2))
    owners = torch.arange(features) if own else torch.unique(owners, return_inverse=True)[1]
    n_players = int(owners.max()) + 1
    masks = draw(batch, n_masks, n_players, seed=3) > 0

    def model(rows):
        return rows.sin().sum(1) * rows.cos().sum(1)

    game = Game(model, inputs, baselines=baselines, max_rows=max_rows, feature_mask=owners[None])
    rows = torch.where(masks[..., owners], inputs[:, None], baselines[:, None])
    expected = model(rows.flatten(0, 1)).view(batch, n_masks)
    torch.testing.assert_close(game.values(masks), expected)


BAD = {
    "no tensor": ({"inputs": 3}, TypeError, "inputs must be a tensor, got 3"),
    "empty tuple": ({"inputs": ()}, ValueError, "inputs must hold at least one tensor"),
    "empty batch": (
        {"inputs": draw(0, 4)},
        ValueError,
        r"inputs must have at least one example, got shape \[0, 4\]",
    ),
    "no players": (
        {"inputs": draw(3, 0)},
        ValueError,
        r"inputs must have at least one feature, got shape \[3, 0\]",
    ),
    "nan": ({"inputs": draw(3, 4) * float("nan")}, ValueError, "inputs must be finite, got 12"),
    "model": ({"model": 3}, TypeError, "model must be callable, got 3"),
    "target length": (
        {"target": [0, 1]},
        ValueError,
        "target must have one entry per example, 3, got 2",
    ),
    "both": (
        {"imputer": Constant(0.0), "baselines": 0.0},
        ValueError,
        "baselines must be None where an imputer is given",
    ),
    "imputer": ({"imputer": 3}, TypeError, "imputer must be a pyxai.imputers.Imputer, got 3"),
    "seed": ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    "ids": (
        {"example_ids": torch.arange(2)},
        ValueError,
        r"example_ids must have shape \[3\], got \[2\]",
    ),
    "ids dtype": (
        {"example_ids": torch.ones(3)},
        TypeError,
        "example_ids must have dtype torch.int64 or torch.int32, got torch.float32",
    ),
    "output": ({"output": "odds"}, ValueError, "output must be one of 'logit', .* got 'odds'"),
    "max_rows": ({"max_rows": 0}, ValueError, "max_rows must be at least 1, got 0"),
    "negative id": (
        {"feature_mask": torch.tensor([[0, 1, -1, 2]])},
        ValueError,
        "feature_mask must hold ids of at least 0, got -1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_construction_is_named(case):
    options, error, message = BAD[case]
    options = {"model": linear, "inputs": draw(3, 4), **options}
    with pytest.raises(error, match=message):
        Game(options.pop("model"), options.pop("inputs"), **options)


BAD_MASKS = {
    "players": (
        torch.ones(2, 5).bool(),
        ValueError,
        r"masks must have shape \[n_masks, 4\] or \[3, n_masks, 4\] for 4 players, got \[2, 5\]",
    ),
    "batch": (torch.ones(2, 2, 4).bool(), ValueError, r"masks must have shape .* got \[2, 2, 4\]"),
    "flat": (torch.ones(4).bool(), ValueError, r"masks must have shape .* got \[4\]"),
    "words": (
        torch.ones(2, 2).int(),
        ValueError,
        r"masks must have shape \[n_masks, 1\] or \[3, n_masks, 1\] for 4 players, got \[2, 2\]",
    ),
    "dtype": (
        torch.ones(2, 4),
        TypeError,
        "masks must have dtype torch.bool or torch.int32, got torch.float32",
    ),
    "list": ([[True] * 4], TypeError, "masks must be a tensor, got a list"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_masks_are_named(case):
    masks, error, message = BAD_MASKS[case]
    with pytest.raises(error, match=message):
        Game(linear, draw(3, 4)).values(masks)


BAD_WEIGHTS = {
    "above": (torch.full((1, 4), 1.5), ValueError, r"weights must be in \[0, 1\], got .* 1.5"),
    "below": (torch.full((1, 4), -0.5), ValueError, r"weights must be in \[0, 1\], got .* -0.5"),
    "nan": (
        torch.full((1, 4), float("nan")),
        ValueError,
        r"weights must be in \[0, 1\], got .*nan",
    ),
    "players": (torch.ones(1, 3), ValueError, r"weights must have shape \[n_points, 4\]"),
    "dtype": (torch.ones(1, 4).int(), TypeError, "weights must have dtype .* got torch.int32"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights_are_named(case):
    weights, error, message = BAD_WEIGHTS[case]
    with pytest.raises(error, match=message):
        Game(linear, draw(3, 4)).gradients(weights)


def test_output_that_is_not_finite():
    with pytest.raises(
        ValueError, match=r"model output must be finite, got 1 .* first at \[0, 1\]"
    ):
        Game(lambda rows: 1 / rows.sum(1), torch.ones(1, 2)).values(
            torch.tensor([[1, 1], [0, 0]]) > 0
        )


def test_results_need_no_gradient():
    inputs = draw(3, 4).requires_grad_()
    game = Game(linear, inputs)
    assert not game.values(every_mask(4)).requires_grad
    assert not game.gradients(torch.ones(1, 4)).requires_grad
    assert inputs.grad is None
    assert inputs.requires_grad
