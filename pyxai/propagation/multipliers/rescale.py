"""DeepLIFT's Rescale rule, and complete rules for the ops that the paper does not speak of.

All rules take the multiplier of an op's value and give those of its operands. Affine ops transpose;
products are taken at the midpoint, which is the Shapley split of two factors and exact for every
polynomial of degree two; elementwise functions use their secant. [1]_ [2]_

References
----------
.. [1] A. Shrikumar, P. Greenside, A. Kundaje, "Learning Important Features Through Propagating
   Activation Differences", ICML 2017, sections 3.3 (multipliers), 3.5.1 (linear), 3.5.2 (rescale).
.. [2] S. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017,
   section 4.2 (Deep SHAP: composing Shapley values of components).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai.propagation.multipliers import order_statistics, ordered, reductions
from pyxai.propagation.multipliers.complex_values import ComplexRules
from pyxai.propagation.multipliers.infinities import cut
from pyxai.propagation.multipliers.secant import elementwise_secant, eps_of, pair
from pyxai.tracing import AFFINE, BILINEAR, LINEAR_MAPS, STRUCTURAL, Call, Node, is_affine
from pyxai.tracing.nodes import op_names
from pyxai.tracing.vjp import reduce_to

__all__ = ["ELEMENTWISE", "RESCALE", "affine", "elementwise", "product"]

ELEMENTWISE = op_names(
    """_prelu_kernel abs acos acosh asin asinh atan atanh bitwise_not bucketize ceil celu clamp
    clamp_max clamp_min cos cosh digamma elu erf erfc erfinv exp exp2 expm1 floor frac gelu
    hardshrink hardsigmoid hardswish hardtanh i0 leaky_relu lgamma log log10 log1p log2
    log_sigmoid_forward logical_not logit mish nan_to_num polygamma reciprocal relu relu6 round
    rsqrt searchsorted selu sgn sigmoid sign silu sin sinc sinh softplus softshrink special_entr
    special_erfcx special_i0e special_i1 special_i1e special_log_ndtr special_ndtri sqrt tan tanh
    threshold trunc"""
)
# Functions of two tensors, element by element; with one of them constant they are as above.
BINARY = op_names(
    """atan2 bitwise_and bitwise_or bitwise_xor copysign div eq floor_divide fmax fmin fmod ge gt
    heaviside hypot igamma igammac ldexp le logaddexp logaddexp2 logical_and logical_or logical_xor
    lt maximum minimum ne pow remainder special_xlog1py special_zeta xlogy"""
)
# What a normalisation divides by, and what is done to it before.
_ROOTS = op_names("sqrt std linalg_vector_norm")
_SCALED = op_names("mul div")
_SHIFTED = _SCALED | op_names("add clamp clamp_min maximum")
# Values that a gradient does not flow through and that must agree between input and baseline.
FIXED = op_names("argmax argmin argsort isinf isnan isfinite")
# Arguments that say which elements are taken.
SELECTORS = op_names("condition index indices mask")


def gradient(call: Call, multiplier: Any) -> dict[str, Any]:
    """Differentiate an op that has no rule, at the input."""
    return call.vjp(multiplier)


RESCALE = ComplexRules("DeepLIFT", fallback=gradient)
RESCALE.add(reductions.softmax, ("_softmax", "_safe_softmax"))
RESCALE.add(reductions.log_softmax, ("_log_softmax",))
RESCALE.add(reductions.logsumexp, ("logsumexp",))
RESCALE.add(reductions.layer_norm, ("layer_norm", "rms_norm"))
RESCALE.add(reductions.group_norm, ("group_norm", "instance_norm"))
RESCALE.add(reductions.vector_norm, ("linalg_vector_norm",))
RESCALE.add(reductions.deviation, ("std",))
RESCALE.add(reductions.power_sum, ("prod", "cumprod"))
RESCALE.add(ordered.max_pool, ordered.POOLS)
RESCALE.add(ordered.extremum, ordered.EXTREMA)
RESCALE.add(order_statistics.ranked, order_statistics.RANKED)
RESCALE.add(order_statistics.scattered_extremum, ("scatter_reduce",))
RESCALE.add(reductions.logcumsumexp, ("logcumsumexp",))


@RESCALE.register(*AFFINE, *LINEAR_MAPS)
def affine(call: Call, multiplier: Any) -> dict[str, Any]:
    """Transpose an affine op: its own contributions are ``W (h - h_b)``."""
    if is_affine(call.node):
        return call.transpose(multiplier)
    if order_statistics.is_taken_by_rank(call.node):
        return order_statistics.taken_by_rank(call, multiplier)
    names = call.dependents()
    selectors = [name for name in names if name in SELECTORS]
    if call.node.op in STRUCTURAL and all(_same(call.get(n, 0), call.get(n, 1)) for n in selectors):
        rest = [name for name in names if name not in selectors]
        return {**dict.fromkeys(selectors), **call.vjp(multiplier, wrt=rest)}
    differs = " and differ between input and baseline" if selectors else ""
    raise UnsupportedOperationError(
        f"DeepLIFT has no rule for {call.node.op} whose arguments {list(names)} depend on the "
        f"inputs{differs}, at {call.node.where}"
    )


def _same(first: Any, second: Any) -> bool:
    """Whether two selectors, or lists of them, are equal."""
    if isinstance(first, (list, tuple)):
        return all(_same(*both) for both in zip(first, second, strict=True))
    return first is None or torch.equal(first, second)


@RESCALE.register("_to_copy", "to")
def cast(call: Call, multiplier: Tensor) -> dict[str, Any]:
    """Pass through a change of dtype; to whole numbers it is a step function."""
    dtype = call.node.args.get("dtype")
    if dtype is None or dtype.is_floating_point:
        return call.transpose(multiplier)
    slope = elementwise_secant(call, "self", multiplier.dtype, eps_of(call))
    return {"self": multiplier * slope}


@RESCALE.register(*BILINEAR, "lerp", "square", "var")
def product(call: Call, multiplier: Tensor) -> dict[str, Any]:
    """Split the change of a product: half to each factor at the mean of the other one.

    ``x y - x_b y_b = (x - x_b)(y + y_b)/2 + (y - y_b)(x + x_b)/2``: the gradient at the midpoint,
    which completes every polynomial of degree two.
    """
    if is_affine(call.node):
        return call.transpose(multiplier)
    names = call.dependents()
    ends = {name: pair(call, name, multiplier.dtype) for name in names}
    if call.node.op == "mul" and len(names) == 2:
        for name, other in (names, names[::-1]):
            if _is_inverse_deviation(call.node.args[other]):
                slopes = scaled(*ends[name], *ends[other])
                return _reduced(call, multiplier, dict(zip((name, other), slopes, strict=True)))
    middle: dict[str, Any] = {name: (x + b) / 2 for name, (x, b) in ends.items()}
    return call.vjp(multiplier, **middle)


def _below(node: Node, ops: frozenset[str]) -> Node:
    """Look through ops of one moving operand: what is changed in form only, or by constants."""
    while node.op in ops or node.op in STRUCTURAL:
        moving = [operand for operand in node.operands() if operand.depends]
        if len(moving) != 1:
            break
        node = moving[0]
    return node


def _is_deviation(node: Node) -> bool:
    """Whether a value is a root of squares, as what a normalisation divides by."""
    root = _below(node, _SHIFTED)
    return root.op in _ROOTS or (root.op == "pow" and root.args["exponent"] == 0.5)


def _is_inverse_deviation(node: Node) -> bool:
    inverse = _below(node, _SCALED)
    if inverse.op == "reciprocal":
        return _is_deviation(inverse.args["self"])
    return inverse.op == "rsqrt" or (inverse.op == "pow" and inverse.args["exponent"] == -0.5)


def _reduced(call: Call, multiplier: Tensor, slopes: dict[str, Tensor]) -> dict[str, Any]:
    return {name: reduce_to(multiplier * s, call.shape(name)) for name, s in slopes.items()}


def divided(x: Tensor, b: Tensor, s_x: Tensor, s_b: Tensor) -> tuple[Tensor, Tensor]:
    """Split the change of ``y = x / s`` by ``dx = s_mean dy + y_mean ds``, solved for ``dy``.

    For a deviation ``s``. Bounded also where it is nearly 0 at one end, without variance; the mean
    of the two inverses, which the Shapley split takes, is not. Without a common sign it is that.
    """
    alike, mean = s_x * s_b > 0, (s_x + s_b) / 2
    of_x = torch.where(alike, 1 / mean, (1 / s_x + 1 / s_b) / 2)
    of_s = torch.where(alike, -(x / s_x + b / s_b) / 2 / mean, -(x + b) / 2 / (s_x * s_b))
    return of_x, of_s


def scaled(x: Tensor, b: Tensor, r_x: Tensor, r_b: Tensor) -> tuple[Tensor, Tensor]:
    """Split the change of ``y = x r``, ``r`` the inverse of a deviation, as `divided` does."""
    alike, total = r_x * r_b > 0, r_x + r_b
    of_x = torch.where(alike, 2 * r_x * (r_b / total), total / 2)
    of_r = torch.where(alike, (x * r_x + b * r_b) / total, (x + b) / 2)
    return of_x, of_r


@RESCALE.register(*ELEMENTWISE)
def elementwise(call: Call, multiplier: Any) -> dict[str, Any]:
    """Scale by the secant of the function, by its derivative where nothing moves."""
    given: Tensor = multiplier[0] if isinstance(multiplier, list) else multiplier
    name = call.sole()
    slope = elementwise_secant(call, name, given.dtype, eps_of(call))
    return {name: reduce_to(given * slope, call.shape(name))}


@RESCALE.register(*BINARY)
def binary(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """Shapley split of a function of two moving operands; the secant if one moves."""
    if is_affine(call.node):
        return call.transpose(multiplier)
    names = call.dependents()
    if call.node.op == "div" and len(names) == 2 and _is_deviation(call.node.args["other"]):
        ends = (end for name in ("self", "other") for end in pair(call, name, multiplier.dtype))
        slopes = divided(*ends)
        return _reduced(call, multiplier, dict(zip(("self", "other"), slopes, strict=True)))
    result = {}
    for name in names:
        rest = [other for other in names if other != name]
        if not rest:
            slope = elementwise_secant(call, name, multiplier.dtype, eps_of(call))
        else:
            there, back = pair(call, rest[0], multiplier.dtype)
            slope = (
                elementwise_secant(call, name, multiplier.dtype, eps_of(call), {rest[0]: there})
                + elementwise_secant(call, name, multiplier.dtype, eps_of(call), {rest[0]: back})
            ) / 2
        result[name] = reduce_to(multiplier * slope, call.shape(name))
    return result


@RESCALE.register("any", "all")
def truth(call: Call, multiplier: Tensor) -> dict[str, Any]:
    """Take the largest of truth values, or the smallest."""
    if call["self"].dtype != torch.bool:
        still: dict[str, Any] = fixed(call, multiplier)
        return still
    return ordered.extremum(call, multiplier)


@RESCALE.register("index_put")
def put(call: Call, multiplier: Tensor) -> dict[str, Any]:
    """Read ``h[mask] = v`` as a choice between both, if ``v`` is one number or does not move."""
    places = call.get("indices")
    masks = [place for place, index in enumerate(places) if index is not None]
    one = len(masks) == 1 and places[masks[0]].dtype == torch.bool and not call["accumulate"]
    if not (call.depends("indices") and one and call["values"].numel() == 1):
        plain: dict[str, Any] = affine(call, multiplier)
        return plain
    shape, dtype = call.shape("self"), multiplier.dtype
    ends = []
    for run in (0, 1):
        mask = call.get("indices", run)[masks[0]]
        after = len(shape) - masks[0] - mask.dim()
        ends.append(mask.reshape(*[1] * masks[0], *mask.shape, *[1] * after).to(dtype))
    values = {name: list(pair(call, name, dtype)) for name in ("values", "self")}
    found = _chosen(call, multiplier, (ends[0], ends[1]), values)
    result = {n: reduce_to(found[n], call.shape(n)) for n in values if call.depends(n)}
    each: list[Tensor | None] = [None] * len(places)
    each[masks[0]] = reduce_to(found["selector"], ends[0].shape).reshape(places[masks[0]].shape)
    return {**result, "indices": each}


def _chosen(
    call: Call,
    multiplier: Tensor,
    selected: tuple[Tensor, Tensor],
    values: Mapping[str, Sequence[Tensor]],
) -> dict[str, Tensor]:
    """Return multipliers of ``c x + (1 - c) y``, of what is chosen, the other, and ``c``."""
    share = (selected[0] + selected[1]) / 2
    chosen, other = values
    means = []
    for ends in values.values():
        ends = cut(ends) if call.options.get("cut") else ends
        means.append((ends[0] + ends[1]) / 2)
    # A condition that does not change contributes nothing, even between infinite branches.
    still = selected[0] == selected[1]
    jump = torch.where(still, torch.zeros_like(multiplier), means[0] - means[1])
    parts = {chosen: share, other: 1 - share, "selector": jump}
    return {name: multiplier * slope for name, slope in parts.items()}


@RESCALE.register("where", "masked_fill")
def choice(call: Call, multiplier: Tensor) -> dict[str, Any]:
    """Read ``where(c, x, y)`` as ``c x + (1 - c) y`` with ``c`` in {0, 1}."""
    if is_affine(call.node):
        return call.transpose(multiplier)
    selector = "condition" if call.node.op == "where" else "mask"
    chosen, other = ("self", "other") if selector == "condition" else ("value", "self")
    selected = pair(call, selector, multiplier.dtype)
    values = {
        name: [torch.as_tensor(call.get(name, run)).to(selected[0]) for run in (0, 1)]
        for name in (chosen, other)
    }
    found = _chosen(call, multiplier, selected, values)
    found[selector] = found.pop("selector")
    return {name: reduce_to(found[name], call.shape(name)) for name in call.dependents()}


@RESCALE.register(*FIXED)
def fixed(call: Call, multiplier: Any) -> dict[str, Any]:
    """Pass over a value that has no derivative, as long as it is the same for the baseline."""
    if not torch.equal(call.output(0), call.output(1)):
        raise UnsupportedOperationError(
            f"DeepLIFT has no rule for {call.node.op} whose value differs between input and "
            f"baseline, at {call.node.where}"
        )
    name = call.sole()
    return {name: multiplier.new_zeros(()).expand(call.shape(name))}
