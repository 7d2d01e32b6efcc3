"""Which ops a traced model is made of: torch's core set, and composites that have own rules."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["decompositions"]

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
