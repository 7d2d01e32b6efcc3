"""Deep SHAP by its definition: Shapley values of the inputs of each neuron.

For a neuron ``y = f(c + sum_i u_i)``, ``u_i = w_i (h_i - h_b_i)``, input ``i`` gets

    m_i = w_i E_S[ S(z_S, z_S + u_i) ],   z_S = z_b + sum_{j in S} u_j,

with ``S`` ranging over the sets of other inputs with Shapley's weights and ``S(., .)`` the secant
of ``f``: so ``m_i (h_i - h_b_i)`` is the Shapley value, and an input that does not move gets the
limit. Exact up to :data:`EXACT_INPUTS` inputs; beyond, integrals over random sums, or on request
permutations and their reverses, the same ones for all neurons and rows, so that rows do not depend
on each other. [1]_

References
----------
.. [1] S. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017,
   section 4.2.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai.propagation.multipliers.random_sums import mean_secants
from pyxai.propagation.multipliers.rescale import BINARY, ELEMENTWISE, RESCALE, gradient
from pyxai.propagation.multipliers.reveal_cancel import scale_of
from pyxai.propagation.multipliers.secant import elementwise_secant, eps_of, pair
from pyxai.tracing import LINEAR_MAPS, STRUCTURAL, Call, Node, Rule, RuleTable, Run, is_affine
from pyxai.tracing.vjp import reduce_to

__all__ = ["EXACT_INPUTS", "Edges", "neuron_shapley"]

EXACT_INPUTS = 12  # 2^12 sets times 12 inputs per neuron

# Structural ops that neither merge values nor make a tuple.
_CARRIERS = STRUCTURAL - {"cat", "chunk", "split", "split_with_sizes", "stack", "unbind", "where"}


class Edges:
    """Multipliers of one value, one for each input of the neuron that it is: [n, *shape]."""

    __slots__ = ("values",)

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __add__(self, other: Any) -> Edges:
        return Edges(self.values + (other.values if isinstance(other, Edges) else other))

    __radd__ = __add__


class Fan:
    """Contributions ``u_i`` of each input of a neuron, [n, *shape of the neuron's value]."""

    def __init__(self, runs: tuple[Run, Run], dtype: torch.dtype) -> None:
        self.runs = runs
        self.dtype = dtype

    def change(self, node: Node) -> Tensor:
        """Return how a value differs from the baseline."""
        x, b = (run[node].to(self.dtype) for run in self.runs)
        return x - b  # type: ignore[no-any-return]

    def of(self, node: Node) -> Tensor | None:
        """Return the contributions to a value, ``None`` if it is a unit of its own."""
        if _is_unit(node):
            return None
        if node.op == "getitem":
            source = node.args["0"]
            return self.of(source) if source.op == "_native_batch_norm_legit_no_training" else None
        call = Call(node, self.runs)
        if node.op in WEIGHTED:
            return contributions(call, self.change(node.args[WEIGHTED[node.op][0]]))
        names = call.dependents()
        if len(names) > 1 and node.op in ("add", "sub"):
            return self._joined(call, names)
        name = names[0]
        operand = node.args[name]
        if len(names) > 1 or not isinstance(operand, Node):
            self._refuse(node)
        inner = self.of(operand)
        if inner is None:
            return None
        if node.op == "add":
            return inner
        scales = scale_of(call, self.dtype)
        if scales is not None:
            return inner * torch.as_tensor(scales[name], dtype=self.dtype, device=inner.device)
        if node.op in _CARRIERS:
            return torch.stack([_carry(call, name, part) for part in inner])
        self._refuse(node)

    def _joined(self, call: Call, names: tuple[str, ...]) -> Tensor:
        """Count the inputs of all terms as those of a sum; a term that is a unit is one input."""
        shape = call.output_shape()
        parts = []
        for name in names:
            node = call.node.args[name]
            inner = self.of(node)
            part = self.change(node).unsqueeze(0) if inner is None else inner
            part = part.reshape(len(part), *[1] * (len(shape) + 1 - part.dim()), *part.shape[1:])
            scale = -call["alpha"] if call.node.op == "sub" and name == "other" else 1
            parts.append(part.expand(len(part), *shape) * scale)
        return torch.cat(parts)

    def count(self, node: Node) -> int | None:
        """Return how many contributions a value has, ``None`` if it is a unit of its own."""
        if _is_unit(node):
            return None
        if node.op == "getitem":
            batch_norm = node.args["0"].op == "_native_batch_norm_legit_no_training"
            return self.count(node.args["0"]) if batch_norm else None
        call = Call(node, self.runs)
        if node.op in WEIGHTED:
            return _matrix(call, self.dtype).shape[1]
        counts = [self.count(node.args[name]) for name in call.dependents()]
        if len(counts) == 1:
            return counts[0]
        return sum(count or 1 for count in counts)

    def _refuse(self, node: Node) -> NoReturn:
        raise UnsupportedOperationError(
            f"Deep SHAP with rule='neuron_shapley' has no rule for {node.op} between the weights "
            f"and the activation of a neuron, at {node.where}; rule='rescale' has"
        )


def _is_unit(node: Node) -> bool:
    """Whether a value counts as one input of a neuron, whatever it is made of."""
    if node.kind != "call" or not (node.op == "getitem" or is_affine(node)):
        return True
    return node.touches_complex() or node.op in LINEAR_MAPS or node.op == "lerp"


def _carry(call: Call, name: str, part: Tensor) -> Tensor:
    value: Tensor = call.apply(0, **{name: part})
    return value


WEIGHTED = {
    "linear": ("input", "weight"),
    "addmm": ("mat1", "mat2"),
    "mm": ("self", "mat2"),
    "matmul": ("self", "other"),
    "convolution": ("input", "weight"),
}


def _matrix(call: Call, dtype: torch.dtype) -> Tensor:
    """Return the weights as [outputs, inputs]."""
    moving, name = WEIGHTED[call.node.op]
    weight: Tensor = call.get(name).to(dtype)
    supported = call.dependents() == (moving,)
    if call.node.op == "convolution":
        supported &= not call["transposed"] and call["groups"] == 1 and weight.dim() in (3, 4)
        weight = weight.flatten(1)
    elif call.node.op != "linear":
        supported &= weight.dim() == 2
        weight = weight.t() if weight.dim() == 2 else weight
    if not supported:
        raise UnsupportedOperationError(
            f"Deep SHAP with rule='neuron_shapley' has no rule for {call.node.op} of this kind, at "
            f"{call.node.where}; rule='rescale' has"
        )
    return weight


def _patches(call: Call) -> dict[str, Any]:
    """Arguments of ``unfold`` for a convolution over one or two axes."""
    n_axes = len(call.shape("input")) - 2
    lead = [1] * (2 - n_axes)

    def two(name: str, missing: int) -> list[int]:
        given = list(call[name])
        given = given * n_axes if len(given) == 1 else given
        return [missing] * (2 - n_axes) + given

    kernel = lead + list(call["weight"].shape[2:])
    return {
        "kernel_size": kernel, "stride": two("stride", 1),
        "padding": two("padding", 0), "dilation": two("dilation", 1),
    }  # fmt: skip


def contributions(call: Call, change: Tensor) -> Tensor:
    """Return ``w_ji (h_i - h_b_i)`` as [n, *shape of the value]."""
    weight = _matrix(call, change.dtype)
    if call.node.op != "convolution":
        each = change.unsqueeze(-2) * weight  # [..., outputs, inputs]
        return each.movedim(-1, 0)
    images = change.unsqueeze(2) if change.dim() == 3 else change
    columns = F.unfold(images, **_patches(call))  # [rows, inputs, places]
    each = columns.transpose(0, 1).unsqueeze(2) * weight.t()[:, None, :, None]
    return each.reshape(weight.shape[1], *call.output_shape())


def _gathered(call: Call, edges: Edges) -> dict[str, Tensor]:
    """Return ``M_i = sum_j G_ji w_ji`` for a weighted op."""
    moving = WEIGHTED[call.node.op][0]
    values = edges.values  # [n, *shape]
    weight = _matrix(call, values.dtype)
    if call.node.op != "convolution":
        return {moving: torch.einsum("i...o,oi->...i", values, weight)}
    rows, outputs = values.shape[1], values.shape[2]
    flat = values.reshape(values.shape[0], rows, outputs, -1)
    columns = torch.einsum("irop,oi->rip", flat, weight)
    shape = call.shape("input")
    size = shape[2:] if len(shape) == 4 else (1, shape[2])
    return {moving: F.fold(columns, size, **_patches(call)).reshape(shape)}


def _parted(call: Call, edges: Edges) -> dict[str, Any]:
    """Give each term of a sum its own inputs' multipliers."""
    fan: Fan = call.options["fan"]
    result: dict[str, Any] = {}
    start = 0
    for name in call.dependents():
        count = fan.count(call.node.args[name])
        part = edges.values[start : start + (count or 1)]
        start += count or 1
        if call.node.op == "sub" and name == "other":
            part = part * -call["alpha"]
        shape = call.shape(name)
        found = torch.stack([reduce_to(each, shape) for each in part])
        result[name] = found[0] if count is None else Edges(found)
    return result


def _orders(n: int, count: int, seed: int) -> list[Tensor]:
    """Return permutations and their reverses."""
    generator = torch.Generator().manual_seed(seed)
    orders: list[Tensor] = []
    while len(orders) < count:
        order = torch.randperm(n, generator=generator)
        orders += [order, order.flip(0)]
    return orders


def _activation(call: Call, multiplier: Any) -> Any:
    given: Tensor = multiplier[0] if isinstance(multiplier, list) else multiplier
    name = call.sole()
    fan: Fan = call.options["fan"]
    each = fan.of(call.node.args[name])
    if each is None:
        return RESCALE.rule_named(call.node.op)(call, multiplier)
    _, start = pair(call, name, given.dtype)

    def slope(begin: Tensor, end: Tensor) -> Tensor:
        return elementwise_secant(call, name, given.dtype, eps_of(call), ends=(end, begin))

    n = each.shape[0]
    if n <= EXACT_INPUTS:
        shares = _exact(each, start, slope)
    elif call.options["n_permutations"] is None:
        shares = mean_secants(each, start, slope, call.options["n_waves"])
        call.options["approximate"].add(n)
    else:
        call.options["approximate"].add(n)
        orders = _orders(n, call.options["n_permutations"], call.options["seed"])
        shares = torch.zeros_like(each)
        for order in orders:
            place = start
            for i in order.tolist():
                ahead = place + each[i]
                shares[i] += slope(place, ahead)
                place = ahead
        shares /= len(orders)
    return {name: Edges(torch.stack([reduce_to(given * part, start.shape) for part in shares]))}


def _exact(each: Tensor, start: Tensor, slope: Any) -> Tensor:
    """Average the secant over all sets of other inputs, with Shapley's weights."""
    n = each.shape[0]
    sums = [start]  # by bit mask
    for i in range(n):
        sums += [value + each[i] for value in sums]
    shares = torch.zeros_like(each)
    for mask, value in enumerate(sums):
        size = mask.bit_count()
        if size == n:
            continue
        weight = 1 / (n * math.comb(n - 1, size))
        for i in range(n):
            if not mask >> i & 1:
                shares[i] += weight * slope(value, sums[mask | 1 << i])
    return shares


def _carrier(rule: Rule) -> Rule:
    """Send each edge's multiplier back through an op between weights and activation."""

    def propagate(call: Call, multiplier: Any) -> Any:
        edges = multiplier[0] if isinstance(multiplier, list) else multiplier
        if not isinstance(edges, Edges):
            return rule(call, multiplier)
        if call.node.op in WEIGHTED:
            return _gathered(call, edges)
        if len(call.dependents()) > 1:
            return _parted(call, edges)
        wrap = isinstance(multiplier, list)
        name = call.dependents()[0]
        parts = [call.transpose([part] if wrap else part)[name] for part in edges.values]
        return {name: Edges(torch.stack(parts))}

    return propagate


def neuron_shapley() -> RuleTable:
    """Return the rules: Rescale's, with Shapley values of the inputs of each neuron."""
    table = RESCALE.extended("Deep SHAP")
    table.fallback = _carrier(gradient)
    for op in RESCALE.ops:
        table.add(_carrier(RESCALE.rule_named(op)), (op,))
    for op in (*ELEMENTWISE, "square", *BINARY):
        table.add(_activation_or(table.rule_named(op)), (op,))
    return table


def _activation_or(rule: Rule) -> Rule:
    def propagate(call: Call, multiplier: Any) -> Any:
        if len(call.dependents()) > 1 or is_affine(call.node):
            return rule(call, multiplier)
        return _activation(call, multiplier)

    return propagate
