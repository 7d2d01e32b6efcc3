"""Achieved bandwidth of every kernel against the measured copy bandwidth of the same GPU.

`python benchmarks/_gpu_kernels.py RESULT.json SECONDS`, called by gpu.py. Each case first compares
CUDA with CPU on a small size, then times a size whose data is many times the cache. Bytes are the
fewest that the op can move: each input read once, each output written once.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch
from _gpu_predictions import PREDICTIONS, share
from torch import Tensor

from pyxai import ops

DRY_RUN = os.environ.get("PYXAI_GPU_DRY_RUN") == "1"
TARGET = 0.85  # of the copy bandwidth, for kernels that are bound by memory
IMAGE = (3, 224, 224)


class Case(NamedTuple):
    """An op ready to be called."""

    call: Callable[[], Tensor]
    bytes_moved: int
    memory_bound: bool = True


def size(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def random(device: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    small = torch.randn([min(n, 257) for n in shape], generator=generator)
    repeats = [-(-n // min(n, 257)) for n in shape]
    big = small.to(device, dtype).repeat(repeats)
    return big[tuple(slice(n) for n in shape)].contiguous()


def masks_for(device: str, rows: int, players: int) -> Tensor:
    generator = torch.Generator().manual_seed(rows)
    kept = torch.rand(rows, players, generator=generator) < 0.5
    return ops.pack_masks(kept).to(device)


def patches(device: str, image: tuple[int, ...], side: int) -> tuple[Tensor, int]:
    """Players of square patches: 14 x 14 patches of side 16 for a 224 x 224 image."""
    channels, height, width = image
    across = -(-width // side)
    rows = torch.arange(height) // side
    columns = torch.arange(width) // side
    grid = (rows[:, None] * across + columns).int()
    return grid.expand(channels, height, width).contiguous().to(device), int(grid.max()) + 1


def perturb(device: str, small: bool, dtype: torch.dtype, players: str) -> Case:
    image = (3, 32, 32) if small else IMAGE
    batch, n_masks = (2, 9) if small else (8, 256)
    inputs = random(device, batch, *image, dtype=dtype)
    features = inputs[0].numel()
    owner: Tensor | None = None
    n_players = features
    if players == "patches":
        owner, n_players = patches(device, image, 16)
    elif players == "scattered":
        n_players = 200
        generator = torch.Generator().manual_seed(0)
        owner = torch.randint(n_players, image, generator=generator, dtype=torch.int32).to(device)
    masks = masks_for(device, n_masks, n_players)
    out = torch.empty(batch, n_masks, 1, *image, dtype=dtype, device=device)

    def call() -> Tensor:
        return ops.masked_perturb(inputs, 0.0, masks, owner, n_players=n_players, out=out)

    return Case(call, size(inputs, out, masks))


def soft(device: str, small: bool, dtype: torch.dtype) -> Case:
    image = (3, 32, 32) if small else IMAGE
    batch, n_masks = (2, 9) if small else (8, 256)
    inputs = random(device, batch, *image, dtype=dtype)
    owner, n_players = patches(device, image, 16)
    weights = random(device, batch, n_masks, n_players, dtype=dtype).sigmoid()

    def call() -> Tensor:
        return ops.soft_perturb(inputs, 0.0, weights, owner)

    return Case(call, size(inputs, weights) + n_masks * size(inputs))


def select(device: str, small: bool, everyone: bool = False) -> Case:
    side = 32 if small else 224
    scores = random(device, 2 if small else 128 if everyone else 256, side * side)
    n_select = scores.shape[1] if everyone else 256
    words = (scores.shape[1] + 31) // 32
    selected = torch.zeros(len(scores), words, dtype=torch.int32, device=device)

    def call() -> Tensor:
        return ops.greedy_select(scores, selected.zero_(), n_select)[0]

    # Several passes over the scores, and the selection of the best in the cache. Of all of them a
    # thread has 196. 9 of the 16 digits of a float32 are counted and moved, the other 7 counted: 25
    # passes of two dependent reads from the cache, 600 clocks each, are 3e6 clocks or 2 ms for one
    # example by multiprocessor. Counting who comes before took k^2 / 256 reads: 0.2 s.
    return Case(call, size(scores), memory_bound=False)


def points(device: str, small: bool, dtype: torch.dtype) -> Case:
    image = (3, 32, 32) if small else IMAGE
    batch, n_nodes = (2, 5) if small else (8, 256)
    inputs = random(device, batch, *image, dtype=dtype)
    nodes = torch.linspace(0, 1, n_nodes, dtype=torch.float64, device=device)
    out = torch.empty(n_nodes, batch, *image, dtype=dtype, device=device)
    return Case(lambda: ops.path_points(inputs, 0.0, nodes, out=out), size(inputs, out))


def path_inputs(device: str, small: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    image = (3, 32, 32) if small else IMAGE
    batch, n_nodes = (2, 5) if small else (8, 256)
    grads = random(device, n_nodes, batch, *image, dtype=dtype)
    weights = torch.full((n_nodes,), 1 / n_nodes, dtype=torch.float64, device=device)
    return grads, weights, random(device, batch, *image, dtype=dtype)


def accumulate(device: str, small: bool, dtype: torch.dtype) -> Case:
    grads, weights, inputs = path_inputs(device, small, dtype)
    moved = size(grads, inputs) + 4 * inputs.numel()
    return Case(lambda: ops.path_accumulate(grads, weights, inputs, 0.0), moved)


def accumulate_players(device: str, small: bool, dtype: torch.dtype) -> Case:
    grads, weights, inputs = path_inputs(device, small, dtype)
    owner, n_players = patches(device, tuple(inputs.shape[1:]), 16)
    return Case(
        lambda: ops.path_accumulate(grads, weights, inputs, 0.0, owner, n_players=n_players),
        size(grads, inputs),
    )


def moments(device: str, small: bool, dtype: torch.dtype) -> Case:
    grads, weights, inputs = path_inputs(device, small, dtype)
    return Case(lambda: ops.path_moments(grads, weights), size(grads) + 8 * inputs.numel())


def player_sums(device: str, small: bool) -> Case:
    image = (3, 32, 32) if small else IMAGE
    values = random(device, 3 if small else 1024, *image)
    owner, n_players = patches(device, image, 16)
    return Case(lambda: ops.player_sum(values, owner, n_players=n_players), size(values))


def transform(device: str, small: bool) -> Case:
    # 20 players: several passes over the table, so the fewest bytes are out of reach.
    values = random(device, 2 if small else 64, 1 << (9 if small else 20), dtype=F64)
    return Case(lambda: ops.moebius_transform(values), 2 * size(values), memory_bound=False)


def shapley_of_tables(device: str, small: bool) -> Case:
    values = random(device, 2 if small else 64, 1 << (9 if small else 20), dtype=F64)
    return Case(lambda: ops.shapley_values_from_table(values), size(values))


def coalitions(device: str, small: bool) -> Case:
    ids = torch.arange(3 if small else 512, device=device)
    n_samples, n_players = (5, 70) if small else (4096, 256)

    def call() -> Tensor:
        return ops.sample_coalitions(n_players, n_samples, seed=1, example_ids=ids)

    # Bound by the random number generator's arithmetic.
    return Case(call, len(ids) * n_samples * ((n_players + 31) // 32) * 4, memory_bound=False)


def orders(device: str, small: bool) -> Case:
    ids = torch.arange(3 if small else 512, device=device)
    n_orders, n_players = (5, 70) if small else (1024, 256)

    def call() -> Tensor:
        return ops.sample_permutations(n_players, n_orders, seed=1, example_ids=ids)

    return Case(call, len(ids) * n_orders * n_players * 4, memory_bound=False)


def normals(device: str, small: bool) -> Case:
    ids = torch.arange(3 if small else 64, device=device)
    shape, n_samples = ((3, 32, 32), 2) if small else (IMAGE, 32)

    def call() -> Tensor:
        return ops.philox_normal(shape, n_samples, seed=1, example_ids=ids)

    features = shape[0] * shape[1] * shape[2]
    return Case(call, len(ids) * n_samples * features * 4, memory_bound=False)


def hessian(device: str, small: bool) -> Case:
    rows, features = (7, 40) if small else (2048, 2048)
    matrix = random(device, 2 if small else 64, rows, features)
    delta = random(device, len(matrix), features)
    moved = 3 * size(matrix)  # as many effects come out in float64 as entries went in
    return Case(lambda: ops.pairwise_taylor_hessian(matrix, delta), moved)


def shares_of_bias(device: str, small: bool) -> Case:
    shape = (3, 10, 24, 24) if small else (4096, 10, 24, 24)
    linear = random(device, *shape)
    total, bias = random(device, 1, *shape[1:]), random(device, *shape[1:])
    return Case(lambda: ops.share_bias(linear, bias, total)[0], 2 * size(linear))


def affine(device: str, small: bool, n_masks: int | None) -> Case:
    n_players, width = (37, 20) if small else (64, 512)
    batch = 3 if small else 16 if n_masks else 4096
    start, parts = random(device, batch, width), random(device, 1, n_players, width)
    scales = random(device, batch, n_players)
    masks = masks_for(device, n_masks, n_players) if n_masks else None
    out = torch.empty(batch, n_masks or n_players, width, device=device)

    def call() -> Tensor:
        return ops.masked_affine(start, parts, masks, scales, activation="relu", out=out)

    # Bound by instructions: some 134 for one pack of a player alone, 65 % of a copy at best; with
    # masks a thread reads some 32 packs of parts from the cache for one that it writes.
    return Case(call, size(start, parts, scales, out), memory_bound=False)


def in_order(device: str, small: bool) -> Case:
    n_players, width, n_orders = (9, 20, 3) if small else (784, 512, 8)
    start, parts = random(device, 3 if small else 256, width), random(device, 1, n_players, width)
    orders = random("cpu", n_orders, n_players).argsort(dim=1, stable=True).int().to(device)
    out = torch.empty(len(start), n_orders, n_players, width, device=device)

    def call() -> Tensor:
        return ops.ordered_affine(start, parts, orders, activation="relu", out=out)

    # Bound by waiting: a thread adds step after step, with 4 reads from the cache under way.
    return Case(call, size(start, parts, out), memory_bound=False)


def wavelets(device: str, small: bool, images: bool) -> Case:
    shape = (
        ((3, 40, 50) if small else (512, 256, 256))
        if images
        else (5, 70)
        if small
        else (200_000, 256)
    )
    signals = random(device, *shape)
    low = torch.tensor([0.4829629131, 0.8365163037, 0.2241438680, -0.1294095226], device=device)
    bank, n_dims = ops.filter_bank(low), len(shape) - 1

    def call() -> Tensor:
        return ops.dwt(signals, bank, level=3, n_dims=n_dims)

    # Bound by instructions: some 115 for two coefficients of a line with 4 taps, which with those
    # of the levels above are 200 by 16 bytes, 40 % of a copy at best; images take values twice.
    return Case(call, size(signals, call()), memory_bound=False)


F32, F64, BF16 = torch.float32, torch.float64, torch.bfloat16
CASES: dict[str, Callable[[str, bool], Case]] = {
    "masked_perturb float32, own players": lambda d, s: perturb(d, s, F32, "own"),
    "masked_perturb float32, 196 patches": lambda d, s: perturb(d, s, F32, "patches"),
    "masked_perturb float32, 200 scattered": lambda d, s: perturb(d, s, F32, "scattered"),
    "masked_perturb bfloat16, own players": lambda d, s: perturb(d, s, BF16, "own"),
    "masked_perturb bfloat16, 196 patches": lambda d, s: perturb(d, s, BF16, "patches"),
    "masked_perturb bfloat16, 200 scattered": lambda d, s: perturb(d, s, BF16, "scattered"),
    "masked_affine float32, players alone": lambda d, s: affine(d, s, None),
    "masked_affine float32, 64 players": lambda d, s: affine(d, s, 9 if s else 16384),
    "ordered_affine float32, 784 players": in_order,
    "soft_perturb float32, 196 patches": lambda d, s: soft(d, s, F32),
    "soft_perturb bfloat16, 196 patches": lambda d, s: soft(d, s, BF16),
    "greedy_select float32, 256 of 50176": select,
    "greedy_select float32, all of 50176": lambda d, s: select(d, s, everyone=True),
    "path_points float32": lambda d, s: points(d, s, F32),
    "path_points bfloat16": lambda d, s: points(d, s, BF16),
    "path_accumulate float32": lambda d, s: accumulate(d, s, F32),
    "path_accumulate bfloat16": lambda d, s: accumulate(d, s, BF16),
    "path_accumulate float32, 196 players": lambda d, s: accumulate_players(d, s, F32),
    "path_moments float32": lambda d, s: moments(d, s, F32),
    "path_moments bfloat16": lambda d, s: moments(d, s, BF16),
    "player_sum float32, 196 players": player_sums,
    "pairwise_taylor float32, 2048 players": hessian,
    "table_sums float64, 20 players": shapley_of_tables,
    "moebius_transform float64, 20 players": transform,
    "sample_coalitions, 256 players": coalitions,
    "sample_permutations, 256 players": orders,
    "philox_random, normal float32": normals,
    "share_bias float32": shares_of_bias,
    "dwt float32, signals of 256": lambda d, s: wavelets(d, s, False),
    "dwt float32, images of 256 x 256": lambda d, s: wavelets(d, s, True),
}


def seconds_per_call(call: Callable[[], object], repeats: int = 20) -> float:
    """Median over calls, each timed by events on the device, after warming up."""
    for _ in range(0 if DRY_RUN else 3):
        call()
    spans = []
    for _ in range(1 if DRY_RUN else repeats):
        start = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        spans.append((start, end))
    torch.cuda.synchronize()
    return statistics.median(start.elapsed_time(end) for start, end in spans) / 1e3


def copy_bandwidth() -> float:
    """Bytes per second of a large copy within the device, counting reads and writes."""
    source = random("cuda", 1 << (10 if DRY_RUN else 28))
    target = torch.empty_like(source)
    return 2 * size(source) / seconds_per_call(lambda: target.copy_(source))


def equal_to_cpu(build: Callable[[str, bool], Case]) -> bool:
    """Whether CUDA and CPU agree on the small size, to what float32 sums and one rounding allow."""
    ours = build("cuda", True).call().cpu()
    theirs = build("cpu", True).call()
    step = torch.finfo(ours.dtype).eps if ours.is_floating_point() else 0.0
    ours, theirs = ours.double(), theirs.double()
    scale = max(1.0, float(theirs.abs().max()))
    return torch.allclose(ours, theirs, rtol=max(1e-4, step), atol=1e-5 * scale)


def reaches_target(case: Case, rate: float, peak: float) -> bool:
    """Tell whether a kernel that memory bounds moves its bytes fast enough."""
    return not case.memory_bound or rate >= TARGET * peak


def on_device() -> AbstractContextManager[None]:
    """Return a block in which there is a device: in a dry run a faked one."""
    if not DRY_RUN:
        return nullcontext()
    sys.path.append(str(Path(__file__).parent.parent / "tests" / "helpers"))
    block: AbstractContextManager[None] = import_module("faked_device").faked_devices()
    return block


def main(path: Path, seconds: float) -> int:
    """Measure all cases that fit into the time, write them, and return the exit status."""
    deadline = time.monotonic() + seconds
    peak = copy_bandwidth()
    rows: list[dict[str, object]] = []
    result = {"copy_gb_per_s": peak / 1e9, "target_share": TARGET, "rows": rows}
    for name, build in CASES.items():
        path.write_text(json.dumps(result))  # of the rows so far
        row: dict[str, object] = {"case": name}
        rows.append(row)
        if time.monotonic() > deadline:
            row.update(line=f"{name:42} not run: no time left", ok=False)
            continue
        try:
            if not equal_to_cpu(build):
                row.update(line=f"{name:42} WRONG: differs from the CPU", ok=False)
                continue
            case = build("cuda", DRY_RUN)
            took = seconds_per_call(case.call)
        except Exception as error:  # one broken case must not hide the others
            row.update(line=f"{name:42} FAILED: {type(error).__name__}: {error}", ok=False)
            continue
        rate = case.bytes_moved / took
        reached = DRY_RUN or reaches_target(case, rate, peak)
        predicted = share(PREDICTIONS[name]) if name in PREDICTIONS else None
        verdict = "" if predicted is None else f"({100 * predicted:.0f} % predicted)  "
        row.update(
            ok=reached,
            seconds=took,
            bytes=case.bytes_moved,
            gb_per_s=rate / 1e9,
            share_of_copy=rate / peak,
            share_predicted=predicted,
            memory_bound=case.memory_bound,
            line=f"{name:42} {took * 1e3:8.3f} ms {rate / 1e9:7.0f} GB/s "
            f"{100 * rate / peak:5.1f} % of copy  {verdict}{'' if reached else 'below target'}",
        )
        del case
        torch.cuda.empty_cache()
    path.write_text(json.dumps(result))
    return int(not all(row["ok"] for row in rows))


if __name__ == "__main__":
    with on_device():
        sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
