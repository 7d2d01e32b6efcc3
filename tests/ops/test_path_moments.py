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


def ways(batch, n_nodes, features, *, noisy, dtype, device, n_rows=4):
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).to(device)

    shape = (batch, n_nodes, *features) if noisy else (batch, *features)
    rows = torch.randint(n_rows, (batch, n_nodes), generator=generator)
    return {
        "inputs": normal(*shape),
        "baselines": normal(n_rows, *features),
        "rows": rows.to(device),
    }


def on_cpu(arguments):
    return {k: v.cpu() if isinstance(v, torch.Tensor) else v for k, v in arguments.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("noisy", [False, True], ids=["shared_ends", "own_ends"])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1),
        (3, 5, 7),
        (2, 19, 255),
        (1, 9, 257),
        (0, 2, 5),
        (2, 0, 5),
        (3, 2, 3, 4),
        (40, 8, 1),
    ],
)
def test_ways_equal_reference(backend, device, dtype, noisy, shape):
    grads, _ = draw(*shape, dtype=dtype, device=device)
    options = ways(*shape[:2], shape[2:], noisy=noisy, dtype=dtype, device=device)
    options["order"] = 3
    wide = torch.promote_types(dtype, torch.float32)
    ends = options["inputs"].to(wide)
    ends = ends if noisy else ends.unsqueeze(1)
    value = grads.to(wide) * (ends - options["baselines"].to(wide)[options["rows"]])
    found = []
    for seed in range(8):  # of one draw, plain torch may be exact by chance
        generator = torch.Generator().manual_seed(seed)
        weights = torch.rand(shape[1], generator=generator, dtype=torch.float64).to(device)
        actual = path_moments(grads, weights, example_major=True, backend=backend, **options)
        reference = path_moments_reference(
            grads.cpu(), weights.cpu(), example_major=True, **on_cpu(options)
        )
        plain = torch.stack(
            [torch.einsum("s,bs...->b...", weights.to(wide), value**k) for k in (1, 2, 3)]
        )
        assert actual.dtype == wide
        found.append((actual, reference, plain))
    assert_as_exact_as_torch(*map(torch.stack, zip(*found, strict=True)))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("example_major", [False, True])
def test_moments_about_an_origin(backend, device, order, example_major):
    grads, weights = draw(9, 3, 70, dtype=torch.float64, device=device)
    grads = grads + 1000  # without the origin, ten digits of the fourth power would be lost
    given = grads.transpose(0, 1).contiguous() if example_major else grads
    origin = grads[0].clone()
    actual = path_moments(
        given, weights, origin=origin, order=order, example_major=example_major, backend=backend
    )
    shifted = grads - origin
    expected = [torch.einsum("s,sbf->bf", weights, shifted**k) for k in range(1, order + 1)]
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-13, atol=1e-13)


def test_groups_and_nodes_first_say_the_same(backend, device):
    grads, weights = draw(11, 4, 300, device=device)
    torch.testing.assert_close(
        path_moments(
            grads.transpose(0, 1).contiguous(), weights, example_major=True, backend=backend
        ),
        path_moments(grads, weights, backend=backend),
    )


def test_bad_ways_are_named():
    grads, weights = torch.zeros(2, 3, 5), torch.ones(3, dtype=torch.float64)
    good = {"inputs": torch.zeros(2, 5), "baselines": torch.zeros(4, 5)}
    good["rows"] = torch.zeros(2, 3, dtype=torch.int64)

    def call(**changes):
        return path_moments(grads, weights, **({"example_major": True, **good} | changes))

    call()
    with pytest.raises(ValueError, match=r"inputs, baselines and rows must be given together"):
        call(rows=None)
    with pytest.raises(ValueError, match=r"inputs must have shape \[2, 5\], got \[3, 5\]"):
        call(inputs=torch.zeros(3, 5))
    with pytest.raises(TypeError, match=r"inputs must have dtype torch.float32, got torch.float64"):
        call(inputs=torch.zeros(2, 5).double())
    with pytest.raises(ValueError, match=r"baselines must have shape \[\*, 5\], got \[4, 6\]"):
        call(baselines=torch.zeros(4, 6))
    with pytest.raises(ValueError, match=r"baselines must have at least one row, got none"):
        call(baselines=torch.zeros(0, 5))
    with pytest.raises(ValueError, match=r"rows must be in 0..3, got values 0 to 4"):
        call(rows=torch.tensor([[0, 1, 4], [0, 0, 0]]))
    with pytest.raises(TypeError, match=r"rows must have dtype torch.int64, got torch.int32"):
        call(rows=good["rows"].int())
    with pytest.raises(ValueError, match=r"inputs must be given with example_major=True only"):
        path_moments(torch.zeros(3, 2, 5), weights, **good)
    with pytest.raises(ValueError, match=r"order must be at most 4, got 5"):
        call(order=5)
    with pytest.raises(ValueError, match=r"origin must have shape \[2, 5\], got \[5\]"):
        call(origin=torch.zeros(5))
    with pytest.raises(TypeError, match=r"origin must have dtype torch.float32, got torch.float64"):
        call(origin=torch.zeros(2, 5).double())
    with pytest.raises(TypeError, match=r"example_major must be"):
        call(example_major=1)
