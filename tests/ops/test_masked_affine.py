import pytest
import torch
from backends import REQUIRED
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_threads import threads

from pyxai import _C
from pyxai.ops import masked_affine, masked_affine_reference, pack_masks, unpack_masks

DTYPES = (torch.float32, torch.float64)
NAN, INF = float("nan"), float("inf")


def draw(batch, n_players, size, n_masks=None, *, dtype=torch.float32, device="cpu", **kinds):
    """Arguments by name; ``kinds`` are shared, own, scaled, density and seed."""
    generator = torch.Generator().manual_seed(kinds.get("seed", 0))
    own_masks, shared = kinds.get("own", False), kinds.get("shared", True)

    def values(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).to(device)

    given = {"start": values(batch, size)}
    given["parts"] = values(1 if shared else batch, n_players, size)
    if kinds.get("scaled", True):
        given["scales"] = values(batch, n_players)
    if n_masks is not None:
        shape = (batch, n_masks, n_players) if own_masks else (n_masks, n_players)
        keep = torch.rand(shape, generator=generator) < kinds.get("density", 0.5)
        given["masks"] = pack_masks(keep).to(device)
    return given


def wide(given):
    return {k: v.cpu() if k == "masks" else v.cpu().double() for k, v in given.items()}


def in_torch(start, parts, masks=None, scales=None):
    """The formula as a product of matrices, in the dtype of the arguments."""
    n_players = parts.shape[1]
    keep = torch.eye(n_players) if masks is None else unpack_masks(masks, n_players)
    weights = keep.to(start.dtype) * (1 if scales is None else scales.unsqueeze(1))
    return start.unsqueeze(1) + weights @ parts


def assert_near_reference(out, given, activation=None):
    expected = masked_affine_reference(**wide(given), activation=activation)
    assert out.dtype == given["start"].dtype
    assert out.shape == expected.shape
    if not out.numel():
        return
    peer = in_torch(**{k: v.cpu() for k, v in given.items()})
    peer = torch.relu(peer) if activation == "relu" else peer
    error = (out.cpu().double() - expected).abs().max()
    # Of few sums the product of matrices may have every bit right: 4 roundings are always allowed.
    terms = masked_affine_reference(
        **{k: v if k == "masks" else v.abs() for k, v in wide(given).items()}
    )
    rounding = 2 * torch.finfo(out.dtype).eps * terms.max()
    assert error <= 2 * (peer.double() - expected).abs().max() + rounding


# Columns around the widths of tiles; 70 000 rows are more than a grid has blocks.
SIZES = [(1, 1, 1, 1), (2, 3, 5, 4), (3, 33, 17, 9), (2, 70, 64, 40), (1, 130, 100, 300)]
SIZES += [
    (2, 9, 257, 70),
    (1, 5, 3, 70_000),
    (0, 3, 4, 2),
    (2, 3, 0, 2),
    (2, 3, 4, 0),
    (2, 0, 4, 3),
]
SIZES += [(2, 40, 32, 600), (1, 784, 10, 64)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(("batch", "n_players", "size", "n_masks"), SIZES)
def test_equals_reference(backend, device, dtype, activation, batch, n_players, size, n_masks):
    given = draw(batch, n_players, size, n_masks, dtype=dtype, device=device)
    out = masked_affine(**given, activation=activation, backend=backend)
    assert_near_reference(out, given, activation)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(
    ("batch", "n_players", "size"), [(1, 1, 1), (2, 70, 33), (3, 5, 4100), (2, 0, 4), (0, 3, 4)]
)
def test_players_alone(backend, device, dtype, activation, batch, n_players, size):
    for shared in (True, False):
        given = draw(batch, n_players, size, dtype=dtype, device=device, shared=shared)
        out = masked_affine(**given, activation=activation, backend=backend)
        assert_near_reference(out, given, activation)
        alone = pack_masks(torch.eye(n_players, dtype=torch.bool)).to(device)
        masked = masked_affine(**given, masks=alone, activation=activation, backend=backend)
        assert torch.equal(out, masked)


@settings(max_examples=80, deadline=None)
@given(
    batch=st.integers(1, 3),
    n_players=st.integers(0, 140),
    size=st.integers(1, 70),
    n_masks=st.one_of(st.none(), st.integers(1, 80)),
    kinds=st.fixed_dictionaries(
        {name: st.booleans() for name in ("shared", "own", "scaled")}
        | {"density": st.sampled_from([0.02, 0.5, 1.0]), "seed": st.integers(0, 2**20)}
    ),
    dtype=st.sampled_from(DTYPES),
    activation=st.sampled_from([None, "relu"]),
)
def test_any_sizes_and_masks(batch, n_players, size, n_masks, kinds, dtype, activation):
    given = draw(batch, n_players, size, n_masks, dtype=dtype, **kinds)
    names = [name for name in REQUIRED if name != "cuda"]
    found = [masked_affine(**given, activation=activation, backend=name) for name in names]
    assert_near_reference(found[0], given, activation)
    for other in found[1:]:  # the same sums in the same order
        assert torch.equal(found[0], other)


def test_closed_form(backend, device):
    parts = torch.tensor([[1.0, -1.0], [10.0, -10.0], [100.0, 100.0]], device=device).unsqueeze(0)
    start = torch.tensor([[0.5, 0.5], [-0.5, 0.0]], device=device)
    scales = torch.tensor([[1.0, 2.0, 0.0], [-1.0, 1.0, 1.0]], device=device)
    masks = pack_masks(torch.tensor([[1, 1, 0], [0, 0, 0], [0, 1, 1]]).bool()).to(device)
    out = masked_affine(start, parts, masks, scales, backend=backend)
    assert out.tolist() == [
        [[21.5, -20.5], [0.5, 0.5], [20.5, -19.5]],
        [[8.5, -9.0], [-0.5, 0.0], [109.5, 90.0]],
    ]
    out = masked_affine(start, parts, masks, scales, activation="relu", backend=backend)
    assert out[0].tolist() == [[21.5, 0.0], [0.5, 0.5], [20.5, 0.0]]
    out = masked_affine(start, parts, masks, backend=backend)
    assert out[1].tolist() == [[10.5, -11.0], [-0.5, 0.0], [109.5, 90.0]]


@pytest.mark.parametrize("n_masks", [2, 300])
@pytest.mark.parametrize("n_players", [3, 33, 100])
def test_every_example_has_its_own_masks_and_parts(backend, device, n_players, n_masks):
    for kinds in ({"own": True}, {"shared": False}, {"own": True, "scaled": False}):
        given = draw(3, n_players, 40, n_masks, device=device, **kinds)
        out = masked_affine(**given, activation="relu", backend=backend)
        assert_near_reference(out, given, "relu")


# Few masks are added player by player, many from sums of subsets.
@pytest.mark.parametrize("n_players", [6, 45, 150])
@pytest.mark.parametrize("size", [5, 16, 250])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_same_bits_alone_and_in_a_batch(backend, device, dtype, n_players, size):
    for kinds in ({"own": True}, {"shared": False, "own": True}, {"scaled": False, "own": True}):
        given = draw(3, n_players, size, 80, dtype=dtype, device=device, **kinds)
        out = masked_affine(**given, activation="relu", backend=backend)
        for b, m in ((0, 0), (1, 41), (2, 79)):
            alone = {k: v if len(v) == 1 else v[b : b + 1] for k, v in given.items()}
            alone["masks"] = alone["masks"][:, m : m + 1]
            row = masked_affine(**alone, activation="relu", backend=backend)
            assert torch.equal(row[0, 0], out[b, m])


@pytest.mark.parametrize("n_masks", [None, 7, 700])
@pytest.mark.parametrize("shared", [True, False])
def test_threads_and_backends_change_no_bit(n_masks, shared):
    given = draw(5, 90, 200, n_masks, shared=shared, scaled=not shared)
    found = []
    for count in (1, 2, 3):
        with threads(count):
            found.append(masked_affine(**given))
    found += [masked_affine(**given, backend=name) for name in REQUIRED if name == "host_run"]
    for other in found[1:]:
        assert torch.equal(found[0], other)


@pytest.mark.parametrize("n_masks", [5, 300])
def test_streamed_results_are_the_same(n_masks):
    given = draw(1 if n_masks == 300 else 60, 12, 20_000, n_masks)
    out = masked_affine(**given, activation="relu")
    assert out.nbytes >= 1 << 24  # kStreamBytes
    columns = {k: v[..., 1000:1500] if k in ("start", "parts") else v for k, v in given.items()}
    assert torch.equal(out[..., 1000:1500], masked_affine(**columns, activation="relu"))
    alone = {k: v for k, v in given.items() if k != "masks"}
    alone = {k: v.repeat_interleave(20, 0) if k != "parts" else v for k, v in alone.items()}
    found = masked_affine(**alone)
    assert torch.equal(
        found[-1, 3], alone["start"][-1] + alone["scales"][-1, 3] * given["parts"][0, 3]
    )


@pytest.mark.parametrize("n_masks", [None, 3, 60])
def test_out_is_a_slice_of_a_larger_tensor(backend, device, n_masks):
    given = draw(3, 7, 20, n_masks, device=device)
    expected = masked_affine(**given, backend=backend)
    rows = expected.shape[1]
    for before, after in ((1, 2), (4, 0)):
        large = torch.full((3, before + rows + after, 20), 7.0, device=device)
        out = large[:, before : before + rows]
        found = masked_affine(**given, out=out, backend=backend)
        assert found is out
        assert torch.equal(out, expected)
        assert (large[:, :before] == 7).all()
        assert (large[:, before + rows :] == 7).all()
    # At an odd place, where no pack fits.
    flat = torch.full((1 + expected.numel(),), 7.0, device=device)
    masked_affine(**given, out=flat[1:].view_as(expected), backend=backend)
    assert torch.equal(flat[1:].view_as(expected), expected)
    assert flat[0] == 7


def test_bits_of_no_player_are_ignored(backend, device):
    for n_players, n_masks in ((5, 3), (5, 200), (33, 3), (40, 200)):
        given = draw(2, n_players, 18, n_masks, device=device)
        expected = masked_affine(**given, backend=backend)
        beyond = pack_masks(torch.arange(64) >= n_players)[: given["masks"].shape[1]].to(device)
        given["masks"] = given["masks"] | beyond
        assert torch.equal(masked_affine(**given, backend=backend), expected)


@pytest.mark.parametrize("n_masks", [3, 100])
def test_nan_and_infinity(backend, device, n_masks):
    parts = torch.ones(1, 5, 20, device=device)
    parts[0, 1], parts[0, 2], parts[0, 3] = NAN, INF, -INF
    keep = torch.tensor([[1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]).bool()
    keep = torch.cat((keep, torch.tensor([[0, 0, 0, 1, 0], [0, 0, 1, 1, 0]]).bool()))
    masks = pack_masks(keep).to(device).repeat(n_masks, 1)
    start = torch.full((1, 20), -1.0, device=device)
    out = masked_affine(start, parts, masks, backend=backend)[0, :5]
    expected = torch.tensor([1.0, NAN, INF, -INF, NAN]).unsqueeze(1).expand(5, 20)
    torch.testing.assert_close(out.cpu(), expected, rtol=0, atol=0, equal_nan=True)
    out = masked_affine(start, parts, masks, activation="relu", backend=backend)[0, -5:]
    torch.testing.assert_close(out.cpu(), torch.relu(expected), rtol=0, atol=0, equal_nan=True)
    out = masked_affine(start, parts, activation="relu", backend=backend)[0]
    assert out[:, 0].isnan().tolist() == [False, True, False, False, False]
    assert out[3].tolist() == [0.0] * 20


@pytest.mark.parametrize("n_masks", [None, 1, 100])
def test_zeros_keep_their_sign_as_in_torch(backend, device, n_masks):
    masks = None if n_masks is None else torch.zeros(n_masks, 1, dtype=torch.int32, device=device)
    start = torch.tensor([[-0.0, 0.0, -1e-45]], device=device)
    parts = torch.full((1, 2, 3), -0.0, device=device)
    for activation, expected in ((None, start), ("relu", torch.relu(start))):
        out = masked_affine(start, parts, masks, activation=activation, backend=backend)
        assert torch.equal(out.signbit(), expected.signbit().expand_as(out))
        assert torch.equal(out, expected.expand_as(out))


@pytest.fixture
def given_parts(monkeypatch):
    """Sizes of the parts that the native op was given."""
    sizes, native = [], _C.masked_affine

    def call(**arguments):
        sizes.append(tuple(arguments["parts"].shape))
        return native(**arguments)

    monkeypatch.setattr(_C, "masked_affine", call)
    return sizes


def test_strides_and_gradients_are_left_alone(backend, device, given_parts):
    given = draw(4, 6, 5, 3, device=device)
    expected = masked_affine(**given, backend=backend)
    strided = {k: v.transpose(0, -1).contiguous().transpose(0, -1) for k, v in given.items()}
    strided["parts"] = strided["parts"].expand(4, 6, 5)
    out = masked_affine(**strided, backend=backend)
    assert torch.equal(out, expected)
    assert given_parts == [(1, 6, 5)] * 2
    once = given["start"][:1].requires_grad_()
    scales = given["scales"][:1, :1].expand(4, 6)
    out = masked_affine(once.expand(4, 5), given["parts"], given["masks"], scales, backend=backend)
    assert not out.requires_grad
    assert torch.equal(out[0], out[3])


GOOD = {
    "start": torch.zeros(2, 6),
    "parts": torch.zeros(1, 3, 6),
    "masks": torch.zeros(4, 1, dtype=torch.int32),
    "scales": torch.zeros(2, 3),
}
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
    "parts of another size": (
        {"parts": torch.zeros(1, 3, 5)},
        ValueError,
        r"parts must have shape .*got \[1, 3, 5\]",
    ),
    "masks of bools": (
        {"masks": torch.zeros(4, 3, dtype=torch.bool)},
        TypeError,
        "masks must have dtype torch.int32, got torch.bool",
    ),
    "masks of another batch": (
        {"masks": torch.zeros(3, 4, 1, dtype=torch.int32)},
        ValueError,
        r"masks must have shape .*got \[3, 4, 1\]",
    ),
    "masks of too many words": (
        {"masks": torch.zeros(4, 2, dtype=torch.int32)},
        ValueError,
        r"masks must have 1 word\(s\) for 3 players, got 2",
    ),
    "scales of another dtype": (
        {"scales": torch.zeros(2, 3).double()},
        TypeError,
        "scales must have dtype torch.float32, got torch.float64",
    ),
    "scales of one example": (
        {"scales": torch.zeros(1, 3)},
        ValueError,
        r"scales must have shape \[2, 3\], got \[1, 3\]",
    ),
    "another activation": (
        {"activation": "gelu"},
        ValueError,
        "activation must .*'relu'.*got 'gelu'",
    ),
    "out of another shape": (
        {"out": torch.zeros(2, 3, 6)},
        ValueError,
        r"out must have shape \[2, 4, 6\], got \[2, 3, 6\]",
    ),
    "out of another dtype": (
        {"out": torch.zeros(2, 4, 6).double()},
        TypeError,
        "out must have dtype torch.float32, got torch.float64",
    ),
    "out with gaps in a row": (
        {"out": torch.zeros(2, 4, 12)[..., ::2]},
        ValueError,
        r"out must be contiguous in its last two dimensions .*got strides \[48, 12, 2\]",
    ),
    "out whose examples share memory": (
        {"out": torch.zeros(1, 4, 6).expand(2, 4, 6)},
        ValueError,
        r"a stride of at least 24 between examples, got strides \[0, 6, 1\]",
    ),
    "an unknown backend": ({"backend": "abacus"}, ValueError, "backend must .*got 'abacus'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, error, message = BAD[case]
    with pytest.raises(error, match=message):
        masked_affine(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": torch.zeros(6)}, "start must have 2 dimensions"),
        ({"parts": torch.zeros(3, 3, 6)}, r"parts must have shape \[1 or 2, n_players, 6\]"),
        ({"masks": torch.zeros(1, 4, 2, dtype=torch.int32)}, r"masks must have 1 word\(s\)"),
        ({"scales": torch.zeros(1, 3)}, "scales must have shape"),
        ({"out": torch.zeros(2, 4, 7)[..., :6]}, "out must be contiguous in its last two"),
        ({"out": torch.zeros(1, 4, 6).expand(2, 4, 6)}, "a stride of at least 24 between"),
    ],
)
def test_the_native_op_checks_what_memory_safety_needs(changes, message):
    good = GOOD | {"masks": GOOD["masks"].unsqueeze(0), "out": torch.zeros(2, 4, 6)}
    with pytest.raises(ValueError, match=message):
        _C.masked_affine(**good | changes, relu=False, backend="cpu")
