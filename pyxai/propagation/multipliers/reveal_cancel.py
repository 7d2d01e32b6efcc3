"""DeepLIFT's RevealCancel rule on a graph.

A neuron ``y = f(c + sum u_i)`` gets one multiplier for its positive contributions and one for its
negative ones,

    m+ = 1/2 [S(z_b, z_b + U+) + S(z_b + U-, z)],   m- = 1/2 [S(z_b, z_b + U-) + S(z_b + U+, z)],

with ``S`` the secant of ``f`` between two points (its derivative where they meet, which is the
limit of a vanishing group) and ``U+``, ``U-`` the sums of the positive and negative ``u_i``.
[1]_ eq. for RevealCancel in section 3.5.3.

On a graph the contributions of a neuron run through several ops: scalings, additions and
averages keep each contribution apart (a negative scale swaps the signs), and the products with
weights split by the sign of ``w * (h - h_b)`` of the lower unit's total change. A
:class:`Signed` multiplier therefore travels back from the activation to the weights.

References
----------
.. [1] A. Shrikumar, P. Greenside, A. Kundaje, "Learning Important Features Through Propagating
   Activation Differences", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai.propagation.multipliers.complex_values import ComplexRules
from pyxai.propagation.multipliers.rescale import BINARY, ELEMENTWISE, RESCALE, gradient
from pyxai.propagation.multipliers.secant import elementwise_secant, eps_of, pair
from pyxai.tracing import (
    BILINEAR,
    POSITIVE,
    STRUCTURAL,
    Call,
    Node,
    Rule,
    RuleTable,
    Run,
    is_affine,
)
from pyxai.tracing.nodes import op_names
from pyxai.tracing.vjp import batch_norm_scale, reduce_to

__all__ = ["Contributions", "Signed", "collapse", "reveal_cancel", "scale_of"]

_KEEPS_SIGNS = STRUCTURAL | POSITIVE
_CASTS = frozenset({"_to_copy", "to"})


class Signed:
    """A multiplier for positive and one for negative contributions to the same value."""

    __slots__ = ("negative", "positive")

    def __init__(self, positive: Tensor, negative: Tensor) -> None:
        self.positive = positive
        self.negative = negative

    def __add__(self, other: Any) -> Signed:
        if isinstance(other, Signed):
            return Signed(self.positive + other.positive, self.negative + other.negative)
        return Signed(self.positive + other, self.negative + other)

    __radd__ = __add__


def collapse(multiplier: Any, change: Tensor | Callable[[], Tensor]) -> Any:
    """Return the one multiplier of a value that counts as one contribution.

    ``change`` is how the value differs from the baseline; where it does not, the mean is taken.
    """
    if not isinstance(multiplier, Signed):
        return multiplier
    step = change if isinstance(change, Tensor) else change()
    middle = (multiplier.positive + multiplier.negative) / 2
    moved = torch.where(step > 0, multiplier.positive, multiplier.negative)
    return torch.where(step == 0, middle, moved)


class Contributions:
    """Sums of the positive contributions to each value, computed when asked for.

    Parameters
    ----------
    runs : pair of Run
        Executions at the input and at the baseline.
    dtype : torch.dtype
        In which to compute.
    """

    def __init__(self, runs: tuple[Run, Run], dtype: torch.dtype) -> None:
        self.runs = runs
        self.dtype = dtype
        self._known: dict[Node, Any] = {}

    def change(self, node: Node) -> Tensor:
        """Return how a value differs from the baseline."""
        x, b = (run[node].to(self.dtype) for run in self.runs)
        return x - b  # type: ignore[no-any-return]

    def positive(self, node: Node) -> Any:
        """Return the sum of the positive contributions to a value, ``U+``."""
        if node not in self._known:
            self._known[node] = self._compute(node)
        return self._known[node]

    def _compute(self, node: Node) -> Any:
        if node.kind == "call" and node.op == "getitem":
            source = node.args["0"]
            parts = self.positive(source) if is_affine(source) else None
            return self.change(node).clamp(min=0) if parts is None else parts[node.args["1"]]
        if node.kind != "call" or not is_affine(node):
            return None if node.op in _TUPLES else self.change(node).clamp(min=0)
        call = Call(node, self.runs)
        if node.op in _CASTS:
            return self.positive(node.args["self"])
        if node.op in _KEEPS_SIGNS:
            return self._carried(call)
        scaled = scale_of(call, self.dtype)
        if scaled is not None:
            return self._scaled(call, scaled)
        if node.op in BILINEAR:
            return self._mixed(call)
        return self.change(node).clamp(min=0)

    def _carried(self, call: Call) -> Any:
        """Run the op on ``U+`` of what depends on the inputs and 0 for everything else."""
        replaced: dict[str, Any] = {}
        for name, value in call.node.args.items():
            if name in _CONSTANTS or (name == "other" and not isinstance(value, Node)):
                given = isinstance(value, Node)
                replaced[name] = torch.zeros_like(self.runs[0][value]) if given else 0.0
            elif name not in _SELECTORS:
                replaced[name] = self._substituted(value, call)
        return call.apply(0, **replaced)

    def _substituted(self, value: Any, call: Call) -> Any:
        if isinstance(value, Node):
            if value.depends:
                return self.positive(value)
            given = self.runs[0][value]
            if isinstance(given, Tensor) and given.is_floating_point():
                return torch.zeros_like(given, dtype=self.dtype)
            return given
        if isinstance(value, (list, tuple)):
            return [self._substituted(item, call) for item in value]
        return value

    def _scaled(self, call: Call, scales: dict[str, Tensor | float]) -> Any:
        total: Any = 0.0
        for name, scale in scales.items():
            operand = call.node.args[name]
            if not (isinstance(operand, Node) and operand.depends):
                continue
            up = self.positive(operand)
            down = self.change(operand) - up
            factor = torch.as_tensor(scale, dtype=self.dtype, device=up.device)
            total = total + factor.clamp(min=0) * up + factor.clamp(max=0) * down
        return [total] if call.node.op in _TUPLES else total

    def _mixed(self, call: Call) -> Tensor:
        """``U+ = W+ D+ + W- D- = (W D + |W| |D|) / 2`` with ``D`` the change of the lower units."""
        moving, weight, addends = _factors(call)
        step = self.change(call.node.args[moving])
        given = call.get(weight).to(self.dtype)
        zeros = {name: _zero_addend(call, name, self.dtype) for name in addends}
        size = call.apply(0, **{moving: step.abs(), weight: given.abs()}, **zeros)
        moved = [name for name in addends if call.depends(name)]
        if not moved:
            return (self.change(call.node) + size) / 2  # type: ignore[no-any-return]
        total = call.apply(0, **{moving: step, weight: given}, **zeros)
        addends_up = {name: self.positive(call.node.args[name]) for name in moved}
        still = {moving: torch.zeros_like(step), weight: given}
        return (total + size) / 2 + call.apply(0, **still, **addends_up)  # type: ignore[no-any-return]


_WITH_POLES = op_names(
    """acos acosh asin atanh digamma lgamma log log10 log1p log2 logit reciprocal rsqrt sqrt
    xlogy"""
)
_CONSTANTS = frozenset({"value"})
_SELECTORS = frozenset({"condition", "index", "indices", "mask"})
_TUPLES = frozenset({"_native_batch_norm_legit_no_training"})


def scale_of(call: Call, dtype: torch.dtype) -> dict[str, Tensor | float] | None:
    """Return what an op multiplies each operand with, element by element."""
    op = call.node.op
    if op == "neg":
        return {"self": -1.0}
    if op == "sub":
        return {"self": 1.0, "other": -float(call["alpha"])}
    if op == "rsub":
        return {"self": -float(call["alpha"]), "other": 1.0}
    if op == "div" and call.dependents() == ("self",):
        return {"self": 1.0 / torch.as_tensor(call["other"]).to(dtype)}
    if op == "mul":
        moving = call.dependents()[0]
        other = call["other" if moving == "self" else "self"]
        return {moving: torch.as_tensor(other).to(dtype)}
    if op == "_native_batch_norm_legit_no_training":
        return {"input": batch_norm_scale(call, dtype)}
    return None


def _factors(call: Call) -> tuple[str, str, tuple[str, ...]]:
    """Return the names of the moving factor, of the constant factor, and of addends."""
    op = call.node.op
    names = {
        "linear": ("input", "weight"),
        "convolution": ("input", "weight"),
        "addmm": ("mat1", "mat2"),
        "addmv": ("mat", "vec"),
        "baddbmm": ("batch1", "batch2"),
        "matmul": ("self", "other"),
        "mm": ("self", "mat2"),
        "bmm": ("self", "mat2"),
        "mv": ("self", "vec"),
        "dot": ("self", "tensor"),
    }[op]
    addends = ("bias",) if op in ("linear", "convolution") else ()
    addends = ("self",) if op in ("addmm", "addmv", "baddbmm") else addends
    first, second = names
    return (first, second, addends) if call.depends(first) else (second, first, addends)


def _zero_addend(call: Call, name: str, dtype: torch.dtype) -> Any:
    value = call.get(name)
    return None if value is None or name == "bias" else torch.zeros_like(value, dtype=dtype)


def _activation(call: Call, multiplier: Any) -> dict[str, Any]:
    """Give the positive and the negative contributions of a neuron their own multipliers."""
    name = call.sole()
    contributions: Contributions = call.options["contributions"]
    source = call.node.args[name]
    given = multiplier[0] if isinstance(multiplier, list) else multiplier
    given = collapse(given, lambda: contributions.change(call.node))
    x, b = pair(call, name, given.dtype)
    up = contributions.positive(source)
    raised, lowered = b + up, x - up

    def slope(start: Tensor, end: Tensor) -> Tensor:
        return elementwise_secant(call, name, given.dtype, eps_of(call), ends=(end, start))

    m_up = (slope(b, raised) + slope(lowered, x)) / 2
    m_down = (slope(b, lowered) + slope(raised, x)) / 2
    shape = call.shape(name)
    return {name: Signed(reduce_to(given * m_up, shape), reduce_to(given * m_down, shape))}


def _affine(rule: Rule) -> Rule:
    def propagate(call: Call, multiplier: Any) -> Any:
        parts = multiplier if isinstance(multiplier, list) else [multiplier]
        if not any(isinstance(part, Signed) for part in parts):
            return rule(call, multiplier)
        if not is_affine(call.node):
            return _collapsed(rule)(call, multiplier)
        if call.node.op in _KEEPS_SIGNS:
            up, down = _split(multiplier)
            return _joined(call.transpose(up), call.transpose(down))
        contributions: Contributions = call.options["contributions"]
        scales = scale_of(call, contributions.dtype)
        if scales is not None:
            return _rescaled(call, parts[0], scales)
        if call.node.op in BILINEAR:
            return _weighted(call, parts[0], contributions)
        return _collapsed(rule)(call, multiplier)

    return propagate


def _split(multiplier: Any) -> tuple[Any, Any]:
    if isinstance(multiplier, list):
        pairs = [_split(part) for part in multiplier]
        return [up for up, _ in pairs], [down for _, down in pairs]
    if isinstance(multiplier, Signed):
        return multiplier.positive, multiplier.negative
    return multiplier, multiplier


def _joined(up: Any, down: Any) -> Any:
    if isinstance(up, dict):
        return {name: _joined(up[name], down[name]) for name in up}
    if isinstance(up, list):
        return [_joined(*both) for both in zip(up, down, strict=True)]
    return None if up is None else Signed(up, down)


def _rescaled(call: Call, multiplier: Signed, scales: dict[str, Any]) -> dict[str, Any]:
    """Keep the signs of contributions where the scale is positive, swap them elsewhere."""
    result = {}
    up, down = multiplier.positive, multiplier.negative
    for name in call.dependents():
        scale = torch.as_tensor(scales[name], dtype=up.dtype, device=up.device)
        kept, swapped = scale.clamp(min=0), scale.clamp(max=0)
        shape = call.shape(name)
        result[name] = Signed(
            reduce_to(kept * up + swapped * down, shape),
            reduce_to(kept * down + swapped * up, shape),
        )
    return result


def _weighted(call: Call, multiplier: Signed, contributions: Contributions) -> dict[str, Any]:
    """Split the products with weights by the sign of each contribution.

    ``M_i = W+' G+ + W-' G-`` where the lower unit rose, ``W-' G+ + W+' G-`` where it fell, and
    half of both where it did not move: ``W' (G+ + G-)/2 + sign(D_i) |W|' (G+ - G-)/2``.
    """
    moving, weight, addends = _factors(call)
    given = call.get(weight).to(contributions.dtype)
    up, down = multiplier.positive, multiplier.negative
    mean = call.transpose((up + down) / 2, **{weight: given})[moving]
    spread = call.transpose((up - down) / 2, **{weight: given.abs()})[moving]
    step = contributions.change(call.node.args[moving])
    result: dict[str, Any] = {moving: mean + step.sign() * spread}
    for name in addends:
        if call.depends(name):
            result[name] = _joined(
                call.vjp(up, wrt=(name,))[name], call.vjp(down, wrt=(name,))[name]
            )
    return result


def _collapsed(rule: Rule) -> Rule:
    """Treat the value of an op as one contribution to whatever reads it."""

    def propagate(call: Call, multiplier: Any) -> Any:
        contributions: Contributions = call.options["contributions"]
        if isinstance(multiplier, list):
            users = {user.args["1"]: user for user in call.node.users if user.op == "getitem"}
            given: Any = [
                part if part is None else collapse(part, contributions.change(users[place]))
                for place, part in enumerate(multiplier)
            ]
        else:
            given = collapse(multiplier, lambda: contributions.change(call.node))
        result: dict[str, Any] = rule(call, given)
        return result

    return propagate


class _Table(ComplexRules):
    """A complex value counts as one contribution."""

    def adapted(self, rule: Rule) -> Rule:
        return _collapsed(rule)


def reveal_cancel() -> RuleTable:
    """Return the rules of RevealCancel: Rescale's, with activations and weights replaced."""
    table = _Table("DeepLIFT RevealCancel", fallback=_collapsed(gradient))
    for op in RESCALE.ops:
        rule = RESCALE.rule_named(op)
        affine = op in STRUCTURAL | POSITIVE | BILINEAR or op in (
            "neg", "sub", "rsub", "div", "_native_batch_norm_legit_no_training",
        )  # fmt: skip
        table.add(_affine(rule) if affine else _collapsed(rule), (op,))
    for op in (*ELEMENTWISE, "square", *BINARY):
        table.add(_activation_or(table.rule_named(op)), (op,))
    return table


def _activation_or(rule: Rule) -> Rule:
    """Treat a function of one moving operand as an activation, whatever its constants."""

    def propagate(call: Call, multiplier: Any) -> Any:
        if len(call.dependents()) > 1 or is_affine(call.node) or _has_poles(call.node):
            return rule(call, multiplier)
        return _activation(call, multiplier)

    return propagate


def _has_poles(node: Node) -> bool:
    """Whether positive contributions alone may lead where a function has no value."""
    if node.op == "pow":  # whole powers have values everywhere
        power = node.args["exponent"]
        return not (isinstance(power, (int, float)) and power >= 0 and power == int(power))
    return node.op in _WITH_POLES
