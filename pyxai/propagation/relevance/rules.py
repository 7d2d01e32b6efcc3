"""Rules that share the relevance of a linear op's outputs among its inputs.

Throughout, ``u_ji = w_ji h_i`` is what input i adds to output j, ``c_j`` the bias, ``U+`` and
``U-`` the sums of the positive and negative parts, and 0 / 0 is 0.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_number

__all__ = [
    "Alpha1_Beta0_Rule",
    "AlphaBetaRule",
    "EpsilonRule",
    "FlatRule",
    "GammaRule",
    "IdentityRule",
    "LinearOp",
    "RelevanceRule",
    "WSquareRule",
    "ZBoxRule",
    "ZPlusRule",
    "divide",
    "stabilized_divide",
    "times",
]

Share = Callable[["LinearOp", Tensor], Tensor]
BIAS_MODES = ("absorb", "ignore")


@dataclass(frozen=True)
class LinearOp:
    """A linear or convolutional op at some values of its input.

    Attributes
    ----------
    input : Tensor
        ``h``, [batch, ...].
    weight : Tensor
        ``w``.
    bias : Tensor or None
        ``c``, of a shape that broadcasts to the output.
    forward : callable
        ``(weight, h) -> w h``, without bias.
    backward : callable
        ``(weight, s) -> w' s``, the transposed map.
    nonnegative : bool
        Whether no value of the input can be negative, so that the signs of contributions are those
        of the weights.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    forward: Callable[[Tensor, Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]
    nonnegative: bool = False

    def sum_of(self, sign: int) -> Tensor:
        """Return ``U+`` (sign 1) or ``U-`` (sign -1) without the bias."""
        same, other = _part(self.weight, sign), _part(self.weight, -sign)
        if self.nonnegative:
            return self.forward(same, self.input)
        up, down = _part(self.input, 1), _part(self.input, -1)
        return self.forward(same, up) + self.forward(other, down)

    def share_of(self, sign: int, values: Tensor) -> Tensor:
        """Return ``sum_j u+_ji values_j`` (sign 1) or the same with ``u-`` for every input."""
        same, other = _part(self.weight, sign), _part(self.weight, -sign)
        if self.nonnegative:
            return self.input * self.backward(same, values)
        up, down = _part(self.input, 1), _part(self.input, -1)
        return up * self.backward(same, values) + down * self.backward(other, values)

    def bias_part(self, sign: int) -> Tensor | float:
        """Return the positive or the negative part of the bias."""
        if self.bias is None:
            return 0.0
        return _part(self.bias, sign)


def _part(values: Tensor, sign: int) -> Tensor:
    """Return the positive or the negative part."""
    return values.clamp(min=0) if sign > 0 else values.clamp(max=0)


class RelevanceRule(ABC):
    """How one linear op shares relevance."""

    @abstractmethod
    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""


@dataclass(frozen=True)
class EpsilonRule(RelevanceRule):
    """``R_i = sum_j u_ji / (z_j + epsilon sign(z_j)) R_j`` with sign(0) = +1.

    Parameters
    ----------
    epsilon : float
        Not negative. It absorbs relevance; 0 conserves all that biases do not take.
    bias : "absorb" or "ignore"
        Whether ``z_j`` includes the bias.

    References
    ----------
    .. [1] S. Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
       Layer-Wise Relevance Propagation", PLOS ONE 10(7), 2015, eq. 58.
    """

    epsilon: float = 1e-9
    bias: str = "absorb"

    def __post_init__(self) -> None:
        if check_number("epsilon", self.epsilon) < 0:
            raise ValueError(f"epsilon must not be negative, got {self.epsilon}")
        check_choice("bias", self.bias, BIAS_MODES)

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        z = op.forward(op.weight, op.input)
        if op.bias is not None and self.bias == "absorb":
            z = z + op.bias
        if self.epsilon == 0:
            return _shared(op, _all, relevance, z)
        return _all(op, stabilized_divide(relevance, z, self.epsilon))


@dataclass(frozen=True)
class AlphaBetaRule(RelevanceRule):
    """``R_i = sum_j (alpha u+_ji / U+_j - beta u-_ji / U-_j) R_j``, inputs of either sign.

    Parameters
    ----------
    alpha, beta : float
        ``alpha - beta = 1`` up to rounding, ``beta >= 0``.
    bias : "absorb" or "ignore"
        Whether the positive part of the bias joins ``U+`` and the negative ``U-``.
    renormalize_empty : bool
        Whether an output with contributions of one sign only gives them all its relevance; else
        the term of the empty sign is dropped and the sum is ``alpha R_j`` or ``-beta R_j``.

    References
    ----------
    .. [1] S. Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
       Layer-Wise Relevance Propagation", PLOS ONE 10(7), 2015, eq. 60.
    """

    alpha: float = 2.0
    beta: float = 1.0
    bias: str = "absorb"
    renormalize_empty: bool = False

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha)
        check_number("beta", self.beta)
        if not math.isclose(self.alpha - self.beta, 1.0, rel_tol=0, abs_tol=1e-6):
            raise ValueError(f"alpha - beta must be 1, got alpha {self.alpha} and beta {self.beta}")
        if self.beta < 0:
            raise ValueError(f"beta must not be negative, got {self.beta}")
        check_choice("bias", self.bias, BIAS_MODES)

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        positive = self._sum_of(op, 1)
        if self.beta == 0 and not self.renormalize_empty:
            return _shared(op, _positive, self.alpha * relevance, positive)
        negative = self._sum_of(op, -1)
        alpha, beta = self.alpha * relevance, self.beta * relevance
        if self.renormalize_empty:
            alpha = torch.where(negative == 0, relevance, alpha)
            beta = torch.where(positive == 0, -relevance, beta)
        favour = _shared(op, _positive, alpha, positive)
        return favour - _shared(op, _negative, beta, negative)

    def _sum_of(self, op: LinearOp, sign: int) -> Tensor:
        total = op.sum_of(sign)
        return total + op.bias_part(sign) if self.bias == "absorb" else total


@dataclass(frozen=True)
class ZPlusRule(RelevanceRule):
    """``R_i = sum_j u+_ji / U+_j R_j``: alpha 1, beta 0, biases ignored.

    References
    ----------
    .. [1] G. Montavon et al., "Explaining NonLinear Classification Decisions with Deep Taylor
       Decomposition", Pattern Recognition 65, 2017, section 4.1 (z+ rule).
    """

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        return AlphaBetaRule(1.0, 0.0, "ignore").propagate(op, relevance)


@dataclass(frozen=True)
class Alpha1_Beta0_Rule(RelevanceRule):
    """captum's name for `ZPlusRule`; inputs of either sign are treated as the rule says."""

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        return ZPlusRule().propagate(op, relevance)


@dataclass(frozen=True)
class GammaRule(RelevanceRule):
    """Favour contributions that agree in sign with the output.

    ``R_i = sum_j (u_ji + gamma u+_ji) / (z_j + gamma U+_j) R_j`` where ``z_j >= 0``, and with the
    negative parts where ``z_j < 0``, so that inputs of either sign are conserved. Biases take part.

    Parameters
    ----------
    gamma : float
        Not negative; 0 is the epsilon rule, large values the z+ rule.

    References
    ----------
    .. [1] G. Montavon et al., "Layer-Wise Relevance Propagation: An Overview", in: Explainable AI,
       LNCS 11700, 2019, section 10.2.1.
    """

    gamma: float = 0.25

    def __post_init__(self) -> None:
        if check_number("gamma", self.gamma) < 0:
            raise ValueError(f"gamma must not be negative, got {self.gamma}")

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        positive, negative = (op.sum_of(sign) + op.bias_part(sign) for sign in (1, -1))
        z = positive + negative
        up = z >= 0
        total = z + self.gamma * torch.where(up, positive, negative)
        boosted = (1 + self.gamma) * relevance
        favour = _shared(op, _positive, torch.where(up, boosted, relevance), total)
        return favour + _shared(op, _negative, torch.where(up, relevance, boosted), total)


@dataclass(frozen=True)
class WSquareRule(RelevanceRule):
    """``R_i = sum_j w_ji^2 / sum_k w_jk^2 R_j``: for inputs without bounds.

    References
    ----------
    .. [1] G. Montavon et al., "Explaining NonLinear Classification Decisions with Deep Taylor
       Decomposition", Pattern Recognition 65, 2017, section 4.1 (w^2 rule).
    """

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        return _share_by(op, op.weight.square(), relevance)


@dataclass(frozen=True)
class FlatRule(RelevanceRule):
    """``R_i = sum_j 1 / n_j R_j`` over the ``n_j`` inputs that output j sees.

    References
    ----------
    .. [1] S. Lapuschkin et al., "Unmasking Clever Hans Predictors and Assessing What Machines
       Really Learn", Nature Communications 10, 2019, methods.
    """

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        return _share_by(op, torch.ones_like(op.weight), relevance)


@dataclass(frozen=True)
class ZBoxRule(RelevanceRule):
    """The z^B rule for inputs in a box, biases ignored.

    ``R_i = sum_j (u_ji - w+_ji low_i - w-_ji high_i) / (sum over i of the same) R_j``

    Parameters
    ----------
    low, high : float or Tensor
        Bounds of the input, numbers or tensors that broadcast to it.

    References
    ----------
    .. [1] G. Montavon et al., "Explaining NonLinear Classification Decisions with Deep Taylor
       Decomposition", Pattern Recognition 65, 2017, section 4.1 (z^B rule).
    """

    low: float | Tensor
    high: float | Tensor

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if isinstance(bound, Tensor):
                check_finite(name, bound)
            else:
                check_number(name, bound)

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        low = torch.as_tensor(self.low).to(op.input).expand_as(op.input)
        high = torch.as_tensor(self.high).to(op.input).expand_as(op.input)
        if bool((op.input < low).any()) or bool((op.input > high).any()):
            raise ValueError(
                "inputs must lie between low and high for the z^B rule, got values from "
                f"{op.input.min().item():.6g} to {op.input.max().item():.6g}"
            )
        w_plus, w_minus = op.weight.clamp(min=0), op.weight.clamp(max=0)
        z = op.forward(op.weight, op.input) - op.forward(w_plus, low) - op.forward(w_minus, high)
        s = divide(relevance, z)
        return (
            op.input * op.backward(op.weight, s)
            - low * op.backward(w_plus, s)
            - high * op.backward(w_minus, s)
        )


@dataclass(frozen=True)
class IdentityRule(RelevanceRule):
    """Pass relevance on unchanged; input and output have one shape."""

    def propagate(self, op: LinearOp, relevance: Tensor) -> Tensor:
        """Return the relevance of the op's input from that of its output."""
        if relevance.shape != op.input.shape:
            raise ValueError(
                "IdentityRule must stand at a layer whose input and output have one shape, got "
                f"{list(op.input.shape)} and {list(relevance.shape)}"
            )
        return relevance


def _shared(op: LinearOp, share: Share, values: Tensor, total: Tensor) -> Tensor:
    """Return ``sum_j u_ji / total_j values_j``, where ``share(op, s)`` is ``sum_j u_ji s_j``.

    Contributions that are as small as the dtype has them have a quotient that it has not: they and
    their total are made larger by the same power of two, which leaves the shares as they are.
    """
    end = torch.finfo(total.dtype).tiny
    quotient = divide(values, total)
    if quotient.numel() == 0 or max(map(abs, _ends(quotient))) < end**-0.75:
        return share(op, quotient)
    small = (total.abs() < end**0.75) & (total != 0) & (values != 0)
    if not bool(small.any()):
        return share(op, quotient)
    larger = 2.0 ** round(-math.log2(end) / 2)
    most = share(op, divide(values, total.masked_fill(small, 0.0)))
    rest = divide(values, (total * larger).masked_fill(~small, 0.0))
    return most + share(replace(op, input=op.input * larger), rest)


def _ends(values: Tensor) -> tuple[float, float]:
    low, high = torch.stack(values.aminmax()).tolist()  # one wait for the device
    return low, high


def _all(op: LinearOp, values: Tensor) -> Tensor:
    return op.input * op.backward(op.weight, values)


def _positive(op: LinearOp, values: Tensor) -> Tensor:
    return op.share_of(1, values)


def _negative(op: LinearOp, values: Tensor) -> Tensor:
    return op.share_of(-1, values)


def _share_by(op: LinearOp, weight: Tensor, relevance: Tensor) -> Tensor:
    """Share relevance in proportion to positive weights that do not depend on the input."""
    total = op.forward(weight, torch.ones_like(op.input))
    return op.backward(weight, divide(relevance, total))


def divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide, with x / 0 = 0: where there is nothing to share by, nothing is shared."""
    empty = denominator == 0
    return (numerator / denominator.masked_fill(empty, 1.0)).masked_fill(empty, 0.0)


def times(h: Tensor, slope: Tensor) -> Tensor:
    """Multiply values with slopes; what an infinite one, a mask, cannot change is not its doing."""
    return (h * slope).masked_fill_(slope == 0, 0.0)


def stabilized_divide(numerator: Tensor, denominator: Tensor, epsilon: float) -> Tensor:
    """Divide by ``z + epsilon sign(z)`` with sign(0) = +1."""
    if epsilon == 0:
        return divide(numerator, denominator)
    signed = torch.where(denominator >= 0, epsilon, -epsilon).to(denominator.dtype)
    return numerator / (denominator + signed)
