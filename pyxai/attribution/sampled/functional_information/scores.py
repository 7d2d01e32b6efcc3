"""The quantities that sampled gradients give: information scores and their sampling relatives.

With ``h = log f`` and samples ``x_s`` of the noise law, every score is a mean over samples of
something quadratic or linear in ``grad h(x_s)``, weighted by ``f(x_s)``; nothing divides by ``f``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pyxai._inputs import sums_at
from pyxai.covariance import Covariance

__all__ = [
    "COVARIANCE_SCORES",
    "DEGREES",
    "SCORES",
    "VARIANCE_SCORES",
    "Groups",
    "Sample",
    "score_values",
]

SCORES = (
    "plain",  # E[g_i^2 / f]
    "additive",  # E[(Sigma g)_i g_i / f]; sums to the information
    "conditional",  # E[g_i^2 / f] / (Sigma^-1)_ii
    "marginal",  # E[g_i^2 / f] Sigma_ii
    "smoothgrad",  # E[g_i]
    "smoothgrad_sq",  # E[g_i^2]
    "vargrad",  # Var[g_i]
    "vargrad_sq",  # Var[g_i^2]
    "covariance_gradients",  # E[(Sigma g)_i]
)
# How often f is a factor of a score: these scale like f to this power, all others like f.
DEGREES = {"smoothgrad_sq": 2, "vargrad": 2, "vargrad_sq": 4}
VARIANCE_SCORES = ("vargrad", "vargrad_sq")
COVARIANCE_SCORES = ("additive", "conditional", "marginal", "covariance_gradients")


@dataclass(frozen=True)
class Groups:
    """A partition of the features; scores of a group stand at each of its members.

    Attributes
    ----------
    owner : Tensor, shape [features]
        int64 group of each feature, ``0 .. n_groups - 1``.
    n_groups : int
        How many there are.
    """

    owner: Tensor
    n_groups: int

    def sums(self, values: Tensor) -> Tensor:
        """Sum over the members of each group; [..., features] to [..., n_groups]."""
        rows = values.reshape(-1, values.shape[-1])
        sums = sums_at(self.owner.expand_as(rows), rows, self.n_groups)
        return sums.view(*values.shape[:-1], self.n_groups)

    @cached_property
    def by_size(self) -> list[tuple[Tensor, Tensor]]:
        """Give (group ids [k], members [k, size]) for every size of group that occurs."""
        order = torch.argsort(self.owner, stable=True)
        sizes = torch.bincount(self.owner, minlength=self.n_groups)
        starts = sizes.cumsum(0) - sizes
        found = []
        for size in torch.unique(sizes).tolist():
            ids = (sizes == size).nonzero()[:, 0]
            steps = torch.arange(size, device=order.device)
            found.append((ids, order[starts[ids, None] + steps]))
        return found


class Sample:
    """Gradients of ``log f`` at some samples of some examples that share a covariance.

    Parameters
    ----------
    log_grads : Tensor, shape [samples, batch, features]
        Gradient of ``log f``, float64.
    weights : Tensor, shape [samples, batch]
        ``f`` at the samples, float64.
    covariance : Covariance or None
        Of the explained class.
    groups : Groups or None
        None: every feature is its own group.
    sum_first : bool
        Whether the members of a group are summed before the square is taken.
    """

    def __init__(
        self,
        log_grads: Tensor,
        weights: Tensor,
        covariance: Covariance | None,
        groups: Groups | None,
        sum_first: bool,
    ) -> None:
        self.log_grads = log_grads
        self.weights = weights.unsqueeze(-1)
        self.covariance = covariance
        self.groups = groups
        self.sum_first = sum_first and groups is not None
        self._product: Tensor | None = None

    def _known(self) -> Covariance:
        assert self.covariance is not None
        return self.covariance

    def product(self) -> Tensor:
        """Return ``Sigma grad log f``, computed once."""
        if self._product is None:
            self._product = self._known().product(self.log_grads)
        return self._product

    def group(self, values: Tensor) -> Tensor:
        """Sum over groups, if there are any."""
        return values if self.groups is None else self.groups.sums(values)

    def bilinear(self, left: Tensor, right: Tensor) -> Tensor:
        """Return ``f * left * right`` per group, in the order of reduction asked for."""
        if self.sum_first:
            return self.weights * self.group(left) * self.group(right)
        return self.weights * self.group(left * right)

    def gradients(self) -> Tensor:
        """Return the gradients of ``f``, reduced over groups."""
        return self.weights * self.group(self.log_grads)

    def squares(self) -> Tensor:
        """Return the squares of the gradients of ``f``, in the order of reduction asked for."""
        if self.sum_first:
            return self.gradients().square()
        return self.group((self.weights * self.log_grads).square())

    def diagonal_form(self, scale: Tensor) -> Tensor:
        """Return ``f g_i^2 scale_i`` of single features."""
        return self.weights * self.log_grads.square() * scale

    def block_form(self, form: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return ``f g_S' B_S g_S`` of groups; ``form`` gives ``g_S' B_S g_S``."""
        assert self.groups is not None
        result = self.log_grads.new_zeros(*self.log_grads.shape[:-1], self.groups.n_groups)
        for ids, members in self.groups.by_size:
            result[..., ids] = form(self.log_grads[..., members], members)
        return self.weights * result


def _plain(sample: Sample) -> Tensor:
    return sample.bilinear(sample.log_grads, sample.log_grads)


def _additive(sample: Sample) -> Tensor:
    return sample.bilinear(sample.product(), sample.log_grads)


def _marginal(sample: Sample) -> Tensor:
    covariance = sample._known()
    if sample.groups is None:
        return sample.diagonal_form(covariance.diagonal())
    return sample.block_form(covariance.marginal_form)


def _conditional(sample: Sample) -> Tensor:
    covariance = sample._known()
    if sample.groups is None:
        return sample.diagonal_form(covariance.precision_diagonal().reciprocal())
    return sample.block_form(covariance.conditional_form)


def _covariance_gradients(sample: Sample) -> Tensor:
    return sample.weights * sample.group(sample.product())


_RULES: dict[str, Callable[[Sample], Tensor]] = {
    "plain": _plain,
    "additive": _additive,
    "conditional": _conditional,
    "marginal": _marginal,
    "smoothgrad": Sample.gradients,
    "smoothgrad_sq": Sample.squares,
    "vargrad": Sample.gradients,
    "vargrad_sq": lambda sample: sample.gradients().square(),
    "covariance_gradients": _covariance_gradients,
}


def score_values(name: str, sample: Sample) -> Tensor:
    """Return what score ``name`` averages (or takes the variance of): [samples, batch, groups]."""
    return _RULES[name](sample)
