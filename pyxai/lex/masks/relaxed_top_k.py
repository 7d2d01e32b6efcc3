"""A soft form of the indicator of the k largest scores, without memory that grows with k."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyxai._checks import check_int, check_number, check_real, check_tensor

__all__ = ["relaxed_top_k"]

_ELEMENTS = 2**22  # of the k steps of some rows, which are held at once
_CACHED = 2**16  # of a block of rows that goes through all steps while a processor's cache holds it


def relaxed_top_k(scores: Tensor, k: int, temperature: float = 0.5) -> Tensor:
    """Choose the k largest scores softly: k softmaxes, each of what the ones before left over.

    ``w_j = softmax(s_j / temperature)``, ``s_{j+1} = s_j + log(1 - w_j)``, the result is
    ``w_1 + ... + w_k``; it tends to the indicator of the k largest as the temperature falls.

    Parameters
    ----------
    scores : Tensor, shape [*rows, n_groups]
        Floating point. With Gumbel noise added, the k largest are a sample without replacement.
    k : int
        How many are chosen, from 1 to n_groups.
    temperature : float
        Above 0, in units of the scores.

    Returns
    -------
    Tensor, shape of ``scores``
        Non-negative; each row sums to k. An entry can pass 1, where fewer than k scores stand far
        above the rest. Differentiable once.

    Raises
    ------
    ValueError
        If ``k`` or the temperature is out of range.
    TypeError
        If an argument has the wrong type.

    Notes
    -----
    Backward computes the k steps again, some rows at a time, so that memory is that of a few
    copies of the scores, and not of k.

    References
    ----------
    .. [1] S. M. Xie, S. Ermon, "Reparameterizable Subset Sampling via Continuous Relaxations",
       IJCAI 2019, section 3.

    Examples
    --------
    >>> import torch
    >>> from pyxai.lex import relaxed_top_k
    >>> relaxed_top_k(torch.tensor([3.0, 1.0, 2.0]), 2, temperature=0.01).round()
    tensor([1., 0., 1.])
    """
    check_real("scores", check_tensor("scores", scores))
    if not scores.is_floating_point() or scores.dim() < 1:
        raise TypeError(
            f"scores must be floating point with groups last, got {scores.dtype} of shape "
            f"{list(scores.shape)}"
        )
    if not 1 <= check_int("k", k) <= scores.shape[-1]:
        raise ValueError(f"k must be from 1 to {scores.shape[-1]}, the groups, got {k}")
    if check_number("temperature", temperature) <= 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    soft: Tensor = _RelaxedTopK.apply(  # type: ignore[no-untyped-call]
        scores.reshape(-1, scores.shape[-1]), k, float(temperature)
    )
    return soft.view(scores.shape)


class _RelaxedTopK(torch.autograd.Function):
    """Forward and backward by blocks of rows."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, k: int, temperature: float) -> Tensor:
        ctx.save_for_backward(scores)
        ctx.rest = (k, temperature)
        total = torch.zeros_like(scores)
        rows = max(1, _CACHED // scores.shape[-1])
        for block, sums in zip(torch.split(scores, rows), torch.split(total, rows), strict=True):
            for weights in _steps(block, k, temperature):
                sums += weights
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor | None, ...]:
        (scores,) = ctx.saved_tensors
        k, temperature = ctx.rest
        rows = max(1, _ELEMENTS // (k * scores.shape[-1]))
        parts = [
            _block_backward(block, grad, k, temperature)
            for block, grad in zip(torch.split(scores, rows), torch.split(grads, rows), strict=True)
        ]
        return torch.cat(parts) if parts else torch.zeros_like(scores), None, None


def _steps(scores: Tensor, k: int, temperature: float) -> Iterator[Tensor]:
    """Yield the weights of each step."""
    state = scores / temperature
    for step in range(k):
        weights = state.softmax(-1)
        yield weights
        if step + 1 < k:
            state.add_(_left(weights).log_(), alpha=1 / temperature)


def _left(weights: Tensor) -> Tensor:
    """Return ``1 - weights``, no less than rounding can tell from 0."""
    return (1 - weights).clamp_(min=torch.finfo(weights.dtype).eps)


def _block_backward(scores: Tensor, grads: Tensor, k: int, temperature: float) -> Tensor:
    """Return the gradient with respect to the scores of some rows."""
    steps = list(_steps(scores, k, temperature))
    carried = torch.zeros_like(scores)  # with respect to the state after the step
    for weights in reversed(steps):
        left = _left(weights)
        inner = torch.div(carried, left)
        least = torch.finfo(left.dtype).eps
        if left.is_cuda or float(left.amin()) <= least:  # a GPU is not waited for
            inner.masked_fill_(left <= least, 0)  # the clamp stops it
        torch.sub(grads, inner, out=inner).mul_(weights)
        inner.addcmul_(weights, inner.sum(-1, keepdim=True), value=-1)
        carried.add_(inner, alpha=1 / temperature)
    return carried
