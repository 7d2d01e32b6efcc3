import pytest
import torch
from backends import assert_as_exact_as_torch

from pyxai.ops import path_moments, path_moments_reference

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def draw(*shape, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    grads = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).to(device)
    weights = torch.rand(shape[0], generator=generator, dtype=torch.float64)
    return grads, weights.to(device)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (5, 3, 7), (70, 2, 255), (9, 1, 257), (2, 0, 5), (0, 2, 5), (3, 2, 3, 4), (4, 3)],
)
def test_equals_reference(backend, device, dtype, shape):
    grads, weights = draw(*shape, dtype=dtype, device=device)
    actual = path_moments(grads, weights, backend=backend)
    reference = path_moments_reference(grads.cpu(), weights.cpu())
    compute = torch.promote_types(dtype, torch.float32)
    wide = grads.to(compute)
    plain = torch.stack(
        [torch.einsum("s,s...->...", weights.to(compute), power) for power in (wide, wide**2)]
    )
    assert actual.dtype == compute
    assert_as_exact_as_torch(actual, reference, plain)


def test_chunks_add_up_to_mean_and_variance(backend, device):
    grads, _ = draw(40, 2, 33, dtype=torch.float64, device=device)
    weights = torch.full((40,), 1 / 40, dtype=torch.float64, device=device)
    out = path_moments(grads[:7], weights[:7], backend=backend)
    path_moments(grads[7:], weights[7:], out=out, backend=backend)
    mean, square = out
    torch.testing.assert_close(mean, grads.mean(0))
    torch.testing.assert_close(square - mean**2, grads.var(0, correction=0))


def test_many_rows(backend, device):
    grads, weights = draw(2, 70_000, 1, device=device)
    actual = path_moments(grads, weights, backend=backend)
    torch.testing.assert_close(actual[0], torch.einsum("s,sbf->bf", weights.float(), grads))


def test_non_contiguous(backend, device):
    grads, weights = draw(4, 3, 5, device=device)
    strided = grads.transpose(0, 2).contiguous().transpose(0, 2)
    assert torch.equal(
        path_moments(strided, weights, backend=backend),
        path_moments(grads, weights, backend=backend),
    )


def test_bad_input_is_named():
    grads, weights = draw(4, 3, 5)
    with pytest.raises(ValueError, match=r"weights must have shape \[4\], got \[3\]"):
        path_moments(grads, weights[:3])
    with pytest.raises(
        TypeError, match=r"weights must have dtype torch.float64, got torch.float32"
    ):
        path_moments(grads, weights.float())
    with pytest.raises(TypeError, match=r"grads must have dtype .*, got torch.int64"):
        path_moments(grads.long(), weights)
    with pytest.raises(ValueError, match=r"grads must have shape \[n_nodes, batch, \*features\]"):
        path_moments(weights, weights)
    with pytest.raises(ValueError, match=r"out must have shape \[2, 3, 5\], got \[3, 5\]"):
        path_moments(grads, weights, out=torch.zeros(3, 5))
    with pytest.raises(TypeError, match=r"out must have dtype torch.float32, got torch.float64"):
        path_moments(grads, weights, out=torch.zeros(2, 3, 5, dtype=torch.float64))
