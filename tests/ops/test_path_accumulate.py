import pytest
import torch
from backends import assert_as_exact_as_torch

from pyxai.ops import pack_masks, path_accumulate, path_accumulate_reference

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def sample_inputs(dtype, n_nodes=5, batch=3, features=(7,), device="cpu"):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).to(device)

    weights = torch.rand(n_nodes, generator=generator, dtype=torch.float64)
    return draw(n_nodes, batch, *features), weights.to(device), draw(batch, *features)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_nodes", "batch", "features"),
    [
        (1, 1, (1,)),
        (5, 3, (7,)),
        (4, 2, (255,)),
        (3, 2, (257,)),
        (2, 0, (5,)),
        (0, 2, (5,)),
        (3, 2, (3, 5, 4)),
    ],
)
def test_equals_reference(backend, device, dtype, n_nodes, batch, features):
    grads, weights, inputs = sample_inputs(dtype, n_nodes, batch, features, device)
    baselines = inputs.flip(-1) * 0.5
    actual = path_accumulate(grads, weights, inputs, baselines, backend=backend)
    reference = path_accumulate_reference(grads.cpu(), weights.cpu(), inputs.cpu(), baselines.cpu())
    compute = torch.promote_types(dtype, torch.float32)
    plain = torch.einsum("s,s...->...", weights.to(compute), grads.to(compute))
    assert_as_exact_as_torch(
        actual, reference, plain * (inputs.to(compute) - baselines.to(compute))
    )
    assert actual.dtype == compute
    assert actual.shape == inputs.shape


def test_many_rows(backend, device):
    grads, weights, inputs = sample_inputs(torch.float64, 2, 70_000, (1,), device)
    actual = path_accumulate(grads, weights, inputs, 0.5, backend=backend)
    torch.testing.assert_close(
        actual, ((weights @ grads.flatten(1)) * (inputs - 0.5).flatten()).view_as(inputs)
    )


def test_selected_features_get_nothing(backend, device):
    grads, weights, inputs = sample_inputs(torch.float64, device=device)
    players = torch.tensor([0, 0, 1, 33, 33, 2, -1], dtype=torch.int32, device=device)
    chosen = torch.zeros(3, 34, dtype=torch.bool, device=device)
    chosen[0, 33] = chosen[1, 0] = True
    selected = pack_masks(chosen)
    actual = path_accumulate(grads, weights, inputs, 0.0, players, selected, backend=backend)
    reference = path_accumulate_reference(
        grads.cpu(), weights.cpu(), inputs.cpu(), 0.0, players.cpu(), selected.cpu()
    )
    torch.testing.assert_close(actual.cpu(), reference)
    assert (actual[0, 3:5] == 0).all()
    assert (actual[1, :2] == 0).all()
    assert (actual[:, 6] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_example", [False, True])
def test_sums_over_players(backend, device, dtype, per_example):
    grads, weights, inputs = sample_inputs(dtype, n_nodes=4, features=(3, 50), device=device)
    generator = torch.Generator().manual_seed(1)
    shape = (3, 3, 50) if per_example else (3, 50)
    players = torch.randint(-1, 37, shape, generator=generator).int().to(device)
    chosen = torch.rand(3, 37, generator=generator) < 0.3
    selected = pack_masks(chosen).to(device)
    arguments = (grads, weights, inputs, 0.25, players, selected)
    actual = path_accumulate(*arguments, n_players=37, backend=backend)
    compute = torch.promote_types(dtype, torch.float32)
    assert actual.shape == (3, 37)
    assert actual.dtype == compute
    terms = torch.einsum("s,s...->...", weights.cpu(), grads.cpu().double())
    terms = (terms * (inputs.cpu().double() - 0.25)).flatten(1)
    owners = players.cpu().expand(3, 3, 50).flatten(1).long()
    expected = torch.zeros(3, 38, dtype=torch.float64)
    expected.scatter_add_(1, torch.where(owners < 0, 37, owners), terms)
    expected = expected[:, :37].masked_fill(chosen, 0.0)
    plain = torch.zeros(3, 38, dtype=compute).scatter_add_(
        1, torch.where(owners < 0, 37, owners), terms.to(compute)
    )
    assert (actual.cpu()[chosen] == 0).all()
    assert_as_exact_as_torch(actual, expected, plain[:, :37].masked_fill(chosen, 0.0), floor=3e-7)
    out = actual.clone()
    path_accumulate(*arguments, n_players=37, out=out, backend=backend)
    torch.testing.assert_close(out, 2 * actual)


def test_gradients_alone(backend, device):
    grads, weights, inputs = sample_inputs(torch.float64, device=device)
    actual = path_accumulate(grads, weights, inputs, 9.0, multiply_by_inputs=False, backend=backend)
    torch.testing.assert_close(actual, torch.einsum("s,s...->...", weights, grads))


def test_chunks_add_up(backend, device):
    grads, weights, inputs = sample_inputs(torch.float64, n_nodes=6, device=device)
    whole = path_accumulate(grads, weights, inputs, 0.0, backend=backend)
    out = path_accumulate(grads[:2], weights[:2], inputs, 0.0, backend=backend)
    path_accumulate(grads[2:], weights[2:], inputs, 0.0, out=out, backend=backend)
    torch.testing.assert_close(out, whole)


def test_non_contiguous_gradients(backend, device):
    grads, weights, inputs = sample_inputs(torch.float32, device=device)
    strided = grads.transpose(0, 2).contiguous().transpose(0, 2)
    assert not strided.is_contiguous()
    torch.testing.assert_close(
        path_accumulate(strided, weights, inputs, 0.0, backend=backend),
        path_accumulate(grads, weights, inputs, 0.0, backend=backend),
    )


def test_bad_input_is_named():
    grads, weights, inputs = sample_inputs(torch.float32)
    with pytest.raises(ValueError, match=r"weights must have shape \[5\], got \[4\]"):
        path_accumulate(grads, weights[:4], inputs, 0.0)
    with pytest.raises(TypeError, match=r"grads must have dtype torch.float32, got torch.float64"):
        path_accumulate(grads.double(), weights, inputs, 0.0)
    with pytest.raises(ValueError, match=r"grads must have shape \[\*, 3, 7\], got \[5, 2, 7\]"):
        path_accumulate(grads[:, :2], weights, inputs, 0.0)
    with pytest.raises(TypeError, match="inputs must be a tensor, got 'x'"):
        path_accumulate(grads, weights, "x", 0.0)
