"""Methods as weighted sums of effects: ``a_i = sum of weights x effects``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai.taylor.allocation.method_names import canonical_name
from pyxai.taylor.allocation.weights import allocation_weights
from pyxai.taylor.effects.harsanyi import HarsanyiDividends
from pyxai.taylor.effects.subsets import popcounts
from pyxai.taylor.effects.terms import TaylorTerms

__all__ = ["attribution_from_effects"]

Effects = HarsanyiDividends | TaylorTerms

# Methods whose weights depend on the set of players only, not on the degrees within it.
_GENERIC = ("occlusion_1", "occlusion_patch", "prediction_difference", "shapley_value", "deep_shap")
# Rules that share out the neuron's output y, not its change y - sigma(c).
_FROM_OUTPUT = ("lrp_epsilon", "lrp_alpha_beta", "deep_taylor")


def attribution_from_effects(
    method: str, effects: Effects | Sequence[Effects], **options: Any
) -> Tensor:
    """Return the attributions that a method's weights make of given effects.

    Parameters
    ----------
    method : str
        One of the fourteen, see `allocation_weights`.
    effects : HarsanyiDividends, TaylorTerms, or a sequence of them
        Effects between a baseline and the inputs. A sequence holds those of several baselines; the
        result is the mean over them, which is what "expected_gradients", "prediction_difference"
        and "deep_shap" do. `HarsanyiDividends` serve the methods whose weights depend on sets
        only: occlusion, prediction difference, Shapley and Deep SHAP (one layer).
    **options
        Of `allocation_weights`: at, patches, draws, shares, rule, alpha, beta, signs,
        contributions.

    Returns
    -------
    Tensor, float64, shape [batch, n_players]
        In output units; for "grad_cam" over positions.

    Raises
    ------
    ValueError
        If the method's weights depend on more than the effects hold, or a needed option is
        missing.
    TypeError
        If ``effects`` is something else.

    Notes
    -----
    For "lrp_alpha_beta" and "deep_taylor" the effects are those of one neuron between 0 and its
    inputs, biases ignored in the shares; these rules and "lrp_epsilon" share out the output itself,
    so a value at the baseline that is not 0 is distributed too and needs ``contributions``.

    Examples
    --------
    >>> model = Polynomial({(1, 1): 1.0, (1, 0): 1.0})  # x1 x2 + x1
    >>> effects = harsanyi_dividends(model, torch.tensor([[2.0, 3.0]]))
    >>> attribution_from_effects("shapley_value", effects)
    tensor([[5., 3.]], dtype=torch.float64)
    """
    name = method if method == "path_quadrature" else canonical_name(method)
    if isinstance(effects, (list, tuple)):
        parts = [attribution_from_effects(method, each, **options) for each in effects]
        if not parts:
            raise ValueError("effects must hold at least one table, got an empty sequence")
        return torch.stack(parts).mean(0)
    if isinstance(effects, HarsanyiDividends):
        return _from_dividends(name, effects, options)
    if isinstance(effects, TaylorTerms):
        return _from_terms(name, effects, options)
    raise TypeError(
        "effects must be HarsanyiDividends or TaylorTerms, or a sequence of them, "
        f"got a {type(effects).__name__}"
    )


def _from_dividends(name: str, effects: HarsanyiDividends, options: dict[str, Any]) -> Tensor:
    rule = options.get("rule", "neuron_shapley")
    if name not in _GENERIC or rule == "rescale" or options.get("draws") is not None:
        raise ValueError(
            f"effects must be TaylorTerms for {name!r}, whose weights depend on degrees, "
            "got HarsanyiDividends"
        )
    n = effects.n_players
    if name == "shapley_value" or name == "deep_shap":
        shared = effects.values / popcounts(n).clamp_min(1)
        return _sums_with_each_player(shared)
    if name in ("occlusion_1", "prediction_difference"):
        return _sums_with_each_player(effects.values)
    return _patch_scores(effects, options.get("patches"))


def _sums_with_each_player(table: Tensor) -> Tensor:  # [batch, 2**n] -> [batch, n]
    """Sum over the sets that hold player i, for every i."""
    n = (table.shape[1] - 1).bit_length()
    halves = [table.reshape(len(table), -1, 2, 2**player) for player in range(n)]
    return torch.stack([half[:, :, 1].sum((1, 2)) for half in halves], 1)


def _patch_scores(effects: HarsanyiDividends, patches: Any) -> Tensor:
    if patches is None:
        raise ValueError("patches must be given for 'occlusion_patch', got None")
    n = effects.n_players
    scores = effects.values.new_zeros(len(effects.values), n)
    count = torch.zeros(n, dtype=torch.float64)
    for patch in patches:
        bits = sum(1 << player for player in patch)
        met = (torch.arange(2**n) & bits) != 0
        scores[:, list(patch)] += effects.values[:, met].sum(1, keepdim=True)
        count[list(patch)] += 1
    return scores / count.clamp_min(1)


def _from_terms(name: str, effects: TaylorTerms, options: dict[str, Any]) -> Tensor:
    weights = allocation_weights(name, effects.kappas, **options)
    if not isinstance(weights, Tensor):
        raise ValueError(
            f"contributions must be given for {name!r}: some terms miss a sign group and are "
            "shared by the sizes of the contributions, got signs only"
        )
    scores = effects.values @ weights
    offset = effects.baseline_value
    if name in _FROM_OUTPUT and bool((offset != 0).any()):
        scores = scores + offset[:, None] * _offset_weights(name, effects.n_players, options)
    return scores


def _offset_weights(name: str, n: int, options: dict[str, Any]) -> Tensor:  # [n]
    """Return how the rules share out the neuron's value at 0."""
    if options.get("contributions") is None:
        raise ValueError(
            f"contributions must be given for {name!r} when the neuron's value at the baseline is "
            "not 0, got None"
        )
    if name == "lrp_epsilon":
        u = torch.as_tensor(options["contributions"], dtype=torch.float64)
        return u / u.sum()
    weights = allocation_weights(name, [0] * n, **options)
    assert isinstance(weights, Tensor)  # contributions are given
    return weights
