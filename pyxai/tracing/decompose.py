"""Which ops a traced model is made of: torch's core set, and composites that have own rules."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["decompositions"]

_aten = torch.ops.aten

# Ops that the default table would take apart. As a whole they have closed-form rules: an
# activation is one secant, a norm or a softmax one exact split, an affine map one product.
_KEPT = (
    "_safe_softmax",
    "_prelu_kernel",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "baddbmm",
    "celu",
    "clamp_max",
    "clamp_min",
    "col2im",
    "elu",
    "frac",
    "gelu",
    "group_norm",
    "gru.input",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "im2col",
    "instance_norm",
    "layer_norm",
    "leaky_relu",
    "lerp",
    "linear",
    "log_sigmoid_forward",
    "logit",
    "logsumexp",
    "lstm.input",
    "masked_fill",
    "matmul",
    "mish",
    "pixel_shuffle",
    "pixel_unshuffle",
    "reflection_pad1d",
    "reflection_pad2d",
    "reflection_pad3d",
    "relu6",
    "replication_pad1d",
    "replication_pad2d",
    "replication_pad3d",
    "rms_norm",
    "rnn_relu.input",
    "rnn_tanh.input",
    "roll",
    "rsub",
    "select_scatter",
    "selu",
    "silu",
    "sinc",
    "slice_scatter",
    "softplus",
    "softshrink",
    "split",
    "split_with_sizes",
    "square",
    "stack",
    "std",
    "threshold",
    "tril",
    "triu",
    "unbind",
    "upsample_bicubic2d",
    "upsample_bilinear2d",
    "upsample_linear1d",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_nearest3d",
    "upsample_trilinear3d",
    "var",
)


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Return the table for ``ExportedProgram.run_decompositions``, which may change its copy."""
    return dict(_table())


@functools.cache
def _table() -> dict[Any, Callable[..., Any]]:
    table: dict[Any, Callable[..., Any]] = {}
    table.update(torch.export.default_decompositions())
    for name in _KEPT:
        packet_name, _, overload = name.partition(".")
        packet = getattr(torch.ops.aten, packet_name, None)
        if packet is None:
            continue
        for each in [overload] if overload else packet.overloads():
            table.pop(getattr(packet, each), None)
    table[torch.ops.aten.scaled_dot_product_attention.default] = _attention
    table[torch.ops.aten.rrelu_with_noise_functional.default] = _rrelu
    table.update(_SPELLED_OUT)
    return table


def _rrelu(
    value: Tensor,
    noise: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: torch.Generator | None = None,
) -> Any:
    """Spell out the leaky ReLU that a randomized one is in eval mode."""
    if training:
        return NotImplemented  # the op stays
    return torch.nn.functional.leaky_relu(value, (lower + upper) / 2), noise


def _attention(
    query: Tensor,  # [..., heads, n_queries, width]
    key: Tensor,  # [..., heads, n_keys, width]
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Spell out attention as the products and the softmax that have rules."""
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    scores = torch.matmul(query * factor, key.transpose(-2, -1))
    if is_causal:
        shape = (query.size(-2), key.size(-2))
        attn_mask = torch.ones(shape, dtype=torch.bool, device=query.device).tril()
    if attn_mask is None:
        weights = torch.softmax(scores, -1)
    else:
        if attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(attn_mask.logical_not(), -math.inf)
        else:
            scores = scores + attn_mask
        # Rows without any key give 0, as the fused kernels do, instead of NaN.
        weights = torch.ops.aten._safe_softmax(scores, -1)
    if dropout_p > 0.0:
        weights = torch.dropout(weights, dropout_p, train=True)
    return torch.matmul(weights, value)


def _clamp(value: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    raised = value if low is None else torch.maximum(value, low)
    return raised if high is None else torch.minimum(raised, high)


def _distances(first: Tensor, second: Tensor, order: float, mode: int | None) -> Tensor:
    """Take norms of differences, of all pairs of rows."""
    steps = first.unsqueeze(-2) - second.unsqueeze(-3)
    norms: Tensor = torch.linalg.vector_norm(steps, order, dim=-1)
    return norms


def _norm(
    value: Tensor,
    order: float = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Any:
    """Take the largest or smallest absolute value, or count; other orders stay."""
    if order not in (0, math.inf, -math.inf):
        return NotImplemented
    value = value if dtype is None else value.to(dtype)
    if order == 0:
        return (value != 0).to(value.dtype).sum(dim or None, keepdim)
    dims = dim or list(range(value.dim()))
    best = torch.amax if order > 0 else torch.amin
    return best(value.abs(), dims, keepdim)


def _angle(value: Tensor) -> Any:
    return torch.atan2(value.imag, value.real) if value.is_complex() else NotImplemented


def _polar(size: Tensor, angle: Tensor) -> Tensor:
    return torch.complex(size * angle.cos(), size * angle.sin())


def _variance_and_mean(
    value: Tensor, dim: Any = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    variance = torch.var(value, dim, correction=correction, keepdim=keepdim)
    return variance, torch.mean(value, dim, keepdim=keepdim)


def _scattered(
    value: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Any:
    """Add up, and divide by how many there are; other reductions stay."""
    if reduce not in ("sum", "mean"):
        return NotImplemented
    start = value
    if not include_self:
        start = value.scatter(dim, index, torch.zeros_like(source))
    total = start.scatter_add(dim, index, source)
    if reduce == "sum":
        return total
    ones = torch.ones_like(source)
    count = torch.ones_like(value) if include_self else torch.zeros_like(value)
    count = count.scatter_add(dim, index, ones)
    return total / count.clamp(min=1)


_SPELLED_OUT: dict[Any, Callable[..., Any]] = {
    _aten.angle.default: _angle,
    _aten._cdist_forward.default: _distances,
    _aten.clamp.Tensor: _clamp,
    _aten.linalg_vector_norm.default: _norm,
    _aten.polar.default: _polar,
    _aten.scatter_reduce.two: _scattered,
    _aten.var_mean.correction: _variance_and_mean,
}
