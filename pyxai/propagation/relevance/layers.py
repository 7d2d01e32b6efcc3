"""Linear layers as the rules see them, a batch norm behind one folded into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai.propagation.relevance.rules import LinearOp, RelevanceRule
from pyxai.tracing import Call, Node, is_affine, is_nonnegative
from pyxai.tracing.nodes import op_names
from pyxai.tracing.vjp import batch_norm_scale

__all__ = ["LINEAR", "Folded", "folded", "is_linear_layer", "moved", "operand_of", "share"]

# Ops whose weights a rule may look at one by one.
LINEAR = op_names("addmm baddbmm bmm convolution linear matmul mm mv")
# What may stand between a layer and its batch norm: every element has one place on both sides.
_MOVES = op_names(
    """_unsafe_view alias clone contiguous detach flatten permute reshape squeeze t transpose
    unsqueeze view"""
)
_SAME = op_names("alias clone contiguous detach")
_ADDMM = op_names("addmm baddbmm")


class Folded(NamedTuple):
    """Relevance of a batch norm's output, for the linear op before it to share as one layer."""

    relevance: Tensor
    scale: Tensor
    """Broadcasts over the relevance, as the shift does."""
    shift: Tensor


def is_linear_layer(node: Node) -> bool:
    """Whether a user's rule applies to an op: linear in one operand, with weights."""
    return node.op in LINEAR and is_affine(node) and operand_of(node) is not None


def operand_of(node: Node) -> str | None:
    """Name of the operand that is not the weight or the bias."""
    addend = "self" if node.op in _ADDMM else "bias"
    names = [name for name in node.dependents() if name != addend]
    return names[0] if len(names) == 1 and addend not in node.dependents() else None


def folded(call: Call, relevance: Tensor) -> Folded | None:
    """Hand a batch norm over to the linear layer before it, if nothing else reads that layer."""
    node = call.node.args["input"]
    while _is_read_once(node) and node.op in _MOVES:
        node = node.args["self"]
    if not (_is_read_once(node) and is_linear_layer(node)):
        return None
    dtype = relevance.dtype
    scale = batch_norm_scale(call, dtype)
    shift = -call["running_mean"].to(dtype).reshape(scale.shape) * scale
    if call["bias"] is not None:
        shift = shift + call["bias"].to(dtype).reshape(scale.shape)
    return Folded(relevance, scale, shift)


def _is_read_once(node: Any) -> bool:
    return isinstance(node, Node) and node.kind == "call" and len(node.users) == 1


def moved(call: Call, given: Folded) -> Folded:
    """Carry a batch norm back over an op that only moves values."""
    if call.node.op in _SAME:
        return given
    shape = given.relevance.shape
    return Folded(*(call.transpose(part.expand(shape))["self"] for part in given))


def share(call: Call, name: str, relevance: Tensor | Folded, rule: RelevanceRule) -> Tensor:
    """Return the relevance of a linear layer's input by a rule."""
    if isinstance(relevance, Tensor):
        return rule.propagate(_linear_op(call, name, relevance.dtype), relevance)
    given, scale, shift = relevance
    op = _linear_op(call, name, given.dtype)
    bias = shift if op.bias is None else op.bias * scale + shift
    factors = _per_output(call, name, scale, op.weight)
    if factors is not None:
        return rule.propagate(replace(op, weight=op.weight * factors, bias=bias), given)
    # The scale is not one of the weight's outputs, and the rules read the signs of weights: the
    # outputs that it turns around are those of the opposite weights.
    found = torch.zeros_like(op.input)
    for sign in (1, -1):
        chosen = (scale < 0) if sign < 0 else (scale >= 0)
        size = torch.where(chosen, scale.abs(), 1.0)
        part = _resized(replace(op, weight=sign * op.weight, bias=bias), size)
        found += rule.propagate(part, torch.where(chosen, given, 0.0))
    return found


def _resized(op: LinearOp, size: Tensor) -> LinearOp:
    """Return an op whose outputs are multiplied with positive numbers."""

    def forward(w: Tensor, value: Tensor) -> Tensor:
        return op.forward(w, value) * size

    def backward(w: Tensor, s: Tensor) -> Tensor:
        return op.backward(w, s * size)

    return replace(op, forward=forward, backward=backward)


def _linear_op(call: Call, name: str, dtype: torch.dtype) -> LinearOp:
    weight_name, bias_name = _weight_and_bias(call.node, name)
    h, weight = call[name].to(dtype), call[weight_name].to(dtype)
    bias = call.get(bias_name) if bias_name in call.node.args else None
    bias = None if bias is None else _bias(call, bias.to(dtype))
    nothing: dict[str, Any] = {}
    if bias_name in call.node.args:
        # addmm needs an addend, a convolution none.
        nothing[bias_name] = h.new_zeros(1) if bias_name == "self" else None

    def forward(w: Tensor, value: Tensor) -> Tensor:
        z: Tensor = call.apply(**{name: value, weight_name: w, **nothing})
        return z

    def backward(w: Tensor, s: Tensor) -> Tensor:
        replaced = {name: h, weight_name: w, **nothing}
        found: Tensor = call.vjp(s, wrt=(name,), **replaced)[name]
        return found

    return LinearOp(h, weight, bias, forward, backward, is_nonnegative(call.node.args[name]))


def _weight_and_bias(node: Node, operand: str) -> tuple[str, str]:
    if node.op in _ADDMM:
        names = [name for name in list(node.args)[1:3] if name != operand]
        return names[0], "self"
    if node.op in {"linear", "convolution"}:
        return ("weight" if operand == "input" else "input"), "bias"
    return next(name for name in list(node.args)[:2] if name != operand), "bias"


def _bias(call: Call, bias: Tensor) -> Tensor:
    if call.node.op in _ADDMM:
        scaled: Tensor = bias * call["beta"]
        return scaled
    if call.node.op == "convolution":
        return bias.reshape(1, -1, *[1] * (len(call.output_shape()) - 2))
    return bias


def _per_output(call: Call, name: str, scale: Tensor, weight: Tensor) -> Tensor | None:
    """Return one factor per output of a weight, shaped to broadcast over it.

    None where the scale differs along another axis.
    """
    op, rank = call.node.op, len(call.output_shape())
    axis = 1 if op == "convolution" else rank - 1
    second = name == list(call.node.args)[1 if op in _ADDMM else 0]
    if (op != "convolution" and (not second or weight.dim() != 2)) or scale.dim() != rank:
        return None
    count = call.output_shape()[axis]
    if scale.numel() != scale.shape[axis]:
        return None
    flat = scale.reshape(-1).expand(count)
    if op != "convolution":
        return flat.reshape(-1, 1) if op == "linear" else flat
    if not call["transposed"]:
        return flat.reshape(-1, *[1] * (weight.dim() - 1))
    groups = call["groups"]
    inputs, outputs = weight.shape[0], weight.shape[1]
    per_group = flat.reshape(groups, 1, outputs).expand(groups, inputs // groups, outputs)
    return per_group.reshape(inputs, outputs, *[1] * (weight.dim() - 2))
