import pytest
import torch

from pyxai.ops import share_bias, share_bias_reference

DTYPES = (torch.float32, torch.float64)
SHAPES = [(3, 7), (1, 1), (2, 3, 5), (3, 257), (0, 4), (2, 0), (5,), (2, 70_000)]


def draw(shape, dtype=torch.float64, device="cpu", *, shared=True, seed=0):
    """Parts of sums with ties, whole values and the rest, and what they are compared with."""
    generator = torch.Generator().manual_seed(seed)
    rows = 1 if shared else shape[0]
    total = torch.randn(rows, *shape[1:], generator=generator, dtype=torch.float64)
    total = torch.where(torch.rand(total.shape, generator=generator) < 0.3, 0.0, total)
    chance = torch.rand(shape, generator=generator)
    other = torch.randn(shape, generator=generator, dtype=torch.float64)
    linear = torch.where(chance < 0.2, total, torch.where(chance < 0.4, 0.0, other))
    given = {
        "linear": linear,
        "bias": torch.randn(shape[1:], generator=generator, dtype=torch.float64),
        "total": total,
        "magnitude": total.abs() + 1,
        "rounding": torch.full((shape[0], *[1] * (len(shape) - 1)), 1e-6, dtype=torch.float64),
        "ties": torch.rand(shape, generator=generator, dtype=torch.float64),
    }
    return {name: value.to(dtype).to(device) for name, value in given.items()}


def in_torch(linear, bias, total, magnitude, rounding, ties):
    """The formula in plain torch, in the dtype of the arguments."""
    mine, others, limit = linear.abs(), (total - linear).abs(), magnitude * rounding
    tied = mine + others <= 2 * limit
    weights = torch.where(tied, ties, mine / (mine + others))
    return torch.where(~tied & (others <= limit), total + bias, linear + weights * bias)


def wide(given):
    return {name: value.cpu().double() for name, value in given.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_reference(backend, device, dtype, shape, shared):
    given = draw(shape, dtype, device, shared=shared)
    out, tied = share_bias(**given, backend=backend)
    expected, expected_tied = share_bias_reference(**wide(given))
    error = (out.cpu().double() - expected).abs()
    peer = (in_torch(**{k: v.cpu() for k, v in given.items()}).double() - expected).abs()
    assert out.dtype == dtype
    assert out.shape == shape
    assert bool(tied) == bool(expected_tied)
    if error.numel():
        assert error.max() <= 2 * peer.max()


def test_every_case_by_hand(backend, device):
    # Nothing of either; all but rounding; half; nothing of a sum; opposite signs.
    linear = torch.tensor([[0.0, 4.0, 1.0, 0.0, -1.0]], device=device)
    total = torch.tensor([[0.0, 4.0 + 2.0**-20, 2.0, 2.0, 2.0]], device=device)
    bias = torch.full((5,), 8.0, device=device)
    found = {"magnitude": torch.full((1, 5), 4.0, device=device), "rounding": 1e-6, "ties": 0.25}
    out, tied = share_bias(linear, bias, total, **found, backend=backend)
    assert out.tolist() == [[2.0, 12.0 + 2.0**-20, 5.0, 0.0, 1.0]]
    assert tied
    out, tied = share_bias(linear[:, 1:], bias[1:], total[:, 1:], backend=backend)
    assert out[0, 1:].tolist() == [5.0, 0.0, 1.0]
    assert not tied
    assert out[0, 0] < 12.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_another_value_decides(backend, device, dtype):
    given = draw((3, 40), dtype, device)
    judged = given["linear"]
    given["linear"] = torch.randn(3, 40, dtype=dtype).to(device)
    out, _ = share_bias(**given, judged=judged, backend=backend)
    expected, _ = share_bias_reference(**wide(given), judged=judged.cpu().double())
    torch.testing.assert_close(out.cpu().double(), expected, rtol=1e-6, atol=1e-6)
    # Nobody is given the whole: shares of 1 are added to what is there.
    same = (judged == given["total"]) & (judged.abs() > 1e-3)
    assert same.any()
    whole = given["linear"] + given["bias"]
    torch.testing.assert_close(out[same], whole[same], rtol=1e-5, atol=1e-5)


def test_rows_do_not_depend_on_each_other(backend, device):
    given = draw((6, 33), torch.float32, device, shared=False)
    out, _ = share_bias(**given, backend=backend)
    for row in range(6):
        alone = {k: v if k == "bias" else v[row : row + 1] for k, v in given.items()}
        assert torch.equal(share_bias(**alone, backend=backend)[0], out[row : row + 1])


def test_nan_and_infinity_stay(backend, device):
    linear = torch.tensor([[float("nan"), float("inf"), 1.0]], device=device)
    total = torch.tensor([[1.0, float("inf"), float("nan")]], device=device)
    out, tied = share_bias(linear, torch.ones(3, device=device), total, backend=backend)
    assert out.isnan().all()
    assert not tied


def test_strides_and_gradients_are_left_alone(backend, device):
    given = draw((4, 6), torch.float64, device)
    expected, _ = share_bias(**given, backend=backend)
    given["linear"] = given["linear"].T.contiguous().T.requires_grad_()
    out, _ = share_bias(**given, backend=backend)
    assert torch.equal(out, expected)
    assert not out.requires_grad


def test_bad_input_is_named():
    given = draw((3, 4), torch.float32)
    with pytest.raises(TypeError, match=r"linear must have dtype torch.float32 or torch.float64"):
        share_bias(**given | {"linear": given["linear"].half()})
    with pytest.raises(ValueError, match=r"linear must have a dimension of rows, got shape \[\]"):
        share_bias(**given | {"linear": torch.tensor(1.0)})
    with pytest.raises(TypeError, match=r"total must have dtype torch.float32, got torch.float64"):
        share_bias(**given | {"total": given["total"].double()})
    with pytest.raises(ValueError, match=r"bias must broadcast over shape \[3, 4\], got \[5\]"):
        share_bias(**given | {"bias": torch.zeros(5)})
    with pytest.raises(ValueError, match=r"bias must broadcast .*got \[1, 3, 4\]"):
        share_bias(**given | {"bias": torch.zeros(1, 3, 4)})
    with pytest.raises(ValueError, match=r"rounding must broadcast over shape \[3, 1\], got \[4\]"):
        share_bias(**given | {"rounding": torch.zeros(4)})
    with pytest.raises(TypeError, match="ties must be a number, got 'half'"):
        share_bias(**given | {"ties": "half"})
