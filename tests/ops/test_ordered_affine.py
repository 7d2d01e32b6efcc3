import pytest
import torch
from backends import REQUIRED
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_threads import threads

from pyxai import _C
from pyxai.ops import masked_affine, ordered_affine, ordered_affine_reference

DTYPES = (torch.float32, torch.float64)
NAN, INF = float("nan"), float("inf")


def draw(batch, n_players, size, n_orders=None, n_steps=None, **kinds):
    """Arguments by name; ``kinds`` are dtype, device, shared and seed."""
    generator = torch.Generator().manual_seed(kinds.get("seed", 0))
    dtype, device = kinds.get("dtype", torch.float32), kinds.get("device", "cpu")

    def values(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).to(device)

    given = {"start": values(batch, size)}
    given["parts"] = values(1 if kinds.get("shared", True) else batch, n_players, size)
    if n_orders is not None:
        shape = (n_orders, n_players if n_steps is None else n_steps)
        orders = torch.randint(max(n_players, 1), shape, generator=generator)
        if n_steps is None:
            orders = torch.rand(shape, generator=generator).argsort(1)
        given["orders"] = orders.int().to(device)
    return given


def assert_near_reference(out, given, activation=None):
    """Against sums of the same values in float64; a row is rounded once."""
    wide = {k: v.cpu() if k == "orders" else v.cpu().double() for k, v in given.items()}
    expected = ordered_affine_reference(**wide, activation=activation)
    assert out.dtype == given["start"].dtype
    assert out.shape == expected.shape
    # The same additions in the same order: nothing but the last rounding may differ.
    torch.testing.assert_close(out.cpu(), expected.to(out.dtype), rtol=0, atol=0, equal_nan=True)


# Columns around the widths of tiles; 70 000 lines are more than a grid has blocks.
SIZES = [(1, 1, 1, 1), (2, 3, 5, 4), (3, 33, 17, 9), (2, 70, 64, 3), (1, 13, 100, 30)]
SIZES += [(2, 9, 257, 7), (1, 3, 4100, 2), (1, 2, 1, 70_000), (0, 3, 4, 2), (2, 3, 0, 2)]
SIZES += [(2, 3, 4, 0), (2, 0, 4, 3), (1, 784, 10, 4)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(("batch", "n_players", "size", "n_orders"), SIZES)
def test_equals_reference(backend, device, dtype, activation, batch, n_players, size, n_orders):
    for shared in (True, False):
        given = draw(batch, n_players, size, n_orders, dtype=dtype, device=device, shared=shared)
        out = ordered_affine(**given, activation=activation, backend=backend)
        assert out.shape == (batch, n_orders, n_players, size)
        if n_orders < 1000:
            assert_near_reference(out, given, activation)
        else:
            peer = given["start"][:, None, None] + given["parts"][:, given["orders"].long()]
            assert torch.equal(
                out[:, :, 0], torch.relu(peer[:, :, 0]) if activation else peer[:, :, 0]
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "n_players", "size"), [(1, 1, 1), (2, 70, 33), (3, 5, 4100), (2, 0, 4), (0, 3, 4)]
)
def test_players_by_their_number(backend, device, dtype, batch, n_players, size):
    for shared in (True, False):
        given = draw(batch, n_players, size, dtype=dtype, device=device, shared=shared)
        out = ordered_affine(**given, activation="relu", backend=backend)
        assert out.shape == (batch, 1, n_players, size)
        assert_near_reference(out, given, "relu")
        orders = torch.arange(n_players, dtype=torch.int32, device=device).unsqueeze(0)
        named = ordered_affine(**given, orders=orders, activation="relu", backend=backend)
        assert torch.equal(out, named)


@settings(max_examples=80, deadline=None)
@given(
    batch=st.integers(1, 3),
    n_players=st.integers(1, 60),
    size=st.integers(1, 150),
    n_orders=st.one_of(st.none(), st.integers(1, 5)),
    n_steps=st.one_of(st.none(), st.integers(0, 90)),
    kinds=st.fixed_dictionaries(
        {
            "shared": st.booleans(),
            "seed": st.integers(0, 2**20),
            "dtype": st.sampled_from(DTYPES),
        }
    ),
    activation=st.sampled_from([None, "relu"]),
)
def test_any_sizes_and_orders(batch, n_players, size, n_orders, n_steps, kinds, activation):
    given = draw(batch, n_players, size, n_orders, n_steps, **kinds)
    for name in REQUIRED:
        if name != "cuda":
            out = ordered_affine(**given, activation=activation, backend=name)
            assert_near_reference(out, given, activation)


def test_closed_form(backend, device):
    parts = torch.tensor([[1.0, -1.0], [10.0, -10.0], [100.0, 100.0]], device=device).unsqueeze(0)
    start = torch.tensor([[0.5, 0.5], [-20.5, 0.0]], device=device)
    orders = torch.tensor([[2, 0, 1], [1, 1, 0]], dtype=torch.int32, device=device)
    out = ordered_affine(start, parts, orders, backend=backend)
    assert out.tolist() == [
        [
            [[100.5, 100.5], [101.5, 99.5], [111.5, 89.5]],
            [[10.5, -9.5], [20.5, -19.5], [21.5, -20.5]],
        ],
        [
            [[79.5, 100.0], [80.5, 99.0], [90.5, 89.0]],
            [[-10.5, -10.0], [-0.5, -20.0], [0.5, -21.0]],
        ],
    ]
    out = ordered_affine(start, parts, orders, activation="relu", backend=backend)
    assert out[1, 1].tolist() == [[0.0, 0.0], [0.0, 0.0], [0.5, 0.0]]


def test_examples_have_their_own_parts(backend, device):
    given = draw(3, 6, 20, 4, shared=False, device=device)
    out = ordered_affine(**given, backend=backend)
    given["parts"] = given["parts"].flip(0)
    other = ordered_affine(**given, backend=backend)
    assert torch.equal(out[1], other[1])
    assert not torch.equal(out[0], other[0])
    assert_near_reference(other, given)


@pytest.mark.parametrize("size", [5, 16, 250, 4100])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_same_bits_alone_and_beside_others(backend, device, dtype, size):
    for shared in (True, False):
        given = draw(3, 9, size, 4, dtype=dtype, device=device, shared=shared)
        out = ordered_affine(**given, activation="relu", backend=backend)
        for b, o, k in ((0, 0, 0), (1, 3, 5), (2, 2, 8)):
            alone = {
                "start": given["start"][b : b + 1],
                "orders": given["orders"][o, None, : k + 1],
            }
            alone["parts"] = given["parts"] if shared else given["parts"][b : b + 1]
            row = ordered_affine(**alone, activation="relu", backend=backend)[0, 0, -1]
            assert torch.equal(row, out[b, o, k])


# One order of one example is divided by columns.
@pytest.mark.parametrize(("batch", "n_orders"), [(1, None), (1, 1), (5, 1), (2, 3)])
@pytest.mark.parametrize("size", [100, 1030])
def test_threads_and_backends_change_no_bit(batch, n_orders, size):
    given = draw(batch, 200, size, n_orders)
    found = []
    for count in (1, 2, 3, 7):
        with threads(count):
            found.append(ordered_affine(**given, activation="relu"))
    found += [
        ordered_affine(**given, activation="relu", backend=name)
        for name in REQUIRED
        if name == "host_run"
    ]
    for other in found[1:]:
        assert torch.equal(found[0], other)


@pytest.mark.parametrize("dtype", DTYPES)
def test_streamed_results_are_the_same(dtype):
    given = draw(2, 40, 3001, 30, dtype=dtype)
    out = ordered_affine(**given, activation="relu")
    assert out.nbytes >= 1 << 24  # kStreamBytes
    columns = {k: v if k == "orders" else v[..., 2000:2500] for k, v in given.items()}
    assert torch.equal(out[..., 2000:2500], ordered_affine(**columns, activation="relu"))


def test_hundreds_of_players_are_added_in_float64(backend, device):
    """Values of mixed sign, where a sum in float32 would lose many digits."""
    given = draw(1, 5000, 3, 1, device=device)
    given["parts"] *= 1e4
    given["parts"][:, 2500:] = -given["parts"][:, :2500]
    given["orders"] = torch.arange(5000, dtype=torch.int32, device=device).unsqueeze(0)
    found = ordered_affine(**given, backend=backend)[0, 0, -1].cpu()
    start = given["start"][0].cpu()
    # What came in has left again.
    assert (found - start).abs().max() <= 1e-6 * start.abs().max()
    narrow = start.clone()
    for part in given["parts"][0].cpu():
        narrow += part
    assert (narrow - start).abs().max() > 1e-3 * start.abs().max()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_last_row_is_that_of_everyone(backend, device, dtype):
    given = draw(2, 30, 40, 3, dtype=dtype, device=device)
    last = ordered_affine(**given, backend=backend)[:, :, -1]
    masks = torch.full((1, 1), (1 << 30) - 1, dtype=torch.int32, device=device)
    whole = masked_affine(given["start"], given["parts"], masks, backend=backend)
    torch.testing.assert_close(last, whole.expand_as(last))


@pytest.mark.parametrize("n_orders", [None, 3])
def test_out_is_a_slice_of_a_larger_tensor(backend, device, n_orders):
    given = draw(3, 7, 20, n_orders, device=device)
    expected = ordered_affine(**given, backend=backend)
    count = expected.shape[1]
    for before, after in ((1, 2), (4, 0)):
        large = torch.full((3, before + count + after, 7, 20), 7.0, device=device)
        out = large[:, before : before + count]
        found = ordered_affine(**given, out=out, backend=backend)
        assert found is out
        assert torch.equal(out, expected)
        assert (large[:, :before] == 7).all()
        assert (large[:, before + count :] == 7).all()
    # Behind the row of nobody, in one array of rows.
    rows = torch.full((3, 1 + count * 7, 20), 7.0, device=device)
    out = rows[:, 1:].unflatten(1, (count, 7))
    assert out.data_ptr() == rows[:, 1:].data_ptr()
    assert torch.equal(ordered_affine(**given, out=out, backend=backend), expected)
    assert (rows[:, 0] == 7).all()
    # At an odd place, where no pack fits.
    flat = torch.full((1 + expected.numel(),), 7.0, device=device)
    ordered_affine(**given, out=flat[1:].view_as(expected), backend=backend)
    assert torch.equal(flat[1:].view_as(expected), expected)
    assert flat[0] == 7


def test_nan_and_infinity(backend, device):
    parts = torch.ones(1, 4, 20, device=device)
    parts[0, 1], parts[0, 2], parts[0, 3] = NAN, INF, -INF
    orders = torch.tensor([[0, 1, 0], [2, 0, 3], [3, 0, 0]], dtype=torch.int32, device=device)
    start = torch.full((1, 20), -2.0, device=device)
    expected = torch.tensor([[-1.0, NAN, NAN], [INF, INF, NAN], [-INF, -INF, -INF]])
    expected = expected.unsqueeze(2).expand(3, 3, 20)
    for activation in (None, "relu"):
        out = ordered_affine(start, parts, orders, activation=activation, backend=backend)[0]
        wanted = torch.relu(expected) if activation else expected
        torch.testing.assert_close(out.cpu(), wanted, rtol=0, atol=0, equal_nan=True)
    # What is too large for float32 is so where a row is written, not in the sum.
    start = torch.full((1, 4), 3e38, device=device)
    parts = torch.tensor([3e38, -3e38], device=device)[None, :, None].expand(1, 2, 4)
    assert ordered_affine(start, parts, backend=backend)[0, 0, :, 0].tolist() == [INF, start[0, 0]]


def test_zeros_keep_their_sign_as_in_torch(backend, device):
    start = torch.tensor([[-0.0, 0.0, -1e-45]], device=device)
    parts = torch.full((1, 2, 3), -0.0, device=device)
    for activation, expected in ((None, start), ("relu", torch.relu(start))):
        out = ordered_affine(start, parts, activation=activation, backend=backend)
        assert torch.equal(out.signbit(), expected.signbit().expand_as(out))
        assert torch.equal(out, expected.expand_as(out))


@pytest.fixture
def given_parts(monkeypatch):
    """Sizes of the parts that the native op was given."""
    sizes, native = [], _C.ordered_affine

    def call(**arguments):
        sizes.append(tuple(arguments["parts"].shape))
        return native(**arguments)

    monkeypatch.setattr(_C, "ordered_affine", call)
    return sizes


def test_strides_and_gradients_are_left_alone(backend, device, given_parts):
    given = draw(4, 6, 5, 3, device=device)
    expected = ordered_affine(**given, backend=backend)
    strided = {k: v.transpose(0, -1).contiguous().transpose(0, -1) for k, v in given.items()}
    strided["parts"] = strided["parts"].expand(4, 6, 5)
    assert torch.equal(ordered_affine(**strided, backend=backend), expected)
    assert given_parts == [(1, 6, 5)] * 2
    once = given["start"][:1].requires_grad_()
    out = ordered_affine(once.expand(4, 5), given["parts"], given["orders"], backend=backend)
    assert not out.requires_grad
    assert torch.equal(out[0], out[3])


def ints(*shape):
    return torch.zeros(shape, dtype=torch.int32)


GOOD = {"start": torch.zeros(2, 6), "parts": torch.zeros(1, 3, 6), "orders": ints(4, 5)}
BAD = {
    "start of half": ({"start": torch.zeros(2, 6).half()}, TypeError, "start must .*float16"),
    "start without a batch": (
        {"start": torch.zeros(6)},
        ValueError,
        r"start must have shape \[batch, size\], got \[6\]",
    ),
    "parts that are no tensor": ({"parts": 1.0}, TypeError, "parts must be a tensor, got 1.0"),
    "parts of another dtype": (
        {"parts": torch.zeros(1, 3, 6).double()},
        TypeError,
        "parts must have dtype torch.float32, got torch.float64",
    ),
    "parts of another batch": (
        {"parts": torch.zeros(3, 3, 6)},
        ValueError,
        r"parts must have shape \[1 or 2, n_players, 6\], got \[3, 3, 6\]",
    ),
    "orders that are no tensor": (
        {"orders": [0, 1]},
        TypeError,
        "orders must be a tensor, got a list",
    ),
    "orders of another dtype": (
        {"orders": ints(4, 5).long()},
        TypeError,
        "orders must have dtype torch.int32, got torch.int64",
    ),
    "a single order": (
        {"orders": ints(5)},
        ValueError,
        r"orders must have shape \[n_orders, n_steps\], got \[5\]",
    ),
    "orders of each example": (
        {"orders": ints(2, 4, 5)},
        ValueError,
        r"orders must have shape \[n_orders, n_steps\], got \[2, 4, 5\]",
    ),
    "a player too many": (
        {"orders": ints(4, 5) + 3},
        ValueError,
        "orders must hold players from 0 to below 3, got 3",
    ),
    "nobody": (
        {"orders": ints(4, 5) - 1},
        ValueError,
        "orders must hold players from 0 to below 3, got -1",
    ),
    "steps without players": (
        {"parts": torch.zeros(1, 0, 6)},
        ValueError,
        "orders must hold players from 0 to below 0, got 0",
    ),
    "another activation": (
        {"activation": "gelu"},
        ValueError,
        "activation must .*'relu'.*got 'gelu'",
    ),
    "out of another shape": (
        {"out": torch.zeros(2, 4, 3, 6)},
        ValueError,
        r"out must have shape \[2, 4, 5, 6\], got \[2, 4, 3, 6\]",
    ),
    "out of another dtype": (
        {"out": torch.zeros(2, 4, 5, 6).double()},
        TypeError,
        "out must have dtype torch.float32, got torch.float64",
    ),
    "out with gaps in a row": (
        {"out": torch.zeros(2, 4, 5, 12)[..., ::2]},
        ValueError,
        r"out must be contiguous in its last three dimensions .*got strides \[240, 60, 12, 2\]",
    ),
    "out with gaps between orders": (
        {"out": torch.zeros(2, 4, 7, 6)[:, :, :5]},
        ValueError,
        "out must be contiguous in its last three dimensions",
    ),
    "out whose examples share memory": (
        {"out": torch.zeros(1, 4, 5, 6).expand(2, 4, 5, 6)},
        ValueError,
        r"a stride of at least 120 between examples, got strides \[0, 30, 6, 1\]",
    ),
    "an unknown backend": ({"backend": "abacus"}, ValueError, "backend must .*got 'abacus'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, error, message = BAD[case]
    with pytest.raises(error, match=message):
        ordered_affine(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": torch.zeros(6)}, "start must have 2 dimensions"),
        ({"parts": torch.zeros(3, 3, 6)}, r"parts must have shape \[1 or 2, n_players, 6\]"),
        ({"orders": ints(20)}, "orders must have 2 dimensions, got 1"),
        ({"orders": ints(5, 4).T}, "orders must be contiguous"),
        ({"orders": ints(4, 5) + 3}, "orders must hold players from 0 to below 3, got 3"),
        ({"out": torch.zeros(2, 4, 5, 7)[..., :6]}, "out must be contiguous in its last three"),
        ({"out": torch.zeros(2, 4, 5, 7)}, "out must have shape"),
    ],
)
def test_the_native_op_checks_what_memory_safety_needs(changes, message):
    good = GOOD | {"out": torch.zeros(2, 4, 5, 6)}
    with pytest.raises(ValueError, match=message):
        _C.ordered_affine(**good | changes, relu=False, backend="cpu")


def test_kernels_that_do_not_look_leave_unknown_players_out(backend, device):
    given = draw(2, 5, 24, 2, device=device)
    given["orders"] = given["orders"].clone()
    given["orders"][:, 2] = torch.tensor([-1, 5], device=device)
    if backend == "cpu":
        with pytest.raises(ValueError, match="orders must hold players from 0 to below 5, got -1"):
            ordered_affine(**given, backend=backend)
        return
    out = ordered_affine(**given, backend=backend)
    assert torch.equal(out[:, :, 2], out[:, :, 1])
