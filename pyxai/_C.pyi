"""Native kernels; called by `pyxai.ops` only, which checks arguments first.

Tensors are contiguous and flat; each op writes into its output, whose sizes tell the rest. Shapes,
dtypes and units are in `csrc/<op>.h`, field by field.
"""

from collections.abc import Sequence

from torch import Tensor

backends: list[str]
mask_bits: int  # players in a word of a packed mask
max_weight_rows: int  # rows of weights that `table_sums` takes at once
max_levels: int  # of `dwt`
max_taps: int  # of a filter of `dwt`

def loop_threads() -> int: ...
def host_run_reverse_threads(reverse: bool) -> None: ...
def host_run_selftest(name: str, values: Tensor, out: Tensor) -> None: ...
def masked_perturb(
    *,
    inputs: Tensor,
    baselines: Tensor | float,
    n_draws: int,
    masks: Tensor,
    players: Tensor | None,
    out: Tensor,
    backend: str,
) -> None: ...
def soft_perturb(
    *,
    inputs: Tensor,
    baselines: Tensor | float,
    n_draws: int,
    weights: Tensor,
    players: Tensor | None,
    out: Tensor,
    backend: str,
) -> None: ...
def soft_perturb_backward(
    *,
    grads: Tensor,
    inputs: Tensor,
    baselines: Tensor | float,
    n_draws: int,
    weights: Tensor,
    players: Tensor | None,
    segments: tuple[Tensor, Tensor] | None,
    grad_weights: Tensor | None,
    grad_inputs: Tensor | None,
    grad_baselines: Tensor | None,
    backend: str,
) -> None: ...
def path_points(
    *,
    inputs: Tensor,
    baselines: Tensor | float,
    nodes: Tensor,
    rows: Tensor | None,
    players: Tensor | None,
    selected: Tensor | None,
    out: Tensor,
    backend: str,
) -> None: ...
def path_accumulate(
    *,
    grads: Tensor,
    weights: Tensor,
    inputs: Tensor,
    baselines: Tensor | float,
    players: Tensor | None,
    selected: Tensor | None,
    multiply_by_inputs: bool,
    out: Tensor,
    backend: str,
) -> None: ...
def path_moments(
    *,
    grads: Tensor,
    weights: Tensor,
    inputs: Tensor | None,
    baselines: Tensor | None,
    rows: Tensor | None,
    origin: Tensor | None,
    out: Tensor,
    backend: str,
) -> None: ...
def player_sum(
    *,
    values: Tensor,
    players: Tensor | None,
    segments: tuple[Tensor, Tensor] | None,
    n_players: int,
    out: Tensor,
    backend: str,
) -> None: ...
def masked_affine(
    *,
    start: Tensor,
    parts: Tensor,
    masks: Tensor | None,
    scales: Tensor | None,
    relu: bool,
    out: Tensor,
    backend: str,
) -> None: ...
def ordered_affine(
    *,
    start: Tensor,
    parts: Tensor,
    orders: Tensor | None,
    relu: bool,
    out: Tensor,
    backend: str,
) -> None: ...
def greedy_select(
    *,
    sums: Tensor,
    selected: Tensor,
    n_select: int,
    absolute: bool,
    indices: Tensor,
    scores: Tensor,
    backend: str,
) -> None: ...
def philox_random(
    *,
    example_ids: Tensor,
    seed: int,
    stream: int,
    start: int,
    distribution: str,
    out: Tensor,
    backend: str,
) -> None: ...
def sample_coalitions(
    *,
    example_ids: Tensor,
    seed: int,
    stream: int,
    start: int,
    law: str,
    paired: bool,
    n_players: int,
    table: Tensor,
    out: Tensor,
    backend: str,
) -> None: ...
def sample_permutations(
    *,
    example_ids: Tensor,
    seed: int,
    stream: int,
    start: int,
    antithetic: bool,
    out: Tensor,
    backend: str,
) -> None: ...
def permutation_prefixes(*, permutations: Tensor, out: Tensor, backend: str) -> None: ...
def moebius_transform(*, values: Tensor, zeta: bool, out: Tensor, backend: str) -> None: ...
def table_sums(
    *, values: Tensor, weights: Tensor, orders: Sequence[int], out: Tensor, backend: str
) -> None: ...
def pairwise_taylor_values(
    *,
    empty: Tensor,
    single: Tensor,
    pairs: Tensor,
    from_input: bool,
    out: Tensor,
    backend: str,
) -> None: ...
def pairwise_taylor_hessian(
    *,
    hessian: Tensor,
    delta: Tensor,
    players: Tensor | None,
    segments: tuple[Tensor, Tensor] | None,
    n_players: int,
    row_start: int,
    products: bool,
    accumulate: bool,
    out: Tensor,
    backend: str,
) -> None: ...
def share_bias(
    *,
    linear: Tensor,
    judged: Tensor | None,
    total: Tensor,
    bias: Tensor,
    magnitude: Tensor,
    rounding: Tensor,
    ties: Tensor,
    out: Tensor,
    tied: Tensor,
    backend: str,
) -> None: ...
def dwt(
    *, signals: Tensor, bank: Tensor, level: int, extension: str, out: Tensor, backend: str
) -> None: ...
def idwt(
    *, coefficients: Tensor, bank: Tensor, level: int, extension: str, out: Tensor, backend: str
) -> None: ...
def dwt_filter_gradient(
    *,
    signals: Tensor,
    coefficients: Tensor,
    bank: Tensor,
    level: int,
    extension: str,
    out: Tensor,
    backend: str,
) -> None: ...
