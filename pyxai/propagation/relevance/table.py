"""Relevance rules for every op of a traced graph.

Linear ops follow the rule that the user chose; sums, pools and norms the epsilon rule; elementwise
functions pass relevance on; a product with a gate gives it all to the signal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai.propagation.multipliers import ordered
from pyxai.propagation.multipliers.rescale import ELEMENTWISE
from pyxai.propagation.relevance.layers import LINEAR, Folded, folded, moved, operand_of, share
from pyxai.propagation.relevance.rules import stabilized_divide
from pyxai.tracing import (
    AFFINE,
    BILINEAR,
    STRUCTURAL,
    Call,
    Node,
    RuleTable,
    is_affine,
)
from pyxai.tracing.nodes import op_names
from pyxai.tracing.vjp import batch_norm_scale, reduce_to

__all__ = ["RELEVANCE", "gradient"]

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


@RELEVANCE.register(*STRUCTURAL)
def structural(call: Call, relevance: Any) -> dict[str, Any]:
    """Carry relevance back to where the values came from."""
    if isinstance(relevance, Folded):
        return {"self": moved(call, relevance)}
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
        return batch_norm(call, relevance[0])
    return _by_contribution(call, relevance)


def batch_norm(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Leave it to the layer before, or share by contribution to one affine map a channel."""
    given = folded(call, relevance)
    if given is not None:
        return {"input": given}
    h = call["input"].to(relevance.dtype)
    slope = batch_norm_scale(call, relevance.dtype)
    z = _value(call).to(relevance.dtype)
    return {"input": _times(h, slope * stabilized_divide(relevance, z, _epsilon(call)))}


def _by_contribution(call: Call, relevance: Any) -> dict[str, Any]:
    s = stabilized_divide(relevance, _value(call).to(relevance.dtype), _epsilon(call))
    parts = call.transpose(s)
    return {name: _times(call[name].to(s.dtype), parts[name]) for name in call.dependents()}


def _value(call: Call) -> Tensor:
    """Return the first value of an op."""
    output = call.output()
    first: Tensor = output[0] if isinstance(output, (list, tuple)) else output
    return first


def _times(h: Tensor, slope: Tensor) -> Tensor:
    """Multiply values with slopes; what an infinite one, a mask, cannot change is not its doing."""
    return (h * slope).masked_fill_(slope == 0, 0.0)


def _quotient(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Read a division as a scaling of the numerator, as in a normalisation."""
    if not call.depends("self"):
        return {"other": reduce_to(relevance, call.shape("other"))}
    return {"self": reduce_to(relevance, call.shape("self")), "other": None}


@RELEVANCE.register(*LINEAR)
def linear(call: Call, relevance: Any) -> dict[str, Any]:
    """Apply the rule that was chosen for this layer."""
    if not is_affine(call.node):
        shared: dict[str, Any] = product(call, relevance)
        return shared
    name = operand_of(call.node)
    if name is None:
        return _by_contribution(call, relevance)
    return {name: share(call, name, relevance, call.options["rule_of"](call.node))}


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
        result[name] = _times(call[name].to(relevance.dtype), parts[name])
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
    if call.node.op == "instance_norm" and not call["use_input_stats"]:
        return batch_norm(call, given)
    h = call[name].detach().to(given.dtype)
    s = stabilized_divide(given, _value(call).to(given.dtype), _epsilon(call))
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
    return {"self": _times(call["self"].to(relevance.dtype), call.vjp(s)["self"])}


@RELEVANCE.register(*ordered.POOLS, *ordered.EXTREMA, *_WINNERS)
def winner(call: Call, relevance: Any) -> dict[str, Any]:
    """Give all to the element that was taken."""
    return call.vjp(relevance)


def _epsilon(call: Call) -> float:
    epsilon: float = call.options["epsilon"]
    return epsilon
