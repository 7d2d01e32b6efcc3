"""Test B: recover the weights of a layer rule from its answers on single neurons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.taylor.allocation.method_calls import bind_method
from pyxai.taylor.effects.terms import degree_vectors

__all__ = ["NeuronTest", "measure_neuron", "power_neurons"]

_WEIGHTS = (1.0, -1.0, -1.0, 1.0)
_INPUT_SIGNS = (1.0, -1.0, 1.0, -1.0)  # contributions u = w x are +, +, -, -: P = {0, 1}
_POSITIVE = torch.tensor([True, True, False, False])
_ORDERS = (1, 2, 3)
# Least squares on well-spread draws; larger residuals mean that no weights exist.
_FITTED = 1e-7


@dataclass(frozen=True)
class NeuronTest:
    """Test B: weights ``w_i(kappa)`` of a layer rule on the neurons ``z^k``, by order k.

    Attributes
    ----------
    weights : dict of int to Tensor, float64, shape [4, n_terms]
        Recovered weights; inputs 0 and 1 contribute positively, 2 and 3 negatively. Terms in the
        order of `kappas`.
    residual : dict of int to float
        Part of the attributions that no weights explain, relative to their norm.
    off_support : dict of int to float
        Largest ``|w_i(kappa)|`` with kappa_i = 0 (P2).
    column_gap : dict of int to float
        Largest ``|sum over i of w_i(kappa) - 1|`` (P3).
    extended_residual : dict of int to float
        The same after terms that a rule gives to strangers are allowed:
        ``u_i / U * u^kappa`` with no input of i's sign group in kappa.
    unrelated_share : dict of int to tuple of float
        Part of each input's allocation that lies on such terms.
    """

    name: str
    weights: dict[int, Tensor]
    residual: dict[int, float]
    off_support: dict[int, float]
    column_gap: dict[int, float]
    extended_residual: dict[int, float]
    unrelated_share: dict[int, tuple[float, ...]]

    @staticmethod
    def kappas(order: int) -> Tensor:  # int64 [n_terms, 4]
        """Return the terms of an order."""
        return degree_vectors(len(_WEIGHTS), order)

    @property
    def representable(self) -> bool:
        """Whether weights that depend on kappa and the signs only explain the rule."""
        return max(self.residual.values()) <= _FITTED

    def to_dict(self) -> dict[str, float]:
        """Return the largest value of every measure over the orders."""
        return {
            "residual": max(self.residual.values()),
            "off_support": max(self.off_support.values()),
            "column_gap": max(self.column_gap.values()),
            "unrelated_share": max(max(s) for s in self.unrelated_share.values()),
        }

    def __str__(self) -> str:
        lines = [f"{self.name}, test B", "  order  residual  off support  column gap  unrelated"]
        for order in self.residual:
            share = max(self.unrelated_share[order])
            lines.append(
                f"  {order:5d}  {self.residual[order]:8.2g}  {self.off_support[order]:11.2g}  "
                f"{self.column_gap[order]:10.2g}  {share:9.2g}"
            )
        return "\n".join(lines)


class PowerNeuron(nn.Module):
    """One neuron ``(w . x)^k`` without bias, [rows, 4] -> [rows, 1]."""

    def __init__(self, order: int) -> None:
        super().__init__()
        self.linear = nn.Linear(len(_WEIGHTS), 1, bias=False, dtype=torch.float64)
        self.order = order
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([_WEIGHTS], dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the activation."""
        z: Tensor = self.linear(inputs)
        return z**self.order


def measure_neuron(
    method: Callable[..., Any],
    options: Mapping[str, Any],
    name: str,
    *,
    seed: int = 0,
    neurons: Mapping[int, nn.Module] | None = None,
) -> NeuronTest:
    """Run a layer rule on random inputs of the neurons z, z^2, z^3 and fit its weights.

    Parameters
    ----------
    method : class or partial of a class
        Built with each neuron.
    options : mapping
        Further arguments of its ``attribute``.
    name : str
        For printing.
    seed : int
        Of the inputs.
    neurons : mapping from order to PowerNeuron, optional
        From `power_neurons`, where several methods share them and so are traced once. Default: new
        ones.
    """
    neurons = neurons or power_neurons()
    found: dict[str, dict[int, Any]] = {key: {} for key in NeuronTest.__dataclass_fields__}
    del found["name"]
    for order in _ORDERS:
        kappas = degree_vectors(len(_WEIGHTS), order)
        inputs = _draw(8 * len(kappas) + 40, seed + order)
        attribute = bind_method(method, neurons[order], None, options)
        scores = attribute(inputs, torch.zeros_like(inputs[:1])).double()
        for key, value in _fit(scores, inputs, kappas).items():
            found[key][order] = value
    return NeuronTest(name=name, **found)


def power_neurons() -> dict[int, nn.Module]:
    """Return the neurons z, z^2, z^3 by their order."""
    return {order: PowerNeuron(order).eval().requires_grad_(False) for order in _ORDERS}


def _draw(n_rows: int, seed: int) -> Tensor:  # float64 [n_rows, 4]
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.rand(n_rows, len(_WEIGHTS), generator=generator, dtype=torch.float64) + 0.2
    return sizes * torch.tensor(_INPUT_SIGNS, dtype=torch.float64)


def _fit(scores: Tensor, inputs: Tensor, kappas: Tensor) -> dict[str, Any]:
    """Least squares of every input's attributions on the monomials of one order."""
    order = int(kappas[0].sum())
    u = inputs * torch.tensor(_WEIGHTS, dtype=torch.float64)
    monomials = (u[:, None, :] ** kappas).prod(-1)  # [n_rows, n_terms]
    factorials = torch.exp(torch.lgamma(kappas.double() + 1).sum(1)).round()
    terms = monomials * (math.factorial(order) / factorials)  # T(kappa) of z^k
    fit = torch.linalg.lstsq(terms, scores).solution  # [n_terms, 4]
    norm = scores.norm().clamp_min(1e-300)
    residual = float((scores - terms @ fit).norm() / norm)
    extended, shares = _fit_with_strangers(scores, u, kappas, terms)
    if residual <= _FITTED:  # nothing is left to explain
        shares = (0.0,) * len(_WEIGHTS)
    return {
        "weights": fit.T.contiguous(),
        "residual": residual,
        "off_support": float((fit.abs() * (kappas == 0)).max()),
        "column_gap": float((fit.sum(1) - 1).abs().max()),
        "extended_residual": float(extended / norm),
        "unrelated_share": shares,
    }


def _fit_with_strangers(
    scores: Tensor, u: Tensor, kappas: Tensor, terms: Tensor
) -> tuple[Tensor, tuple[float, ...]]:
    left, shares = torch.zeros_like(scores), []
    for player in range(len(_WEIGHTS)):
        group = _POSITIVE[player] == _POSITIVE
        strange = (kappas[:, group] == 0).all(1)
        share = u[:, player] / (u * group).sum(1)
        # Where the rule is representable the two sets of columns explain the same: the smallest
        # solution decides.
        columns = torch.cat([terms, share[:, None] * terms[:, strange]], 1)
        solution = torch.linalg.lstsq(columns, scores[:, player : player + 1], driver="gelsd")
        parts = columns * solution.solution[:, 0]
        left[:, player] = scores[:, player] - parts.sum(1)
        related = float(parts[:, : len(kappas)].abs().sum())
        unrelated = float(parts[:, len(kappas) :].abs().sum())
        shares.append(unrelated / max(related + unrelated, 1e-300))
    return left.norm(), tuple(shares)
