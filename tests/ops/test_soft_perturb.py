import pytest
import torch
from backends import assert_as_exact_as_torch

from pyxai.ops import masked_perturb, pack_masks, soft_perturb, soft_perturb_reference

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def draw(*shape, dtype=torch.float64, device="cpu", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype).to(device)


def draw_players(*shape, n_players, device="cpu"):
    generator = torch.Generator().manual_seed(7)
    return torch.randint(-1, n_players, shape, generator=generator, dtype=torch.int32).to(device)


def plain(inputs, baselines, weights):
    start = baselines.unsqueeze(1)
    return start + weights.unsqueeze(2) * (inputs[:, None, None] - start)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "n_masks", "n_draws", "features"),
    [(1, 1, 1, 1), (2, 3, 2, 7), (2, 17, 1, 255), (1, 2, 1, 257), (2, 2, 2, 2056)],
)
def test_equals_reference(backend, device, dtype, batch, n_masks, n_draws, features):
    inputs = draw(batch, features, dtype=dtype, device=device)
    baselines = draw(batch, n_draws, features, dtype=dtype, device=device, seed=1)
    weights = draw(batch, n_masks, features, dtype=dtype, device=device, seed=2)
    actual = soft_perturb(inputs, baselines, weights, backend=backend)
    reference = soft_perturb_reference(inputs.cpu(), baselines.cpu(), weights.cpu())
    assert actual.dtype == dtype
    assert actual.shape == (batch, n_masks, n_draws, features)
    assert_as_exact_as_torch(actual, reference, plain(inputs, baselines, weights))


@pytest.mark.parametrize(
    ("batch", "n_masks", "features"), [(0, 2, (3,)), (2, 0, (3,)), (2, 2, (0,))]
)
def test_empty(backend, device, batch, n_masks, features):
    inputs = draw(batch, *features, device=device).requires_grad_()
    weights = draw(n_masks, *features, device=device).requires_grad_()
    rows = soft_perturb(inputs, 0.0, weights, backend=backend)
    assert rows.shape == (batch, n_masks, 1, *features)
    rows.sum().backward()
    assert (weights.grad == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_hard_weights_give_masked_rows(backend, device, dtype):
    inputs = draw(2, 3, 4, 5, dtype=dtype, device=device)
    baselines = 1000 * draw(3, 4, 5, dtype=dtype, device=device, seed=1)
    players = draw_players(3, 4, 5, n_players=9, device=device)
    keep = draw(2, 6, 9, device=device, seed=2) < 0.5
    soft = soft_perturb(inputs, baselines, keep.to(dtype), players, backend=backend)
    hard = masked_perturb(inputs, baselines, pack_masks(keep), players, backend=backend)
    assert torch.equal(soft, hard)


@pytest.mark.parametrize(
    ("shared_weights", "baseline_shape", "map_shape"),
    [
        (False, None, None),
        (True, (5,), (5,)),
        (False, (2, 5), (2, 5)),
        (True, (1, 3, 5), None),
        (False, (2, 3, 5), (5,)),
    ],
)
def test_gradients(backend, device, shared_weights, baseline_shape, map_shape):
    n_players = 5 if map_shape is None else 4
    players = None if map_shape is None else draw_players(*map_shape, n_players=4, device=device)
    inputs = draw(2, 5, device=device).requires_grad_()
    shape = (3, n_players) if shared_weights else (2, 3, n_players)
    weights = draw(*shape, device=device, seed=1).requires_grad_()
    values = () if baseline_shape is None else (draw(*baseline_shape, device=device, seed=2),)
    values = tuple(value.requires_grad_() for value in values)

    def function(inputs, weights, *values):
        start = values[0] if values else 0.25
        return soft_perturb(inputs, start, weights, players, backend=backend)

    assert torch.autograd.gradcheck(function, (inputs, weights, *values))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("features", [40, 300, 1200])
def test_gradients_equal_those_of_the_reference(backend, device, dtype, features):
    """Few, many and very many features a player; sums are taken by one, 32 and 256 threads."""
    inputs = draw(2, features, dtype=dtype, device=device).requires_grad_()
    baselines = draw(features, dtype=dtype, device=device, seed=1).requires_grad_()
    weights = draw(3, 2 if features > 40 else 20, dtype=dtype, device=device, seed=2)
    weights = weights[:, :1] if features == 1200 else weights
    weights = weights.contiguous().requires_grad_()
    players = draw_players(features, n_players=weights.shape[1], device=device)
    leaves = (inputs, baselines, weights)
    rows = soft_perturb(inputs, baselines, weights, players, backend=backend)
    seeds = draw(*rows.shape, dtype=dtype, device=device, seed=3)
    ours = torch.autograd.grad(rows, leaves, seeds)
    rows = soft_perturb_reference(*(x.cpu() for x in leaves), players.cpu())
    theirs = torch.autograd.grad(rows, leaves, seeds.cpu().double())
    for own, other in zip(ours, theirs, strict=True):
        # Sums are kept in float32 at least; what is left is one rounding, and for float32 the
        # rounding of up to three products.
        step = 8 * torch.finfo(own.dtype).eps
        torch.testing.assert_close(own.cpu().double(), other.cpu().double(), rtol=step, atol=step)


def test_gradient_is_deterministic(backend, device):
    inputs = draw(2, 500, dtype=torch.float32, device=device)
    players = draw_players(500, n_players=3, device=device)
    weights = draw(4, 3, dtype=torch.float32, device=device).requires_grad_()

    def gradient():
        rows = soft_perturb(inputs, 0.0, weights, players, backend=backend)
        return torch.autograd.grad((rows**2).sum(), weights)[0]

    assert torch.equal(gradient(), gradient())


def test_many_rows(backend, device):
    inputs = draw(70_000, 1, device=device)
    weights = draw(1, 1, device=device, seed=1).requires_grad_()
    rows = soft_perturb(inputs, 0.0, weights, backend=backend)
    torch.testing.assert_close(rows.flatten(), (inputs * weights).flatten())
    rows.sum().backward()
    torch.testing.assert_close(weights.grad.flatten(), inputs.sum(0))


def test_only_what_is_asked_for(backend, device):
    inputs = draw(2, 4, device=device).requires_grad_()
    weights = draw(3, 4, device=device, seed=1)
    rows = soft_perturb(inputs, 0.0, weights, backend=backend)
    torch.testing.assert_close(
        torch.autograd.grad(rows.sum(), inputs)[0], weights.sum(0).expand(2, 4)
    )
    with torch.no_grad():
        assert not soft_perturb(inputs, 0.0, weights, backend=backend).requires_grad


def test_non_contiguous(backend, device):
    inputs, weights = draw(4, 6, device=device).T, draw(4, 3, device=device, seed=1).T
    assert torch.equal(
        soft_perturb(inputs, 0.0, weights, backend=backend),
        soft_perturb(inputs.contiguous(), 0.0, weights.contiguous(), backend=backend),
    )


def test_bad_input_is_named():
    inputs, weights = draw(2, 5), draw(3, 5)
    with pytest.raises(ValueError, match=r"weights must have shape \[n_masks, 5\] or \[1 or 2"):
        soft_perturb(inputs, 0.0, weights[:, :4])
    with pytest.raises(ValueError, match=r"weights must have shape .*, got \[5\]"):
        soft_perturb(inputs, 0.0, weights[0])
    with pytest.raises(TypeError, match=r"weights must have dtype torch.float64, got"):
        soft_perturb(inputs, 0.0, weights.float())
    players = torch.full((5,), 5, dtype=torch.int32)
    with pytest.raises(ValueError, match="players must be below n_players = 5, got 5"):
        soft_perturb(inputs, 0.0, weights, players)
    with pytest.raises(ValueError, match=r"baselines must be a number or have shape \[5\] or"):
        soft_perturb(inputs, draw(4), weights)
    with pytest.raises(TypeError, match=r"weights must be a tensor, got 0\.5"):
        soft_perturb(inputs, 0.0, 0.5)
