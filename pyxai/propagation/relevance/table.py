"""Relevance rules for every op of a traced graph.

Linear ops follow the rule that the user chose; sums, pools and norms the epsilon rule; elementwise
functions pass relevance on; a product with a gate gives it all to the signal.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai.propagation.multipliers import ordered
from pyxai.propagation.multipliers.rescale import ELEMENTWISE
from pyxai.propagation.relevance.rules import EpsilonRule, LinearOp, stabilized_divide
from pyxai.tracing import (
    AFFINE,
    BILINEAR,
    STRUCTURAL,
    Call,
    Node,
    RuleTable,
    is_affine,
    is_nonnegative,
)
from pyxai.tracing.nodes import op_names
from pyxai.tracing.vjp import batch_norm_scale, reduce_to

__all__ = ["LINEAR", "RELEVANCE", "gradient", "is_linear_layer"]

# Ops whose weights a rule may look at one by one.
LINEAR = op_names("addmm baddbmm bmm convolution linear matmul mm mv")
NORMS = op_names("group_norm instance_norm layer_norm rms_norm")
# Answers yes or no; softshrink and hardshrink are made of them.
COMPARISONS = op_names("eq ge gt le lt ne")
# What makes a factor of a product a gate, after ops that only move values around.
GATES = op_names("_softmax _safe_softmax hardsigmoid sigmoid") | COMPARISONS
_WINNERS = op_names("fmax fmin maximum minimum")


def gradient(call: Call, relevance: Any) -> dict[str, Any]:
    """Differentiate an op."""
    return call.vjp(relevance)


RELEVANCE = RuleTable("LRP", fallback=gradient)


class Folded(NamedTuple):
    """Relevance of a batch norm's output, for the linear op before it to share as one layer."""

    relevance: Tensor
    scale: Tensor
    shift: Tensor


@RELEVANCE.register(*STRUCTURAL)
def structural(call: Call, relevance: Any) -> dict[str, Any]:
    """Carry relevance back to where the values came from."""
    if call.node.op == "where" and call.depends("condition"):
        return _but_the_selector(call, relevance, "condition")
    if call.node.op == "masked_fill" and call.depends("mask"):
        return _but_the_selector(call, relevance, "mask")
    found: dict[str, Any] = call.transpose(relevance)
    return found


def _but_the_selector(call: Call, relevance: Tensor, selector: str) -> dict[str, Any]:
    names = [name for name in call.dependents() if name != selector]
    return {**call.vjp(relevance, wrt=names), selector: None}


@RELEVANCE.register(
    *ELEMENTWISE, *COMPARISONS, "_to_copy", "to", "square", "pow", "remainder", "fmod"
)
def elementwise(call: Call, relevance: Any) -> dict[str, Any]:
    """Pass relevance through a function of single values."""
    given: Tensor = relevance[0] if isinstance(relevance, list) else relevance
    name = call.sole()
    return {name: reduce_to(given, call.shape(name))}


@RELEVANCE.register(*(AFFINE - STRUCTURAL), "div")
def affine(call: Call, relevance: Any) -> dict[str, Any]:
    """Share by contribution to the sum: ``h J' (R / (z + epsilon sign(z)))``."""
    if call.node.op == "div" and not is_affine(call.node):
        return _quotient(call, relevance)
    if not is_affine(call.node):
        raise UnsupportedOperationError(
            f"LRP has no rule for {call.node.op} whose arguments {list(call.dependents())} "
            f"depend on the inputs, at {call.node.where}"
        )
    if call.node.op == "_native_batch_norm_legit_no_training":
        folded = _fold(call, relevance[0])
        if folded is not None:
            return {"input": folded}
    return _by_contribution(call, relevance)


def _by_contribution(call: Call, relevance: Any) -> dict[str, Any]:
    output = call.output()
    several = isinstance(relevance, list)
    given = relevance[0] if several else relevance
    value = output[0] if isinstance(output, (list, tuple)) else output
    s = stabilized_divide(given, value.to(given.dtype), _epsilon(call))
    parts = call.transpose([s] if several else s)
    return {name: parts[name] * call[name].to(given.dtype) for name in call.dependents()}


def _quotient(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Read a division as a scaling of the numerator, as in a normalisation."""
    if not call.depends("self"):
        return {"other": reduce_to(relevance, call.shape("other"))}
    return {"self": reduce_to(relevance, call.shape("self")), "other": None}


def is_linear_layer(node: Node) -> bool:
    """Whether a user's rule applies to an op: linear in one operand, with weights."""
    return node.op in LINEAR and is_affine(node) and _operand(node) is not None


def _operand(node: Node) -> str | None:
    """Name of the operand that is not the weight or the bias."""
    addend = "self" if node.op in {"addmm", "baddbmm"} else "bias"
    names = [name for name in node.dependents() if name != addend]
    return names[0] if len(names) == 1 and addend not in node.dependents() else None


@RELEVANCE.register(*LINEAR)
def linear(call: Call, relevance: Any) -> dict[str, Any]:
    """Apply the rule that was chosen for this layer."""
    if not is_affine(call.node):
        shared: dict[str, Any] = product(call, relevance)
        return shared
    name = _operand(call.node)
    if name is None:
        return _by_contribution(call, relevance)
    scale = shift = None
    if isinstance(relevance, Folded):
        relevance, scale, shift = relevance
    op = _linear_op(call, name, relevance.dtype, scale, shift)
    rule = call.options["rule_of"](call.node)
    return {name: rule.propagate(op, relevance)}


def _linear_op(
    call: Call, name: str, dtype: torch.dtype, scale: Tensor | None, shift: Tensor | None
) -> LinearOp:
    weight_name, bias_name = _weight_and_bias(call.node, name)
    h, weight = call[name].to(dtype), call[weight_name].to(dtype)
    bias = call.get(bias_name) if bias_name in call.node.args else None
    bias = None if bias is None else _bias(call, bias.to(dtype))
    nothing: dict[str, Any] = {}
    if bias_name in call.node.args:
        # addmm needs an addend, a convolution none.
        nothing[bias_name] = h.new_zeros(1) if bias_name == "self" else None

    size: Tensor | float = 1.0
    if scale is not None and shift is not None:
        # The sign of the scale belongs to the weight, whose signs the rules read.
        weight = weight * _per_output(call, scale.sign(), weight)
        size = scale.abs()
        bias = shift if bias is None else bias * scale + shift

    def forward(w: Tensor, value: Tensor) -> Tensor:
        z: Tensor = call.apply(**{name: value, weight_name: w, **nothing})
        scaled: Tensor = z * size
        return scaled

    def backward(w: Tensor, s: Tensor) -> Tensor:
        replaced = {name: h, weight_name: w, **nothing}
        found: Tensor = call.vjp(s * size, wrt=(name,), **replaced)[name]
        return found

    return LinearOp(h, weight, bias, forward, backward, is_nonnegative(call.node.args[name]))


def _weight_and_bias(node: Node, operand: str) -> tuple[str, str]:
    if node.op in {"addmm", "baddbmm"}:
        names = [name for name in list(node.args)[1:3] if name != operand]
        return names[0], "self"
    if node.op in {"linear", "convolution"}:
        return ("weight" if operand == "input" else "input"), "bias"
    return next(name for name in list(node.args)[:2] if name != operand), "bias"


def _bias(call: Call, bias: Tensor) -> Tensor:
    if call.node.op in {"addmm", "baddbmm"}:
        scaled: Tensor = bias * call["beta"]
        return scaled
    if call.node.op == "convolution":
        return bias.reshape(1, -1, *[1] * (len(call.output_shape()) - 2))
    return bias


def _per_output(call: Call, scale: Tensor, weight: Tensor) -> Tensor:
    """Bring one factor per output channel to a shape that broadcasts over the weight."""
    flat = scale.reshape(-1)
    if call.node.op == "convolution":
        if call["transposed"]:
            groups = call["groups"]
            inputs, outputs = weight.shape[0], weight.shape[1]
            per_group = flat.reshape(groups, 1, outputs).expand(groups, inputs // groups, outputs)
            return per_group.reshape(inputs, outputs, *[1] * (weight.dim() - 2))
        return flat.reshape(-1, *[1] * (weight.dim() - 1))
    return flat.reshape(-1, 1) if call.node.op == "linear" else flat.reshape(1, -1)


def _fold(call: Call, relevance: Tensor) -> Folded | None:
    """Hand a batch norm over to the linear op before it, if nothing else reads that op."""
    source = call.node.args["input"]
    if not isinstance(source, Node) or source.kind != "call" or len(source.users) != 1:
        return None
    if not is_linear_layer(source) or source.op not in {"convolution", "linear", "addmm"}:
        return None
    if isinstance(call.options["rule_of"](source), EpsilonRule):
        return None  # two epsilon steps are one, exactly
    dtype = relevance.dtype
    scale = batch_norm_scale(call, dtype)
    mean = call["running_mean"].to(dtype).reshape(scale.shape)
    shift = -mean * scale
    if call["bias"] is not None:
        shift = shift + call["bias"].to(dtype).reshape(scale.shape)
    return Folded(relevance, scale, shift)


@RELEVANCE.register(*(BILINEAR - LINEAR), "lerp")
def product(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Share a product: all to the signal if the other factor is a gate, else half to each."""
    if is_affine(call.node):
        return _by_contribution(call, relevance)
    names = call.dependents()
    signals = [name for name in names if not _is_gate(call.node.args[name])] or list(names)
    z = call.output().to(relevance.dtype)
    s = stabilized_divide(relevance, z, _epsilon(call)) / len(signals)
    parts = call.vjp(s, wrt=signals)
    result: dict[str, Any] = dict.fromkeys(names)
    for name in signals:
        result[name] = parts[name] * call[name].to(relevance.dtype)
    return result


def _is_gate(node: Any) -> bool:
    while isinstance(node, Node) and node.kind == "call":
        if node.op in GATES:
            return True
        if node.op not in STRUCTURAL:
            return False
        sources = [operand for operand in node.operands() if operand.depends]
        node = sources[0] if len(sources) == 1 else None
    return False


@RELEVANCE.register(*NORMS)
def norm(call: Call, relevance: Any) -> dict[str, Any]:
    """Read a normalisation as linear, with its standard deviation held fixed.

    References
    ----------
    .. [1] A. Ali et al., "XAI for Transformers: Better Explanations through Conservative
       Propagation", ICML 2022, section 3.3.
    """
    name = call.sole()
    given: Tensor = relevance[0] if isinstance(relevance, list) else relevance
    h = call[name].detach().to(given.dtype)
    z = call.output()
    z = (z[0] if isinstance(z, (list, tuple)) else z).to(given.dtype)
    s = stabilized_divide(given, z, _epsilon(call))
    return {name: h * _frozen_norm(call, name, h, s)}


def _frozen_norm(call: Call, name: str, h: Tensor, s: Tensor) -> Tensor:
    """Return ``J' s`` of a norm whose deviation does not follow the input."""
    options = {key: value for key, value in call.arguments().items() if key != name}
    eps = options.get("eps")
    eps = torch.finfo(h.dtype).eps if eps is None else eps
    weight = options.get("weight")
    if call.node.op in {"layer_norm", "rms_norm"}:
        axes = tuple(range(h.dim() - len(options["normalized_shape"]), h.dim()))
        grouped, scaled = h, s if weight is None else s * weight.to(s)
    else:
        shape = h.shape
        groups = options["num_groups"] if call.node.op == "group_norm" else shape[1]
        grouped = h.reshape(shape[0], groups, -1)
        factor = 1 if weight is None else weight.to(s).reshape(1, -1, *[1] * (h.dim() - 2))
        scaled = (s * factor).reshape(grouped.shape)
        axes = (2,)
    centred = call.node.op != "rms_norm"
    middle = grouped.mean(axes, keepdim=True) if centred else torch.zeros_like(grouped)
    inverse = ((grouped - middle).square().mean(axes, keepdim=True) + eps).rsqrt()
    scaled = scaled * inverse
    if centred:
        scaled = scaled - scaled.mean(axes, keepdim=True)
    frozen: Tensor = scaled.reshape(h.shape)
    return frozen


@RELEVANCE.register("_softmax", "_safe_softmax", "_log_softmax", "logsumexp")
def softmax(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Share by the first-order terms of the function at its input.

    Where softmax is a gate nothing arrives here; at the end of a classifier something does.

    References
    ----------
    .. [1] R. Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for
       Transformers", ICML 2024, proposition 3.1.
    """
    z = call.output().to(relevance.dtype)
    s = stabilized_divide(relevance, z, _epsilon(call))
    return {"self": call.vjp(s)["self"] * call["self"].to(relevance.dtype)}


@RELEVANCE.register(*ordered.POOLS, *ordered.EXTREMA, *_WINNERS)
def winner(call: Call, relevance: Any) -> dict[str, Any]:
    """Give all to the element that was taken."""
    return call.vjp(relevance)


def _epsilon(call: Call) -> float:
    epsilon: float = call.options["epsilon"]
    return epsilon
