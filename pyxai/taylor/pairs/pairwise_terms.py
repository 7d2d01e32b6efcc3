"""Effects of single players and of pairs, for hundreds of players."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.explanation.numbers import number, rounding
from pyxai.game import Game
from pyxai.ops.masks import pack_masks
from pyxai.ops.pairwise_taylor import pairwise_taylor_values
from pyxai.runner import Output, ProgressOption, one_scope, takes_arrays
from pyxai.taylor.derivatives.extension import Extension, end_values
from pyxai.taylor.derivatives.second_order import diagonal_gradients, diagonal_hessian
from pyxai.taylor.effects.terms import check_names
from pyxai.taylor.kinks.smoothness import smoothness_of, warn_if_kinked
from pyxai.taylor.pairs.integrated_hessians import integrated_hessians

__all__ = ["PairEffects", "pairwise_terms"]

_KINDS = ("values", "taylor", "path")
_CONTEXTS = ("baseline", "input", "mean")
_CHUNK = 2**16  # masks made at once: 25 words of 4 bytes for 784 players are 6.5 MB


@dataclass(frozen=True)
class PairEffects:
    """Effects of single players and of pairs.

    Attributes
    ----------
    matrix : Tensor, float64, shape [batch, n_players, n_players]
        Symmetric, in output units: the whole effect of the pair {i, j} at [i, j] and [j, i], the
        effect of player i alone on the diagonal.
    value, baseline_value : Tensor, float64, shape [batch]
    residual : Tensor, float64, shape [batch]
        ``f(x) - f(b)`` minus the effects of singles and pairs: what larger sets (or higher orders)
        hold.
    kind, context : str
    note : str
        What a reader must know; may be empty.
    names : tuple of str
    """

    matrix: Tensor  # [batch, n_players, n_players]
    value: Tensor  # [batch]
    baseline_value: Tensor  # [batch]
    residual: Tensor  # [batch]
    kind: str
    context: str
    note: str
    names: tuple[str, ...]

    @property
    def main(self) -> Tensor:  # [batch, n_players]
        """Effects of single players."""
        return self.matrix.diagonal(dim1=1, dim2=2)

    @property
    def pairs(self) -> Tensor:  # [batch, n (n - 1) / 2]
        """Effects of pairs: the upper triangle, row by row."""
        rows, columns = _upper(len(self.names))
        return self.matrix[:, rows, columns]

    def top(self, k: int = 10, example: int = 0) -> list[tuple[tuple[int, int], float]]:
        """Return the k strongest pairs of one example, strongest first."""
        check_int("k", k, minimum=1)
        row = self.pairs[example]
        rows, columns = _upper(len(self.names))
        chosen = row.abs().topk(min(k, len(row))).indices.tolist()
        return [((int(rows[p]), int(columns[p])), float(row[p])) for p in chosen]

    def __str__(self) -> str:
        lines = [
            f"Pair effects ({self.kind}, context {self.context}) of {len(self.names)} players; "
            f"example 0 of {len(self.value)}"
        ]
        if self.note:
            lines.append(f"  {self.note}")
        if len(self.value):
            total = float(self.value[0] - self.baseline_value[0])
            lines.append(
                f"  f(x) - f(b) = {total:.6g}: single players {float(self.main[0].sum()):.6g}, "
                f"pairs {float(self.pairs[0].sum()):.6g}, residual {float(self.residual[0]):.3g}"
            )
            for (i, j), effect in self.top(10):
                shown = number(effect, "+.6g", rounding(self.pairs[0]))
                lines.append(f"  {shown:>12}  {self.names[i]} x {self.names[j]}")
        return "\n".join(lines)


@takes_arrays
@one_scope
def pairwise_terms(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    kind: str = "values",
    context: str = "baseline",
    baselines: Any = None,
    feature_mask: Any = None,
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = "logit",
    names: Sequence[str] | None = None,
    n_steps: int = 32,
    max_rows: int | None = None,
    progress: ProgressOption = None,
) -> PairEffects:
    """Compute the effects of all single players and all pairs.

    Parameters
    ----------
    model, inputs, baselines, feature_mask, target, additional_forward_args, output, max_rows,
    progress
        As in `pyxai.Game`.
    kind : "values", "taylor" or "path"
        * "values": by masking; right for every model. Pair effect ``J({i, j})``.
        * "taylor": ``H_ij D_i D_j`` with the Hessian at the anchor and ``D = x - b``; single
          players get ``g_i D_i + H_ii D_i^2 / 2``. The difference to "values" is of third order in
          D and can be of any size.
        * "path": integrated Hessians; pairs get ``2 Gamma_ij``, all effects sum to f(x) - f(b).
    context : "baseline", "input" or "mean"
        Where the second difference (or the Hessian) is taken: with all other players absent, all
        present, or the mean of the two. At the input a pair effect
        ``v(N) - v(N-i) - v(N-j) + v(N-ij)`` is the sum of all J(S) that contain the pair, and a
        single player's is Occlusion-1. Of no meaning for "path".
    names : sequence of str, optional
        Names of the players.
    n_steps : int
        For "path", see `integrated_hessians`.

    Returns
    -------
    PairEffects

    Warns
    -----
    PyxaiWarning
        For "taylor" on a model with kinks: its Hessian at a point says nothing about interactions.

    Raises
    ------
    ValueError
        If ``kind`` or ``context`` is unknown, or ``context`` is given for "path".

    Notes
    -----
    "values": n (n + 1) / 2 + 1 evaluations an example and context (784 players: 307 721).
    "taylor": n Hessian-vector products. "path": n * n_steps of them, see `integrated_hessians`.
    The matrix takes 8 n^2 bytes an example. Deterministic.
    """
    check_choice("kind", kind, _KINDS)
    check_choice("context", context, _CONTEXTS)
    check_int("n_steps", n_steps, minimum=1)
    arguments = {
        "baselines": baselines,
        "feature_mask": feature_mask,
        "target": target,
        "additional_forward_args": additional_forward_args,
        "output": output,
    }
    if kind == "path":
        if context != "baseline":
            raise ValueError(f"context must be left out for kind 'path', got {context!r}")
        return _path_pairs(
            integrated_hessians(model, inputs, n_steps=n_steps, names=names, **arguments)
        )
    game = Game(model, inputs, max_rows=max_rows, progress=progress, **arguments)
    player_names = check_names(names, game.n_players)
    contexts = ("baseline", "input") if context == "mean" else (context,)
    last, first = end_values(game)
    if kind == "values":
        parts = [_value_pairs(game, each, first, last) for each in contexts]
    else:
        extension = Extension(game, feature_mask)
        parts = [_taylor_pairs(extension, each) for each in contexts]
    gaps = [last - first - _total(part, each) for part, each in zip(parts, contexts, strict=True)]
    if kind == "taylor":
        warn_if_kinked(smoothness_of(extension), torch.stack(gaps), 2)
    matrix = torch.stack(parts).mean(0)
    return PairEffects(
        matrix=matrix,
        value=last,
        baseline_value=first,
        residual=torch.stack(gaps).mean(0),
        kind=kind,
        context=context,
        note="",
        names=player_names,
    )


def _upper(n: int) -> Tensor:  # int64 [2, n (n - 1) / 2]
    return torch.triu_indices(n, n, 1)


def _total(matrix: Tensor, context: str) -> Tensor:  # [batch]
    """Sum singles and pairs with the signs with which they approximate f(x) - f(b).

    Taken away from the full set, the pair effect counts against the two single effects.
    """
    main = matrix.diagonal(dim1=1, dim2=2).sum(1)
    pairs = (matrix.sum((1, 2)) - main) / 2
    return main + pairs if context == "baseline" else main - pairs


def _value_pairs(game: Game, context: str, first: Tensor, last: Tensor) -> Tensor:
    """Return the matrix of one context by masking."""
    n = game.n_players
    full = pack_masks(torch.ones(1, n, dtype=torch.bool))
    own = pack_masks(torch.eye(n, dtype=torch.bool))
    rows, columns = _upper(n)

    def values_of(chosen: Tensor) -> Tensor:
        masks = chosen if context == "baseline" else full ^ chosen
        return game.values(masks).double().cpu()

    starts = range(0, len(rows), _CHUNK)
    parts = [slice(start, start + _CHUNK) for start in starts]
    found = [values_of(own[rows[part]] | own[columns[part]]) for part in parts]
    singles = values_of(own)
    pairs = torch.cat(found, 1) if found else singles[:, :0]
    anchor = first if context == "baseline" else last
    return pairwise_taylor_values(anchor, singles, pairs, context=context)


def _taylor_pairs(extension: Extension, context: str) -> Tensor:
    """Return the matrix of the Hessian form at one end."""
    at = torch.tensor([0.0 if context == "baseline" else 1.0], dtype=torch.float64)
    hessian = diagonal_hessian(extension, at, torch.ones(1, dtype=torch.float64))
    slope = diagonal_gradients(extension, at)[:, 0]
    curve = hessian.diagonal(dim1=1, dim2=2) / 2
    main = slope + curve if context == "baseline" else slope - curve
    hessian.diagonal(dim1=1, dim2=2).copy_(main)
    return hessian


def _path_pairs(found: Any) -> PairEffects:
    """Give every pair the two equal entries of integrated Hessians."""
    matrix = 2 * found.matrix
    matrix.diagonal(dim1=1, dim2=2).copy_(found.matrix.diagonal(dim1=1, dim2=2))
    return PairEffects(
        matrix=matrix,
        value=found.value,
        baseline_value=found.baseline_value,
        residual=found.residual,
        kind="path",
        context="baseline",
        note=found.note or f"integrated Hessians, mode {found.mode}",
        names=found.names,
    )
