"""Weights with which each of the fourteen methods shares out a Taylor term.

``a_i = sum over kappa of w_i(kappa) T(kappa)`` (Deng et al., TPAMI 2024, the unified form; the
weights are those of Theorems 2-15 as re-derived and machine-checked for this package).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_number, describe
from pyxai.taylor.allocation.method_names import canonical_name

__all__ = ["Allocation", "allocation_weights"]

# Weights that depend on the sizes of the contributions, not only on their signs.
Allocation = Callable[[Tensor], Tensor]

_PROPORTIONAL = ("integrated_gradients", "expected_gradients", "deeplift_rescale", "lrp_epsilon")


def allocation_weights(
    method: str,
    kappa: Sequence[int] | Tensor,
    signs: Sequence[float] | Tensor | None = None,
    *,
    contributions: Sequence[float] | Tensor | None = None,
    at: str = "input",
    patches: Sequence[Sequence[int]] | None = None,
    draws: Tensor | None = None,
    shares: Tensor | None = None,
    rule: str = "neuron_shapley",
    alpha: float = 2.0,
    beta: float = 1.0,
    nodes: Sequence[float] | Tensor | None = None,
    node_weights: Sequence[float] | Tensor | None = None,
) -> Tensor | Allocation:
    """Return the share of the Taylor term T(kappa) that a method gives to every input.

    Parameters
    ----------
    method : str
        One of the fourteen (``pyxai.taylor.METHOD_NAMES`` or a class name), or "path_quadrature"
        for ``kappa_i * sum_q node_weights[q] * nodes[q]**(k - 1)``, which all gradient-sampling
        methods are: node 0 is gradient x input at the baseline, node 1 at the input.
    kappa : ints of shape [n] or [n_terms, n]
        Degree vectors. For "grad_cam" they are degrees of the channel means.
    signs : shape [n], optional
        Sign of each input's contribution ``w_i (x_i - b_i)`` to the neuron, for the layer rules
        "lrp_alpha_beta", "deep_taylor" and "deeplift_reveal_cancel". 0 belongs to no group.
    contributions : shape [n], optional
        The contributions u themselves, instead of ``signs``.
    at : "input" or "baseline"
        Where gradient x input (and Grad-CAM) takes the gradient.
    patches : sequence of player lists, optional
        For "occlusion_patch"; may overlap. An input in no patch gets 0.
    draws : Tensor, shape [n_draws, n], optional
        For "prediction_difference": ``(t_i - b_i) / (x_i - b_i)`` of the values t_i drawn for
        input i; default 0 everywhere, the fixed baseline.
    shares : Tensor, shape [n_channels, n_positions], optional
        For "grad_cam": ``A[k, p] / sum_q A[k, q]``; the result is over positions.
    rule : "neuron_shapley" or "rescale"
        Form of "deep_shap".
    alpha, beta : float
        For "lrp_alpha_beta"; their difference is 1.
    nodes, node_weights : shape [n_nodes], optional
        For "path_quadrature", in [0, 1].

    Returns
    -------
    Tensor, float64, shape [n] or [n_terms, n]
        The weights; over positions for "grad_cam".
    callable
        For "lrp_alpha_beta" and "deep_taylor" when some term misses a sign group: the shares then
        depend on the sizes of the contributions; call it with u of shape [n].

    Raises
    ------
    ValueError
        If an argument that the method needs is missing or out of range.
    """
    check_number("alpha", alpha)
    check_number("beta", beta)
    degrees = _degrees(kappa)  # [n_terms, n]
    single = torch.as_tensor(kappa).dim() == 1
    name = method if method == "path_quadrature" else canonical_name(method)
    if name in ("lrp_alpha_beta", "deep_taylor"):
        pattern = _signs(name, signs, contributions, degrees.shape[1])
        share = (alpha, beta) if name == "lrp_alpha_beta" else (1.0, 0.0)
        return _sign_group_rule(degrees, single, pattern, contributions, *share)
    if name == "deeplift_reveal_cancel":
        weights = _reveal_cancel(degrees, _signs(name, signs, contributions, degrees.shape[1]))
    elif name == "occlusion_patch":
        weights = _patch(degrees, patches)
    elif name == "prediction_difference":
        weights = _prediction_difference(degrees, draws)
    elif name == "grad_cam":
        weights = _grad_cam(degrees, shares, at)
    elif name == "path_quadrature":
        weights = _quadrature(degrees, nodes, node_weights)
    else:
        weights = _plain(name, degrees, at, rule)
    return weights[0] if single else weights


def _degrees(kappa: Sequence[int] | Tensor) -> Tensor:  # float64 [n_terms, n]
    degrees = torch.as_tensor(kappa)
    if degrees.dim() not in (1, 2) or degrees.is_floating_point() or bool((degrees < 0).any()):
        raise ValueError(
            "kappa must be non-negative integers of shape [n] or [n_terms, n], "
            f"got {describe(kappa)}"
        )
    return degrees.reshape(-1, degrees.shape[-1]).double()


def _plain(name: str, degrees: Tensor, at: str, rule: str) -> Tensor:
    """Rows 1, 2, 6, 7, 8, 9, 12 and 14: no argument beyond kappa."""
    order = degrees.sum(1, keepdim=True)
    present = (degrees > 0).double()
    check_choice("at", at, ("input", "baseline"))
    check_choice("rule", rule, ("neuron_shapley", "rescale"))
    if name == "gradient_x_input":
        return degrees if at == "input" else degrees * (order == 1)
    if name == "occlusion_1":
        return present
    if name in _PROPORTIONAL or (name == "deep_shap" and rule == "rescale"):
        return degrees / order.clamp_min(1)
    return present / present.sum(1, keepdim=True).clamp_min(1)


def _patch(degrees: Tensor, patches: Sequence[Sequence[int]] | None) -> Tensor:
    """Row 3: the fraction of an input's patches that meet the term."""
    if patches is None:
        raise ValueError("patches must be given for 'occlusion_patch', got None")
    met = torch.zeros_like(degrees)
    count = torch.zeros_like(degrees[0])
    for patch in patches:
        members = torch.as_tensor(list(patch))
        met[:, members] += (degrees[:, members] > 0).any(1, keepdim=True).double()
        count[members] += 1
    return met / count.clamp_min(1)


def _prediction_difference(degrees: Tensor, draws: Tensor | None) -> Tensor:
    """Row 4: ``1 - E_t[((t - b_i) / (x_i - b_i))**kappa_i]``."""
    if draws is None:
        draws = torch.zeros(1, degrees.shape[1])
    moments = (draws.double()[:, None, :] ** degrees).mean(0)  # [n_terms, n]
    return (1 - moments) * (degrees > 0)


def _grad_cam(degrees: Tensor, shares: Tensor | None, at: str) -> Tensor:
    """Row 5: the first-order term of channel k is spread like its activation."""
    if shares is None or shares.dim() != 2 or len(shares) != degrees.shape[1]:
        raise ValueError(
            f"shares must have shape [{degrees.shape[1]}, n_positions] for 'grad_cam', "
            f"got {describe(shares)}"
        )
    return _plain("gradient_x_input", degrees, at, "rescale") @ shares.double()


def _quadrature(
    degrees: Tensor,
    nodes: Sequence[float] | Tensor | None,
    node_weights: Sequence[float] | Tensor | None,
) -> Tensor:
    if nodes is None or node_weights is None:
        raise ValueError("nodes and node_weights must be given for 'path_quadrature', got None")
    points = torch.as_tensor(nodes, dtype=torch.float64)
    weights = torch.as_tensor(node_weights, dtype=torch.float64)
    if points.shape != weights.shape or points.dim() != 1:
        raise ValueError(
            f"node_weights must have shape [{points.numel()}], got {list(weights.shape)}"
        )
    order = degrees.sum(1)
    factor = (weights * points ** (order[:, None] - 1).clamp_min(0)).sum(1)
    return degrees * factor[:, None]


def _signs(
    name: str,
    signs: Sequence[float] | Tensor | None,
    contributions: Sequence[float] | Tensor | None,
    n_inputs: int,
) -> Tensor:  # [n_inputs]
    given = contributions if contributions is not None else signs
    if given is None:
        raise ValueError(
            f"signs must be given for {name!r}, whose weights depend on them, got None"
        )
    values = torch.as_tensor(given, dtype=torch.float64)
    if values.shape != (n_inputs,):
        raise ValueError(f"signs must have shape [{n_inputs}], got {list(values.shape)}")
    return values.sign()


def _reveal_cancel(degrees: Tensor, signs: Tensor) -> Tensor:
    """Row 13: half of every mixed term to each sign group, in proportion to kappa within it."""
    positive, negative = (signs > 0).double(), (signs < 0).double()
    order_p, order_n = degrees @ positive, degrees @ negative
    mixed = (order_p > 0) & (order_n > 0)
    own = order_p[:, None] * positive + order_n[:, None] * negative  # order of i's group
    shares = degrees / own.clamp_min(1)
    return torch.where(mixed[:, None], shares / 2, shares)


def _sign_group_rule(
    degrees: Tensor,
    single: bool,
    pattern: Tensor,
    contributions: Sequence[float] | Tensor | None,
    alpha: float,
    beta: float,
) -> Tensor | Allocation:
    """Rows 10 and 11: alpha to the positive group, -beta to the negative; empty groups drop."""
    if abs(alpha - beta - 1) > 1e-9:
        raise ValueError(f"alpha - beta must be 1, got alpha={alpha} and beta={beta}")
    groups = [(alpha, (pattern > 0).double()), (-beta, (pattern < 0).double())]

    def weigh(u: Tensor | None) -> Tensor:
        total = torch.zeros_like(degrees)
        for factor, group in groups:
            order = (degrees @ group)[:, None]  # [n_terms, 1], order of the term within the group
            share = degrees * group / order.clamp_min(1)
            if u is not None:
                size = (u * group).sum()
                spread = u * group / size if bool(group.any()) else torch.zeros_like(group)
                share = torch.where(order > 0, share, spread)
            total = total + factor * share
        return total[0] if single else total

    def with_contributions(u: Tensor) -> Tensor:
        values = torch.as_tensor(u, dtype=torch.float64)
        if values.shape != pattern.shape or bool((values.sign() != pattern).any()):
            raise ValueError(
                f"contributions must have the signs {pattern.tolist()}, got {values.tolist()}"
            )
        return weigh(values)

    if contributions is not None:
        return with_contributions(torch.as_tensor(contributions, dtype=torch.float64))
    depends = any(
        factor != 0 and bool(group.any()) and bool((degrees @ group == 0).any())
        for factor, group in groups
    )
    return with_contributions if depends else weigh(None)
