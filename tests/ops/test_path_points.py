import math

import pytest
import torch
from backends import assert_as_exact_as_torch

from pyxai.ops import pack_masks, path_points, path_points_reference

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
NODES = [0.0, 0.3, 0.5, 0.77, 1.0]


def draw(*shape, dtype=torch.float32, device="cpu", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).to(device)


def plain(inputs, baselines, nodes):
    return torch.stack([baselines + node * (inputs - baselines) for node in nodes])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "features"),
    [(1, (1,)), (3, (7,)), (2, (255,)), (2, (257,)), (3, (3, 5, 4)), (4, ()), (2, (2056,))],
)
def test_equals_reference(backend, device, dtype, batch, features):
    inputs = draw(batch, *features, dtype=dtype, device=device)
    baselines = draw(batch, *features, dtype=dtype, device=device, seed=1)
    actual = path_points(inputs, baselines, NODES, backend=backend)
    reference = path_points_reference(inputs.cpu(), baselines.cpu(), NODES)
    assert actual.dtype == dtype
    assert actual.shape == (len(NODES), batch, *features)
    assert_as_exact_as_torch(actual, reference, plain(inputs, baselines, NODES))


@pytest.mark.parametrize(("batch", "features", "n_nodes"), [(0, 3, 2), (2, 0, 2), (2, 3, 0)])
def test_empty(backend, device, batch, features, n_nodes):
    inputs = draw(batch, features, device=device)
    nodes = [0.5] * n_nodes
    assert path_points(inputs, 0.0, nodes, backend=backend).shape == (n_nodes, batch, features)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends_are_exact(backend, device, dtype):
    inputs = draw(2, 100, dtype=dtype, device=device)
    baselines = 1000 * draw(2, 100, dtype=dtype, device=device, seed=1)
    start, end = path_points(inputs, baselines, [0.0, 1.0], backend=backend)
    assert torch.equal(start, baselines)
    assert torch.equal(end, inputs)


def test_selected_players_sit_at_the_input(backend, device):
    inputs = draw(2, 6, device=device)
    inputs[0, 1] = math.inf  # copied, not computed with
    players = torch.tensor([0, 0, 1, 40, 40, -1], dtype=torch.int32, device=device)
    chosen = torch.zeros(2, 41, dtype=torch.bool, device=device)
    chosen[0, 0] = chosen[1, 40] = True
    selected = pack_masks(chosen)
    actual = path_points(inputs, 0.5, [0.0, 0.25], players, selected, backend=backend)
    expected = inputs.expand(2, 2, 6).clone()
    for b, moving in ((0, [2, 3, 4]), (1, [0, 1, 2])):
        expected[0, b, moving] = 0.5
        expected[1, b, moving] = 0.5 + 0.25 * (inputs[b, moving] - 0.5)
    torch.testing.assert_close(actual, expected)
    reference = path_points_reference(inputs.cpu(), 0.5, [0.0, 0.25], players.cpu(), selected.cpu())
    torch.testing.assert_close(actual.cpu().double(), reference, rtol=1e-6, atol=1e-6)


def test_features_of_nobody_do_not_move(backend, device):
    inputs = draw(2, 3, device=device)
    players = torch.tensor([[0, -1, 1], [-1, 0, 0]], dtype=torch.int32, device=device)
    (start,) = path_points(inputs, 0.0, [0.0], players, backend=backend)
    assert torch.equal(start != 0, players < 0)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 5)])
def test_forms_of_baselines(backend, device, shape):
    inputs = draw(3, 5, device=device)
    baselines = draw(*shape, device=device, seed=1)
    actual = path_points(inputs, baselines, [0.25], backend=backend)
    torch.testing.assert_close(actual[0], baselines + 0.25 * (inputs - baselines))


def test_many_rows_and_out(backend, device):
    inputs = draw(70_000, 1, device=device)
    out = torch.full((2, 70_000, 1), math.nan, device=device)
    actual = path_points(inputs, 0.0, [0.25, 1.0], out=out, backend=backend)
    assert actual is out
    torch.testing.assert_close(out, plain(inputs, 0.0, [0.25, 1.0]))


def test_large_results_pass_the_cache(device):
    """The CPU streams results of 16 MiB and more; lines at both ends are not whole."""
    inputs = draw(1, 2**20 + 3, device=device)
    out = torch.full((4, 1, 2**20 + 3), math.nan, device=device)
    path_points(inputs, 0.0, [0.25, 0.5, 0.75, 1.0], out=out)
    torch.testing.assert_close(out, plain(inputs, 0.0, [0.25, 0.5, 0.75, 1.0]))


def test_non_contiguous_inputs(backend, device):
    inputs = draw(4, 6, device=device).T
    assert torch.equal(
        path_points(inputs, 0.0, [0.5], backend=backend),
        path_points(inputs.contiguous(), 0.0, [0.5], backend=backend),
    )


def test_bad_input_is_named():
    inputs = draw(2, 3)
    with pytest.raises(TypeError, match=r"nodes must have dtype torch.float64, got torch.float32"):
        path_points(inputs, 0.0, torch.rand(3))
    with pytest.raises(ValueError, match=r"nodes must have shape \[\*\], got \[1, 1\]"):
        path_points(inputs, 0.0, torch.rand(1, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"out must have shape \[1, 2, 3\], got \[2, 3\]"):
        path_points(inputs, 0.0, [0.5], out=torch.empty(2, 3))
    with pytest.raises(ValueError, match="out must be contiguous, got strides"):
        path_points(inputs, 0.0, [0.5], out=torch.empty(1, 3, 2).transpose(1, 2))
    with pytest.raises(ValueError, match=r"selected must have shape \[2, 1\], got \[2, 2\]"):
        path_points(inputs, 0.0, [0.5], selected=torch.zeros(2, 2, dtype=torch.int32))
    players = torch.tensor([0, 32, 1], dtype=torch.int32)
    with pytest.raises(ValueError, match="players must be below n_players = 32, got 32"):
        path_points(inputs, 0.0, [0.5], players, torch.zeros(2, 1, dtype=torch.int32))
    with pytest.raises(ValueError, match=r"baselines must be a number or have shape \[3\] or"):
        path_points(inputs, torch.zeros(2), [0.5])
    with pytest.raises(TypeError, match="baselines must have the dtype of inputs"):
        path_points(inputs, torch.zeros(3, dtype=torch.float64), [0.5])


def paths(batch, k, *features, dtype=torch.float32, device="cpu", n_nodes=2):
    """Return inputs, a table of starts, nodes of every path and where each one starts."""
    generator = torch.Generator().manual_seed(2)
    rows = torch.randint(3, (batch * k,), generator=generator).to(device)
    nodes = torch.rand(n_nodes, batch * k, generator=generator, dtype=torch.float64).to(device)
    inputs = draw(batch, *features, dtype=dtype, device=device)
    return inputs, draw(3, *features, dtype=dtype, device=device, seed=1), nodes, rows


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "k", "features"),
    [(1, 1, (1,)), (3, 5, (7,)), (2, 3, (255,)), (2, 1, (257,)), (2, 4, (2056,)), (4, 2, ())],
)
def test_paths_with_starts_of_their_own(backend, device, dtype, batch, k, features):
    inputs, table, nodes, rows = paths(batch, k, *features, dtype=dtype, device=device)
    actual = path_points(inputs, table, nodes, rows=rows, backend=backend)
    reference = path_points_reference(inputs.cpu(), table.cpu(), nodes.cpu(), rows=rows.cpu())
    assert actual.dtype == dtype
    assert actual.shape == (2, batch * k, *features)
    ends, starts = inputs.repeat_interleave(k, 0), table[rows]
    at = nodes.to(dtype).view(2, -1, *[1] * len(features))
    assert_as_exact_as_torch(actual, reference, starts + at * (ends - starts))


def test_paths_are_exact_at_their_ends(backend, device):
    inputs, table, _, rows = paths(2, 3, 40, device=device)
    start, end = path_points(inputs, 1000 * table, [0.0, 1.0], rows=rows, backend=backend)
    assert torch.equal(start, (1000 * table)[rows])
    assert torch.equal(end, inputs.repeat_interleave(3, 0))


def test_bad_paths_are_named():
    inputs, table, nodes, rows = paths(2, 3, 4)

    def call(**changes):
        given = {"inputs": inputs, "baselines": table, "nodes": nodes, "rows": rows} | changes
        return path_points(**given)

    call()
    with pytest.raises(ValueError, match=r"rows must be a multiple of 2 inputs, got 5"):
        call(rows=rows[:5], nodes=nodes[:, :5])
    with pytest.raises(ValueError, match=r"rows must be in 0..2, got values -1 to 2"):
        call(rows=torch.tensor([0, 1, 2, -1, 0, 0]))
    with pytest.raises(ValueError, match=r"nodes must have shape \[\*, 6\], got \[2, 5\]"):
        call(nodes=nodes[:, :5])
    with pytest.raises(ValueError, match=r"nodes must have shape \[\*\], got \[2, 6\]"):
        call(rows=None, baselines=0.0)
    with pytest.raises(TypeError, match=r"baselines must be a tensor with rows, got"):
        call(baselines=0.0)
    with pytest.raises(ValueError, match=r"baselines must have shape \[\*, 4\], got \[3, 5\]"):
        call(baselines=torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"rows must be given without players and selected"):
        call(players=torch.arange(4, dtype=torch.int32))
