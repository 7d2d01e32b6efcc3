"""Closed, complete rules for softmax, norms and other functions of a whole axis.

Each is Rescale on the function's own steps (exp, sum, log; centre, square, mean, root, product),
composed by hand: no value of another row enters, and nothing is divided by a difference that may
be all rounding.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai._quadrature import legendre
from pyxai.propagation.multipliers.closed_secants import exp_secant
from pyxai.propagation.multipliers.secant import pair, secant, values_at
from pyxai.tracing import Call
from pyxai.tracing.vjp import reduce_to

__all__ = [
    "deviation",
    "group_norm",
    "layer_norm",
    "log_softmax",
    "logcumsumexp",
    "logsumexp",
    "power_sum",
    "softmax",
    "vector_norm",
]


def _dims(dim: Any, rank: int) -> list[int]:
    if dim is None or dim == []:
        return list(range(rank))
    return [axis % rank for axis in (dim if isinstance(dim, (list, tuple)) else [dim])]


class _LogSum(NamedTuple):
    """The logarithmic sum of centred scores at input and baseline."""

    ends: tuple[Tensor, Tensor]  # z: scores less their mean
    logs: tuple[Tensor, Tensor]  # L = log sum exp z
    weights: Tensor  # L_x - L_b = sum w (z_x - z_b)
    share: Tensor  # of each score in the mean

    def of_scores(self, found: Tensor, dims: list[int]) -> Tensor:
        """Return multipliers of the scores from those of the centred ones."""
        return found - self.share * found.sum(dims, keepdim=True)


def _log_sum(call: Call, name: str, dims: list[int], dtype: torch.dtype) -> _LogSum:
    """Centre the scores, and rescale their logarithmic sum.

    ``w_j`` is the secant of exp at ``z_j`` over the secant of exp at ``L``: the log of a sum,
    rescaled. All terms are shifted by the same constant per row, which cancels. Scores that grow
    together between baseline and input would otherwise multiply what rounding leaves of
    ``1 - sum w``; those that do not count at one end are not in the mean.
    """
    x, b = pair(call, name, dtype)
    finite = _counts(x, dims) & _counts(b, dims)
    share = finite / finite.sum(dims, keepdim=True).clamp(min=1).to(dtype)
    x, b = (v - (torch.where(finite, v, 0.0) * share).sum(dims, keepdim=True) for v in (x, b))
    log_x = torch.logsumexp(x, dims, keepdim=True)
    log_b = torch.logsumexp(b, dims, keepdim=True)
    shift = torch.maximum(log_x, log_b)
    shift = torch.where(shift == -math.inf, torch.zeros_like(shift), shift)
    weights = exp_secant(x - shift, b - shift)
    total = exp_secant(log_x - shift, log_b - shift)
    weights = weights / torch.where(total == 0, torch.ones_like(total), total)
    return _LogSum((x, b), (log_x, log_b), weights, share)


def _counts(scores: Tensor, dims: list[int]) -> Tensor:
    """Whether a score is finite and the exponential of its distance from the largest is not 0."""
    return scores.isfinite() & (scores > scores.amax(dims, keepdim=True) - 750)


def softmax(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """``y_i = exp(z_i - L)``: secant of exp, then the log of the sum.

    ``M_j = s_j G_j - w_j sum_i s_i G_i`` with ``s`` the secant of exp between the two log
    probabilities and ``w`` from :func:`_log_sum`. Bounded, the same whatever is added to all
    scores of either end, and the gradient of softmax in the limit.
    """
    dims = _dims(call["dim"], len(call.shape("self")))
    made = _log_sum(call, "self", dims, multiplier.dtype)
    log_p = (_finite(z - log) for z, log in zip(made.ends, made.logs, strict=True))
    scaled = exp_secant(*log_p) * multiplier
    found = scaled - made.weights * scaled.sum(dims, keepdim=True)
    return {"self": made.of_scores(found, dims)}


def _finite(log_probability: Tensor) -> Tensor:
    """Read -inf - -inf as -inf: a row without any admitted entry has no probabilities."""
    return log_probability.masked_fill(log_probability.isnan(), -math.inf)


def log_softmax(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """``y_i = z_i - L``."""
    dims = _dims(call["dim"], len(call.shape("self")))
    made = _log_sum(call, "self", dims, multiplier.dtype)
    found = multiplier - made.weights * multiplier.sum(dims, keepdim=True)
    return {"self": made.of_scores(found, dims)}


def logsumexp(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """``y = mean + L``."""
    shape = call.shape("self")
    dims = _dims(call["dim"], len(shape))
    made = _log_sum(call, "self", dims, multiplier.dtype)
    kept = [1 if axis in dims else size for axis, size in enumerate(shape)]
    given = multiplier.reshape(kept)
    return {"self": made.share * given + made.of_scores(made.weights * given, dims)}


def logcumsumexp(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """``y_k`` is the logarithmic sum of the first k scores, each rescaled by itself."""
    dim = call["dim"]
    x, b = (value.movedim(dim, -1) for value in pair(call, "self", multiplier.dtype))
    given = multiplier.movedim(dim, -1)
    found = torch.zeros_like(x)
    for k in range(x.shape[-1]):
        start, end = x[..., : k + 1], b[..., : k + 1]
        logs = [value.logsumexp(-1, keepdim=True) for value in (start, end)]
        shift = torch.maximum(*logs)
        shift = torch.where(shift == -math.inf, torch.zeros_like(shift), shift)
        weights, total = (
            exp_secant(start - shift, end - shift),
            exp_secant(*(v - shift for v in logs)),
        )
        total = torch.where(total == 0, torch.ones_like(total), total)
        found[..., : k + 1] += given[..., k : k + 1] * weights / total
    return {"self": found.movedim(-1, dim)}


def _normalized(
    x: Tensor, b: Tensor, multiplier: Tensor, dims: list[int], eps: float, centre: bool
) -> Tensor:
    """Multiplier of ``h`` for ``y = c / s``, ``c = h - mean(h)``, ``s = (mean(c^2) + eps)^(1/2)``.

    With means of both ends, ``dc = s_mean dy + y_mean ds`` exactly, and ``ds = c_mean . dc / (n
    s_mean)``, so ``M_c = (G - c_mean <G, y_mean> / (n s_mean)) / s_mean``: bounded by ``G`` over
    half the larger deviation, also where the baseline has none. As a product with ``1/s`` two
    terms of size ``eps^(-1/2)`` would cancel, in norm after norm.
    """
    if centre:
        x = x - x.mean(dims, keepdim=True)
        b = b - b.mean(dims, keepdim=True)
    s_x, s_b = ((value.square().mean(dims, keepdim=True) + eps).sqrt() for value in (x, b))
    deviation = (s_x + s_b) / 2
    pull = (multiplier * (x / s_x + b / s_b) / 2).mean(dims, keepdim=True)
    found = (multiplier - pull * ((x + b) / 2) / deviation) / deviation
    return found - found.mean(dims, keepdim=True) if centre else found


def layer_norm(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """Layer norm over trailing axes; RMS norm is the same without the centre."""
    _refuse_moving_weights(call)
    x, b = pair(call, "input", multiplier.dtype)
    axes = list(range(-len(call["normalized_shape"]), 0))
    eps = call["eps"]
    if eps is None:  # rms_norm's default depends on the dtype of the model
        eps = torch.finfo(call["input"].dtype).eps
    if call["weight"] is not None:
        multiplier = multiplier * call["weight"].to(multiplier.dtype)
    centre = call.node.op == "layer_norm"
    return {"input": _normalized(x, b, multiplier, axes, float(eps), centre)}


def group_norm(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """Group norm, and instance norm as group norm with one channel per group."""
    _refuse_moving_weights(call)
    dtype = multiplier.dtype
    shape = call.shape("input")
    channels = [1, shape[1], *[1] * (len(shape) - 2)]
    if call["weight"] is not None:
        multiplier = multiplier * call["weight"].to(dtype).reshape(channels)
    if call.node.op == "instance_norm" and not call["use_input_stats"]:
        scale = (call["running_var"].to(dtype) + call["eps"]).rsqrt()
        return {"input": multiplier * scale.reshape(channels)}
    groups = shape[1] if call.node.op == "instance_norm" else call["num_groups"]
    x, b = (value.reshape(shape[0], groups, -1) for value in pair(call, "input", dtype))
    found = _normalized(x, b, multiplier.reshape(x.shape), [2], float(call["eps"]), True)
    return {"input": found.reshape(shape)}


def _refuse_moving_weights(call: Call) -> None:
    if call.dependents() != ("input",):
        raise UnsupportedOperationError(
            f"DeepLIFT has no rule for {call.node.op} whose weights depend on the inputs, at "
            f"{call.node.where}"
        )


def _powers(x: Tensor, b: Tensor, order: float) -> Tensor:
    """Secant of ``|h|^order``."""
    if order == 2:
        return x + b
    return secant(
        x,
        b,
        x.abs() ** order,
        b.abs() ** order,
        lambda middle: order * middle.abs() ** (order - 1) * middle.sign(),
        0.0,
    )


def vector_norm(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """``y = (sum |h|^p)^(1/p)``: secant of the power, sum, secant of the root."""
    order = float(call["ord"])
    x, b = pair(call, "self", multiplier.dtype)
    dims = _dims(call["dim"], x.dim())
    sums = [(value.abs() ** order).sum(dims, keepdim=True) for value in (x, b)]
    roots = [total ** (1 / order) for total in sums]
    if order == 2:
        total = roots[0] + roots[1]
        outer = torch.where(total == 0, torch.zeros_like(total), 1 / total)
    else:
        outer = secant(
            sums[0],
            sums[1],
            roots[0],
            roots[1],
            lambda middle: torch.where(
                middle == 0, torch.zeros_like(middle), middle ** (1 / order - 1) / order
            ),
            0.0,
        )
    kept = [1 if axis in dims else size for axis, size in enumerate(x.shape)]
    return {"self": multiplier.reshape(kept) * outer * _powers(x, b, order)}


def deviation(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """Take the root's secant ``1 / (s_x + s_b)``, then the midpoint of the variance."""
    x, b = pair(call, "self", multiplier.dtype)
    s_x, s_b = values_at(call, multiplier.dtype, self=(x, b))
    total = s_x + s_b
    outer = torch.where(total == 0, torch.zeros_like(total), 1 / total)
    with torch.inference_mode(False), torch.enable_grad():
        # A copy: what was made in the caller's inference mode cannot be differentiated.
        middle = ((x + b) / 2).detach().clone().requires_grad_()
        options = {
            key: call[key] for key in ("dim", "correction", "keepdim") if key in call.node.args
        }
        variance = torch.var(middle, **options)
        (found,) = torch.autograd.grad(variance, middle, multiplier * outer)
    return {"self": found}


def power_sum(call: Call, multiplier: Tensor) -> dict[str, Tensor]:
    """Products along an axis: the path integral, which ``ceil(n/2)`` Gauss nodes give exactly."""
    x, b = pair(call, "self", multiplier.dtype)
    dim = call.node.args.get("dim")
    factors = x.numel() // max(x.shape[0], 1) if dim is None else x.shape[dim]
    nodes, weights = legendre(max((factors + 1) // 2, 1))
    found = torch.zeros_like(x)
    for node, weight in zip(nodes, weights, strict=True):
        point = b + float(node) * (x - b)
        found += float(weight) * call.vjp(multiplier, self=point)["self"]
    return {"self": reduce_to(found, call.shape("self"))}
