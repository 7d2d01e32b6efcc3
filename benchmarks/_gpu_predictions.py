"""What the kernels of `_gpu_kernels.py` should reach on a GPU, counted and not measured.

`python benchmarks/_gpu_predictions.py` prints the table. Instructions are those of the SASS of nvcc
13.0 for sm_90: of the innermost loops (`.ci/nvcc --loops`) and, where a loop is short, of what
comes around it, by 16 bytes of the fewest that the op can move; where those on integers, which
issue at half the rate, are more than half, they are counted twice instead. Bytes in flight are
the reads of device memory that the threads of a multiprocessor have under way at once, as their
registers let them run; 0 where an op hardly reads. What the caches have again, as masks, weights
and maps of players, counts as instructions only.

The assumptions, for an H200: 132 multiprocessors at 1.7 GHz, each of which issues 4 instructions of
a warp in a clock, 80 % of the time; a copy moves 4.2 TB/s, of 4.8 TB/s on paper; a read takes
0.8 us. An op reaches the least of the copy, of what the instructions allow, and of what the reads
under way allow. `_gpu_kernels.py` prints the measured share beside the predicted one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["PREDICTIONS", "Prediction", "in_flight", "of_table", "share"]

MULTIPROCESSORS, WARP, BLOCK, ISSUED, CLOCK, BUSY = 132, 32, 256, 4, 1.7e9, 0.8
COPY, LATENCY = 4.2e12, 0.8e-6  # bytes per second, seconds
TABLE = Path(__file__).parent.parent / ".ci" / "kernels.txt"


class Prediction(NamedTuple):
    """What was counted for one case."""

    kernel: str  # as in .ci/kernels.txt
    instructions: float  # by 16 bytes
    reads: float = 0.0  # share of the bytes
    under_way: int = 0  # bytes of reads by thread


MASKED, SOFT, POINTS = "masked_perturb_kernel", "soft_perturb_kernel", "path_points_kernel"
ACCUMULATE, MOMENTS = "path_accumulate_kernel", "path_moments_kernel"
PREDICTIONS = {
    # 16 masks by thread: the instructions around the loop are shared by 16 packs.
    "masked_perturb float32, own players": Prediction(f"{MASKED}<unsigned int, 4>", 21 + 12),
    "masked_perturb float32, 196 patches": Prediction(f"{MASKED}<unsigned int, 4>", 21 + 12),
    "masked_perturb float32, 200 scattered": Prediction(f"{MASKED}<unsigned int, 4>", 32 + 12),
    "masked_perturb bfloat16, own players": Prediction(f"{MASKED}<unsigned short, 8>", 35 + 16),
    "masked_perturb bfloat16, 196 patches": Prediction(f"{MASKED}<unsigned short, 8>", 35 + 16),
    "masked_perturb bfloat16, 200 scattered": Prediction(f"{MASKED}<unsigned short, 8>", 2 * 48),
    "soft_perturb float32, 196 patches": Prediction(f"{SOFT}<float, 4>", 27 + 12),
    "soft_perturb bfloat16, 196 patches": Prediction(f"{SOFT}<BFloat16, 8>", 40 + 16),
    "path_points float32": Prediction(f"{POINTS}<float, 4>", 26 + 10),
    "path_points bfloat16": Prediction(f"{POINTS}<BFloat16, 8>", 41 + 16),
    # Four packs by thread at once.
    "path_accumulate float32": Prediction(f"{ACCUMULATE}<float, 4>", 14, 1.0, 64),
    "path_accumulate bfloat16": Prediction(f"{ACCUMULATE}<BFloat16, 8>", 30, 1.0, 64),
    "path_accumulate float32, 196 players": Prediction(f"{ACCUMULATE}<float, 4>", 14, 1.0, 64),
    "path_moments float32": Prediction(f"{MOMENTS}<float, 4, 2, false>", 28, 1.0, 64),
    "path_moments bfloat16": Prediction(f"{MOMENTS}<BFloat16, 8, 2, false>", 57, 1.0, 64),
    # 24 features by thread, 8 at once; each waits for its number too, which the cache has.
    "player_sum float32, 196 players": Prediction("player_sum_kernel<float, 32>", 46 + 42, 1.0, 24),
    # Two rows of weights read a table, one from the cache; half of the time is spent adding.
    "table_sums float64, 20 players": Prediction(
        "table_sums_chunks_kernel<double, true>", 54, 1.0, 64
    ),
    "pairwise_taylor float32, 2048 players": Prediction(
        "pairwise_taylor_scale_kernel<float>", 50, 1 / 3, 16
    ),
    "share_bias float32": Prediction("share_bias_kernel<float, 4, true>", 100, 0.5, 16),
}


def of_table(kernel: str, arch: str = "sm_90") -> tuple[int, int]:
    """Return a thread's registers and the blocks that fit, out of what CI compares with."""
    for line in TABLE.read_text().splitlines():
        row = line.split(None, 5)
        if row[0] == arch and row[5] == kernel:
            return int(row[1]), int(row[4])
    raise KeyError(f"{arch} {kernel} is not in {TABLE.name}")


def in_flight(counted: Prediction) -> int:
    """Return the bytes of reads under way by multiprocessor."""
    return counted.under_way * BLOCK * of_table(counted.kernel)[1]


def share(counted: Prediction) -> float:
    """Return the share of the bandwidth of a copy that ``counted`` should reach, at most 1."""
    issued = MULTIPROCESSORS * WARP * ISSUED * CLOCK * BUSY
    rates = [COPY, issued / counted.instructions * 16]
    if counted.reads:
        rates.append(MULTIPROCESSORS * in_flight(counted) / LATENCY / counted.reads)
    return min(rates) / COPY


if __name__ == "__main__":
    print(f"{'case':40} registers  instructions by 16 bytes  bytes in flight  share of copy")
    for name, counted in PREDICTIONS.items():
        print(
            f"{name:40} {of_table(counted.kernel)[0]:9} {counted.instructions:25.0f} "
            f"{in_flight(counted):16} {100 * share(counted):12.0f} %"
        )
