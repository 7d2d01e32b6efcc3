"""Integrated Hessians: integrated gradients applied twice, right across the kinks of ReLU nets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int, check_number
from pyxai._errors import UnsupportedOperationError, warn
from pyxai.explanation.numbers import number, rounding
from pyxai.game import Game
from pyxai.runner import Output, one_scope, takes_arrays
from pyxai.taylor.derivatives.extension import Extension
from pyxai.taylor.derivatives.second_order import diagonal_gradients, diagonal_hessian
from pyxai.taylor.effects.terms import check_names
from pyxai.taylor.kinks.crossings import LineKinks, find_kinks
from pyxai.taylor.kinks.smoothness import smoothness_of
from pyxai.taylor.kinks.softplus import SoftplusForRelu

__all__ = ["IntegratedHessians", "integrated_hessians"]

_MODES = ("auto", "smooth", "kinks", "softplus")
# Rows that miss integrated gradients by more than this share of them have met a kink.
_ROW_TOLERANCE = 1e-4
_MAX_STEPS = 4096


@dataclass(frozen=True)
class IntegratedHessians:
    """Second-order path effects; rows sum to integrated gradients, all to f(x) - f(b).

    Attributes
    ----------
    matrix : Tensor, float64, shape [batch, n_players, n_players]
        Gamma, symmetric, in output units. The pair {i, j} gets ``2 * matrix[i, j]`` in all.
    attributions : Tensor, float64, shape [batch, n_players]
        Integrated gradients on the same path, by the same nodes or pieces.
    value, baseline_value : Tensor, float64, shape [batch]
        The model (with softplus in place of ReLU in that mode) at the input and the baseline.
    mode : str
        "smooth" (quadrature), "kinks" (pieces and jumps, exact) or "softplus" (an approximation).
    note : str
        What a reader must know about how the numbers came about; may be empty.
    names : tuple of str
        Names of the players.
    """

    matrix: Tensor  # [batch, n_players, n_players]
    attributions: Tensor  # [batch, n_players]
    value: Tensor  # [batch]
    baseline_value: Tensor  # [batch]
    mode: str
    note: str
    names: tuple[str, ...]

    @property
    def residual(self) -> Tensor:  # [batch]
        """``f(x) - f(b) - sum of the matrix``."""
        return self.value - self.baseline_value - self.matrix.sum((1, 2))

    @property
    def row_gap(self) -> Tensor:  # [batch, n_players]
        """Integrated gradients minus the row sums: what kinks or too few nodes hide."""
        return self.attributions - self.matrix.sum(2)

    def __str__(self) -> str:
        lines = [
            f"Integrated Hessians of {len(self.names)} players, mode {self.mode}; "
            f"example 0 of {len(self.value)}"
        ]
        if self.note:
            lines.append(f"  {self.note}")
        if len(self.value):
            total = float(self.value[0] - self.baseline_value[0])
            gap = float(self.row_gap[0].abs().max())
            lines.append(
                f"  f(x) - f(b) = {total:.6g}, residual {float(self.residual[0]):.2g}, "
                f"largest row gap {gap:.2g}"
            )
            n = len(self.names)
            rows, columns = torch.triu_indices(n, n)
            shown = self.matrix[0, rows, columns] * torch.where(rows == columns, 1.0, 2.0)
            for place in shown.abs().topk(min(10, len(shown))).indices.tolist():
                i, j = int(rows[place]), int(columns[place])
                name = self.names[i] if i == j else f"{self.names[i]} x {self.names[j]}"
                effect = number(float(shown[place]), "+.6g", rounding(shown))
                lines.append(f"  {effect:>12}  {name}")
        return "\n".join(lines)


@takes_arrays
@one_scope
def integrated_hessians(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    baselines: Any = None,
    feature_mask: Any = None,
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = "logit",
    n_steps: int = 32,
    mode: str = "auto",
    beta: float = 100.0,
    names: Sequence[str] | None = None,
) -> IntegratedHessians:
    """Compute integrated Hessians along the straight path from the baselines to the inputs.

    ``Gamma_ij = D_i D_j int_0^1 s (-ln s) d_ij f(b + s D) ds`` with ``D = x - b``; the diagonal has
    ``D_i int_0^1 (-ln s) d_i f(b + s D) ds`` besides. In Taylor terms the weight of T(kappa) is
    ``kappa_i kappa_j / |kappa|^2``.

    Parameters
    ----------
    model, inputs, baselines, feature_mask, target, additional_forward_args, output
        As in `pyxai.Game`.
    n_steps : int
        Nodes of the quadrature ("smooth", "softplus"): Gauss-Legendre in r with s = r^4, since
        the density -ln s is steep at 0. Cells in which the search starts ("kinks").
    mode : str
        * "smooth": quadrature of automatic second derivatives;
        * "kinks": for piecewise-linear models (ReLU, leaky ReLU, max-pooling, abs), whose second
          derivative is 0 except for a jump of the gradient at every kink: the kinks on the path
          are found and their jumps summed, exact up to rounding;
        * "softplus": ReLU is replaced by softplus(beta), an approximation; ``n_steps`` is doubled
          until rows sum to integrated gradients, or 4096 are reached;
        * "auto": "kinks" for piecewise-linear models; "smooth" otherwise, and where that misses
          integrated gradients because of kinks, "softplus" with a warning.
    beta : float
        Sharpness of the softplus, in 1 / unit of the pre-activations.
    names : sequence of str, optional
        Names of the players.

    Returns
    -------
    IntegratedHessians

    Warns
    -----
    PyxaiWarning
        If "auto" falls back to softplus, if kink surfaces that meet on the path could not be told
        apart, or if "smooth" was asked for and kinks make its rows miss integrated gradients.

    Raises
    ------
    ValueError
        If ``mode`` is unknown, ``beta`` is not positive or "kinks" is asked for a curved model.
    UnsupportedOperationError
        If a curved model has kinks other than ReLU on the path.

    Notes
    -----
    n_steps * n_players Hessian-vector products; or about 70 + 20 gradients a kink and example.

    References
    ----------
    .. [1] J. D. Janizek, P. Sturmfels, S.-I. Lee, "Explaining Explanations: Axiomatic Feature
       Interactions for Deep Networks", JMLR 22(104), 2021, section 3.
    """
    check_number("beta", beta)
    check_choice("mode", mode, _MODES)
    check_int("n_steps", n_steps, minimum=1)
    if not beta > 0:
        raise ValueError(f"beta must be positive, got {beta}")
    game = Game(
        model,
        inputs,
        baselines=baselines,
        feature_mask=feature_mask,
        target=target,
        additional_forward_args=additional_forward_args,
        output=output,
    )
    player_names = check_names(names, game.n_players)
    extension = Extension(game, feature_mask)
    smoothness = smoothness_of(extension)
    if mode == "kinks" and not smoothness.piecewise_linear:
        raise ValueError(
            "mode must be 'smooth', 'softplus' or 'auto' for a curved model, got 'kinks'"
        )
    if mode == "kinks" or (mode == "auto" and smoothness.piecewise_linear):
        return _by_kinks(extension, n_steps, player_names)
    if mode != "softplus":
        result = _by_quadrature(extension, n_steps, player_names)
        missed = _misses_rows(result)
        if smoothness.analytic or not missed:
            return result
        if mode == "smooth":
            warn(
                f"kinks ({', '.join(smoothness.kinks)}) lie on the path: the second derivatives "
                "miss them, see row_gap; mode='auto' takes them into account",
            )
            return result
        warn(
            f"the model is curved and has kinks ({', '.join(smoothness.kinks)}) on the path: ReLU "
            f"is approximated by softplus(beta={beta:g})",
        )
    return _by_softplus(extension, n_steps, beta, player_names)


def log_nodes(n_steps: int) -> tuple[Tensor, Tensor]:
    """Return nodes s in (0, 1) and weights for ``int_0^1 g(s) (-ln s) ds``, float64.

    Gauss-Legendre in r with s = r^4 and the density written out: exact to 2e-9 for a tanh neuron
    with 16 nodes.
    """
    # Panels of up to 64 nodes: the rule for n nodes costs an eigenvalue problem of size n.
    n_panels = -(-n_steps // 64)
    points, weights = np.polynomial.legendre.leggauss(-(-n_steps // n_panels))
    unit = torch.from_numpy((points + 1) / 2)
    r = ((torch.arange(n_panels)[:, None] + unit) / n_panels).flatten()
    step = torch.from_numpy(weights / 2).repeat(n_panels) / n_panels
    return r**4, step * 4 * r**3 * (-4 * r.log())


def _by_quadrature(
    extension: Extension, n_steps: int, names: tuple[str, ...]
) -> IntegratedHessians:
    nodes, weights = log_nodes(n_steps)
    matrix = diagonal_hessian(extension, nodes, nodes * weights)
    slopes = diagonal_gradients(extension, nodes)  # [batch, n_nodes, n_players]
    matrix += torch.diag_embed((weights[:, None] * slopes).sum(1))
    plain = weights / -nodes.log()  # without the density: integrated gradients
    value, baseline_value = extension.ends()
    return IntegratedHessians(
        matrix, (plain[:, None] * slopes).sum(1), value, baseline_value, "smooth", "", names
    )


def _misses_rows(result: IntegratedHessians) -> bool:
    scale = result.attributions.abs().sum(1).clamp_min(1e-300)
    return bool((result.row_gap.abs().amax(1) > _ROW_TOLERANCE * scale).any())


def _by_kinks(extension: Extension, n_cells: int, names: tuple[str, ...]) -> IntegratedHessians:
    batch, n = extension.batch, extension.n_players
    matrix = torch.zeros(batch, n, n, dtype=torch.float64)
    attributions = torch.zeros(batch, n, dtype=torch.float64)
    start, end = extension.point(0.0)[0, 0], extension.point(1.0)[0, 0]
    unresolved = []
    with extension.open_each() as functions:
        for example, function in enumerate(functions):
            line = find_kinks(function, start, end, n_cells=max(64, n_cells))
            matrix[example], attributions[example] = _sum_line(line, n)
            if not line.resolved:
                unresolved.append(example)
    note = ""
    if unresolved:
        note = f"kinks that meet on the path of example(s) {unresolved} could not be told apart"
        warn(f"{note}: their pair effects are uncertain")
    value, baseline_value = extension.ends()
    return IntegratedHessians(matrix, attributions, value, baseline_value, "kinks", note, names)


def _sum_line(line: LineKinks, n_players: int) -> tuple[Tensor, Tensor]:
    """Return Gamma and integrated gradients of one path from its pieces and jumps.

    At a kink the second derivative is ``c n n^T delta(n . (w - w*))`` for the surface's normal n
    and the jump ``G = c n``; along the path this leaves ``s* (-ln s*) G G^T / (G . 1)``.
    """
    matrix = torch.zeros(n_players, n_players, dtype=torch.float64)
    attributions = torch.zeros(n_players, dtype=torch.float64)
    for position, jump in line.jumps:
        crossing = float(jump.sum())
        if 0 < position < 1 and crossing != 0:
            matrix += position * -math.log(position) / crossing * torch.outer(jump, jump)
    for low, high, slope in line.pieces:
        matrix += torch.diag(slope * (_log_mass(high) - _log_mass(low)))
        attributions += slope * (high - low)
    return matrix, attributions


def _log_mass(s: float) -> float:
    """Return ``int_0^s -ln t dt``."""
    return s - s * math.log(s) if s > 0 else 0.0


def _by_softplus(
    extension: Extension, n_steps: int, beta: float, names: tuple[str, ...]
) -> IntegratedHessians:
    with SoftplusForRelu(beta):
        left = smoothness_of(extension).kinks
        if left:
            raise UnsupportedOperationError(
                f"integrated_hessians has no rule for the kinks of {', '.join(left)} in a curved "
                "model; softplus replaces ReLU only"
            )
        found = _by_quadrature(extension, n_steps, names)
        # A sharp softplus needs nodes within 1 / beta of every kink.
        while _misses_rows(found) and n_steps < _MAX_STEPS:
            n_steps *= 2
            found = _by_quadrature(extension, n_steps, names)
    note = (
        f"ReLU was replaced by softplus(beta={beta:g}); these are effects of that model, from "
        f"{n_steps} nodes"
    )
    return IntegratedHessians(
        found.matrix,
        found.attributions,
        found.value,
        found.baseline_value,
        "softplus",
        note,
        names,
    )
