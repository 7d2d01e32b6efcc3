"""Rules for normalisations: linear with the statistics of the total, then a weight and a bias."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai.propagation.decomposed.affine import Form, finish
from pyxai.propagation.decomposed.split import Judged, Value, refusal, split_of
from pyxai.tracing import Call

__all__ = ["NORMS", "norm"]

NORMS = ("group_norm", "instance_norm", "layer_norm", "rms_norm")


def norm(call: Call) -> Any:
    """Centre each part by its own mean, and divide by the standard deviation of the total."""
    split = split_of(call)
    if split.moving(call) != ("input",):
        raise refusal(call, call.dependents())
    node = call.node.args["input"]
    total = split.totals.lean(node)
    scale = _deviation(call, total)
    weight, bias = (_per_channel(call, name, total) for name in ("weight", "bias"))
    constant = bias
    running = _running(call)
    if running is not None:
        mean = -running.to(total).view(1, -1, *[1] * (total.dim() - 2)) * scale
        mean = mean if weight is None else mean * weight
        constant = mean if bias is None else bias + mean

    def linear(value: Value, *, lean: bool = False) -> Tensor:
        part = split.arguments(call, value)["input"]
        if running is None:
            part = _centred(call, part)
        found: Tensor = part * scale
        return found if weight is None else found * weight

    def terms() -> Tensor:
        found = total.abs()
        centred = running is None and call.node.op != "rms_norm"
        return found + _mean(call, found) if centred else found

    def size() -> Tensor:
        found = terms() * scale
        return found if weight is None else (found * weight).abs()

    def judged() -> Judged:
        return Judged(split.arguments(call, split.relevant)["input"], total, terms())

    before = split.policies.norm_bias == "before"
    return finish(call, Form(linear, constant, size, judged if before else None))


def _per_channel(call: Call, name: str, like: Tensor) -> Tensor | None:
    value = call.get(name) if name in call.node.args else None
    if value is None or call.node.op in ("layer_norm", "rms_norm"):
        return value
    found: Tensor = value.view(1, -1, *[1] * (like.dim() - 2))
    return found


def _running(call: Call) -> Tensor | None:
    """Return the running mean of an instance norm that uses it."""
    if call.node.op == "instance_norm" and not call["use_input_stats"]:
        found: Tensor = call["running_mean"]
        return found
    return None


def _grouped(call: Call, value: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Return a value with what is normalised together on its last axes, and these axes."""
    if call.node.op in ("layer_norm", "rms_norm"):
        return value, tuple(range(-len(call["normalized_shape"]), 0))
    groups = call["num_groups"] if call.node.op == "group_norm" else value.shape[1]
    return value.reshape(value.shape[0], groups, -1), (-1,)


def _centred(call: Call, value: Tensor) -> Tensor:
    if call.node.op == "rms_norm":
        return value
    return value - _mean(call, value)


def _mean(call: Call, value: Tensor) -> Tensor:
    """Return the mean of what is normalised together, shaped to broadcast over the value."""
    grouped, axes = _grouped(call, value)
    mean = grouped.mean(axes, keepdim=True)
    return mean if grouped.shape == value.shape else mean.expand(grouped.shape).reshape(value.shape)


def _deviation(call: Call, total: Tensor) -> Tensor:
    """Return one over the standard deviation of the total, shaped to broadcast over it."""
    eps = call["eps"]
    eps = torch.finfo(total.dtype).eps if eps is None else eps
    if _running(call) is not None:
        variance: Tensor = call["running_var"].to(total)
        return (variance + eps).rsqrt().view(1, -1, *[1] * (total.dim() - 2))
    grouped, axes = _grouped(call, _centred(call, total))
    scale = (grouped.square().mean(axes, keepdim=True) + eps).rsqrt()
    if grouped.shape == total.shape:
        return scale
    return scale.expand(grouped.shape).reshape(total.shape)
