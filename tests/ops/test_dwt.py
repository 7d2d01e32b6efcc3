"""Wavelet transforms on every backend: plain torch in float64, PyWavelets, adjoints, gradients."""

import math
import warnings

import numpy as np
import pytest
import pywt
import torch
from backends import assert_as_exact_as_torch

from pyxai.ops import (
    WAVELET_MODES,
    dwt,
    dwt_reference,
    filter_bank,
    idwt,
    idwt_reference,
    idwt_transpose,
    wavelet_bands,
)
from pyxai.ops._filter_bank import analyse, synthesise

DTYPES = (torch.float32, torch.float64)
# Signals and images, with levels: odd and even sizes, a haar bank that sees nothing beyond an end,
# a filter as long as the signal, and lines above and below the width of a register.
SHAPES = [
    ("haar", (2, 2), 1),
    ("haar", (3, 7), 2),
    ("db2", (5, 33), 3),
    ("db3", (1, 6), 1),
    ("db5", (3, 97), 3),
    ("sym8", (2, 300), 4),
    ("haar", (2, 5, 2), 1),
    ("db2", (2, 13, 40), 2),
    ("db3", (1, 70, 9), 1),
]


def draw(*shape, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)


def bank_of(name, dtype=torch.float64, device="cpu"):
    scaling = torch.tensor(pywt.Wavelet(name).rec_lo, dtype=torch.float64)
    return filter_bank(scaling).to(device, dtype)


def n_dims(shape):
    return len(shape) - 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", WAVELET_MODES)
@pytest.mark.parametrize(("name", "shape", "level"), SHAPES)
def test_equals_reference(backend, device, name, shape, level, mode, dtype):
    # A bank that is not orthogonal, so that nothing cancels.
    bank = bank_of(name, dtype, device) + draw(2, 1, seed=3, dtype=dtype, device=device) / 10
    options = {"level": level, "mode": mode}
    x = draw(*shape, dtype=dtype, device=device)
    found = dwt(x, bank, n_dims=n_dims(shape), backend=backend, **options)
    assert found.dtype == dtype
    floor = 1e-7 if dtype == torch.float32 else 1e-14
    expected = dwt_reference(x.cpu(), bank.cpu(), n_dims=n_dims(shape), **options)
    plain = analyse(x, bank, level, mode, n_dims(shape))
    assert_as_exact_as_torch(found, expected, plain, floor)
    s = draw(*found.shape, seed=1, dtype=dtype, device=device)
    back = idwt(s, bank, sizes=shape[1:], backend=backend, **options)
    expected = idwt_reference(s.cpu(), bank.cpu(), sizes=shape[1:], **options)
    plain = synthesise(s, bank, wavelet_bands(shape[1:], bank.shape[1], level, mode), mode)
    assert_as_exact_as_torch(back, expected, plain, floor)


@pytest.mark.parametrize("mode", WAVELET_MODES)
@pytest.mark.parametrize(("name", "shape", "level"), SHAPES)
def test_gradients_are_those_of_the_reference(backend, device, name, shape, level, mode):
    options = {"level": level, "mode": mode}
    bank = bank_of(name, device=device) + draw(2, 1, seed=3, device=device) / 10

    def gradients(function, values, weights, on):
        given = values.to(on).requires_grad_(), bank.to(on).detach().requires_grad_()
        return torch.autograd.grad((function(*given) * weights.to(on)).sum(), given)

    x = draw(*shape, device=device)
    n_coefficients = sum(wavelet_bands(shape[1:], bank.shape[1], level, mode).counts)
    s = draw(shape[0], n_coefficients, seed=1, device=device)
    sizes = shape[1:]
    pairs = [
        (
            lambda *v: dwt(*v, n_dims=n_dims(shape), backend=backend, **options),
            lambda *v: dwt_reference(*v, n_dims=n_dims(shape), **options),
            (x, s),
        ),
        (
            lambda *v: idwt(*v, sizes=sizes, backend=backend, **options),
            lambda *v: idwt_reference(*v, sizes=sizes, **options),
            (s, x),
        ),
    ]
    for ours, reference, values in pairs:
        for mine, theirs in zip(
            gradients(ours, *values, device), gradients(reference, *values, "cpu"), strict=True
        ):
            scale = float(theirs.abs().max())
            torch.testing.assert_close(mine.cpu(), theirs, rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("mode", WAVELET_MODES)
@pytest.mark.parametrize("shape", [(3, 50), (2, 12, 15)])
def test_equals_pywavelets(backend, device, mode, shape):
    x = draw(*shape, device=device)
    found = dwt(x, bank_of("db3", device=device), level=2, mode=mode, n_dims=n_dims(shape))
    there = pywt.wavedec if len(shape) == 2 else pywt.wavedec2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of levels that see beyond the ends
        first, *details = there(x.cpu().numpy(), "db3", mode, 2)
    arrays = [first]
    for each in details:
        arrays += each if isinstance(each, tuple) else [each]
    expected = np.concatenate([each.reshape(shape[0], -1) for each in arrays], 1)
    torch.testing.assert_close(found.cpu(), torch.from_numpy(expected), rtol=0, atol=1e-12)
    back = idwt(found, bank_of("db3", device=device), sizes=shape[1:], level=2, mode=mode)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", WAVELET_MODES)
@pytest.mark.parametrize("shape", [(3, 21), (2, 7, 10)])
def test_the_transpose_of_the_way_back(backend, device, mode, shape):
    bank, x = bank_of("db2", device=device), draw(*shape, device=device)
    level = 2 if len(shape) == 2 else 1
    options = {"level": level, "mode": mode}
    found = idwt_transpose(x, bank, n_dims=n_dims(shape), backend=backend, **options)
    s = torch.zeros_like(found).requires_grad_()
    back = idwt_reference(s, bank, sizes=shape[1:], **options)
    (expected,) = torch.autograd.grad((back * x).sum(), s)
    torch.testing.assert_close(found, expected)


def test_many_rows(backend, device):
    x = draw(70_000, 2, dtype=torch.float32, device=device)
    found = dwt(x, bank_of("haar", torch.float32, device), level=1, backend=backend)
    expected = torch.stack([x.sum(1), x[:, 0] - x[:, 1]], 1) / 2**0.5
    torch.testing.assert_close(found, expected)


def test_work_spaces_beyond_shared_memory(backend, device):
    """Long signals and large images, whose levels go through memory on a GPU."""
    for shape, level in [((3, 20_000), 3), ((2, 90, 120), 3)]:
        bank, x = bank_of("db2", device=device), draw(*shape, device=device)
        bank.requires_grad_()
        found = dwt(x, bank, level=level, n_dims=n_dims(shape), backend=backend)
        expected = dwt_reference(x.cpu(), bank.detach().cpu(), level=level, n_dims=n_dims(shape))
        torch.testing.assert_close(found.detach().cpu(), expected)
        back = idwt(found, bank, sizes=shape[1:], level=level, backend=backend)
        torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
        (gradient,) = torch.autograd.grad(found.square().sum(), bank)
        own = bank.detach().cpu().requires_grad_()
        (expected,) = torch.autograd.grad(
            dwt_reference(x.cpu(), own, level=level, n_dims=n_dims(shape)).square().sum(), own
        )
        torch.testing.assert_close(gradient.cpu(), expected)


def test_second_derivatives_in_the_signals(backend, device):
    bank = bank_of("db2", device=device)

    def there(x):
        return dwt(x, bank, level=2, mode="reflect", backend=backend).pow(3)

    def back(s):
        return idwt(s, bank, sizes=(9,), level=2, mode="periodization", backend=backend).pow(3)

    x, s = draw(1, 9, device=device), draw(1, 11, seed=1, device=device)
    for function, values in ((there, x), (back, s)):
        assert torch.autograd.gradgradcheck(function, (values.requires_grad_(),))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # of torch.func itself
def test_forward_mode_is_the_map_itself():
    bank, x = bank_of("db2"), draw(1, 9)
    value, tangent = torch.func.jvp(lambda v: dwt(v, bank, level=1), (x,), (2 * x,))
    torch.testing.assert_close(tangent, 2 * value)
    with pytest.raises(NotImplementedError, match="must be along its values, got a tangent of the"):
        torch.func.jvp(lambda b: dwt(x, b, level=1), (bank,), (bank,))


def test_a_second_derivative_in_the_bank_is_an_error():
    bank, x = bank_of("db2").requires_grad_(), draw(1, 9)
    (first,) = torch.autograd.grad(dwt(x, bank, level=1).square().sum(), bank, create_graph=True)
    with pytest.raises(NotImplementedError, match="bank of a wavelet transform must be different"):
        torch.autograd.grad(first.sum(), bank)


@pytest.mark.parametrize("shape", [(0, 8), (2, 0, 8), (2, 3, 8), (8,)])
def test_leading_axes(backend, device, shape):
    x, bank = draw(*shape, device=device), bank_of("haar", device=device).requires_grad_()
    found = dwt(x, bank, level=3, backend=backend)
    assert found.shape == shape
    torch.testing.assert_close(
        found.detach().cpu(), dwt_reference(x.cpu(), bank.detach().cpu(), level=3)
    )
    (gradient,) = torch.autograd.grad(found.sum(), bank)
    assert bool((gradient == 0).all()) is (math.prod(shape) == 0)
    back = idwt(found, bank, sizes=(8,), level=3, backend=backend)
    torch.testing.assert_close(back, x)


def test_strided_values_and_one_row_alone(backend, device):
    x = draw(4, 16, 6, device=device).transpose(1, 2)
    bank = bank_of("db2", device=device)
    found = dwt(x, bank, level=2, backend=backend)
    assert torch.equal(found, dwt(x.contiguous(), bank, level=2, backend=backend))
    assert torch.equal(found[2, 3], dwt(x[2, 3], bank, level=2, backend=backend))


def test_traced_models_see_plain_operations():
    class Both(torch.nn.Module):
        def forward(self, x):
            found = dwt(x, bank_of_model, level=2)
            return idwt(found, bank_of_model, sizes=(16,), level=2)

    bank_of_model = bank_of("db2")
    x = draw(2, 16)
    program = torch.export.export(Both(), (x,), strict=False)
    assert all("pyxai" not in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x), Both()(x))


def test_bad_input_is_named():
    x, bank = draw(2, 16), bank_of("db2")
    with pytest.raises(TypeError, match=r"signals must have dtype torch.float32 or torch.float64"):
        dwt(x.half(), bank.half(), level=1)
    with pytest.raises(TypeError, match=r"bank must have dtype torch.float64, got torch.float32"):
        dwt(x, bank.float(), level=1)
    with pytest.raises(ValueError, match=r"bank must have shape \[2, n_taps\] with an even numb"):
        dwt(x, bank[:, :3], level=1)
    with pytest.raises(ValueError, match=r"with an even number of taps up to 256, got \[2, 258\]"):
        dwt(draw(1, 300), draw(2, 258), level=1)
    with pytest.raises(ValueError, match=r"sizes of signals must be at least 4, the taps of the "):
        dwt(draw(2, 3), bank, level=1)
    with pytest.raises(ValueError, match="level must be at most 40, got 41"):
        dwt(x, bank, level=41)
    with pytest.raises(ValueError, match="mode must be one of 'zero', 'symmetric'"):
        dwt(x, bank, level=1, mode="constant")
    with pytest.raises(ValueError, match="n_dims must be 1 or 2, got 3"):
        dwt(x, bank, level=1, n_dims=3)
    with pytest.raises(ValueError, match="signals must have 2 dimensions or more, got 1"):
        dwt(x[0], bank, level=1, n_dims=2)
    with pytest.raises(ValueError, match=r"coefficients must have shape \[..., 18\], got \[2, 16"):
        idwt(x, bank, sizes=(16,), level=1)
    with pytest.raises(TypeError, match="signals must be a tensor, got 'x'"):
        dwt("x", bank, level=1)
