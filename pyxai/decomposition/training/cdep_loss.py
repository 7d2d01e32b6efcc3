"""Penalise what contextual decomposition finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_choice, describe
from pyxai._inputs import flat_features, format_inputs
from pyxai.decomposition.contextual_decomposition import ContextualDecomposition
from pyxai.decomposition.question import GroupParts
from pyxai.decomposition.training.frozen_prefix import PrefixRows
from pyxai.decomposition.training.gradient_losses import input_gradients
from pyxai.decomposition.training.group_masks import group_weights, groups_there
from pyxai.decomposition.training.penalties import desired_like, penalty_of, reduced
from pyxai.runner.state import find_modules, in_evaluation

__all__ = ["cdep_loss"]

TensorOrTuple = Tensor | tuple[Tensor, ...]
Scorer = ContextualDecomposition | Callable[..., TensorOrTuple] | str


def cdep_loss(
    model: nn.Module,
    inputs: TensorOrTuple | PrefixRows,
    groups: TensorOrTuple | None = None,
    target: Any = None,
    additional_forward_args: Any = None,
    *,
    penalty: str | Callable[[Tensor, Tensor, Tensor], Tensor] = "sigmoid",
    desired: float | Tensor = 0.0,
    scorer: Scorer | None = None,
    reduction: str = "mean",
    internal_batch_size: int | None = None,
) -> Tensor:
    """Return a penalty of what groups of features explain, to add to the loss of a training step.

    ``loss = cross_entropy(model(x), y) + rate * cdep_loss(model, x, groups)`` [1]_

    Parameters
    ----------
    model : Module
        The model that is trained, in any mode: it is explained in evaluation mode.
    inputs : Tensor or tuple of Tensor, shape [batch, *features], or rows of a `FrozenPrefix`
        Floating point, or whole numbers that an embedding reads (words).
    groups : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each
        Which features are in each group, as for `ContextualDecomposition.scores`; None with rows of
        a `FrozenPrefix`, which have them. An example without a feature in a group is not penalised
        for it.
    target : int, tuple, list or Tensor, optional
        For which output. Without one the penalty is the mean over all outputs.
    additional_forward_args : any, optional
        Further arguments of the model. A tensor whose first size is that of the batch is taken to
        hold a row for each example; `pyxai.Shared` says that all rows share it.
    penalty : {"sigmoid", "softplus", "absolute", "square", "ratio"} or callable
        With what the group explains, b, what the rest does, g, and what is desired, t:
        ``|sigmoid(b - g) - t|``, as the authors train with images; ``softplus(b - g) - t (b - g)``,
        as they do with texts, for the output of the true class; ``|b - t|``; ``(b - t)^2``; or
        ``| |b| / (|b| + |g|) - t|``. Or a function of b, g and t.
    desired : float or Tensor, shape [batch or 1, groups or 1] or that of the scores
        What a group should explain: a share of the output for "sigmoid", "softplus" and "ratio", a
        score in output units for the others. 0 for what should not matter.
    scorer : ContextualDecomposition, "input_x_gradient" or callable, optional
        What explains: an object made for ``model``, with other rules than those by default; the
        gradient times the input; or a function that is called with inputs, target and further
        arguments, and returns attributions in the shape of the inputs that can be differentiated
        by parameters. Then a group explains the sum over its features.
    reduction : "mean" or "none"
        The mean over the examples that have a group, summed over groups; or the penalty of each.
    internal_batch_size : int, optional
        Upper bound of the rows in a pass: examples times groups. The result does not depend on it.

    Returns
    -------
    Tensor, shape [] or [batch, groups]
        Float64 for float64 inputs, else float32; can be differentiated by parameters.

    Raises
    ------
    UnsupportedOperationError
        If an op of the model has no rule; the message names it and its source line.
    ValueError, TypeError
        If an argument does not fit.

    Notes
    -----
    The first two penalties have no minimum where the group explains nothing: they push what it
    explains below what the rest does, without end. The others stop at what is desired.
    Batch norm uses its running statistics and dropout is off, so that an example costs what it
    costs alone; every module keeps its mode, and the random state is not moved. Deterministic. A
    step costs a forward pass, for each group about another, and one backward pass through both; no
    second derivatives, but with "input_x_gradient". Where first layers are frozen, `FrozenPrefix`
    runs them once.

    References
    ----------
    .. [1] L. Rieger, C. Singh, W. J. Murdoch, B. Yu, "Interpretations are Useful: Penalizing
       Explanations to Align Neural Networks with Prior Knowledge", ICML 2020, equation 5.

    Examples
    --------
    >>> model = torch.nn.Linear(3, 2)
    >>> decoy = torch.tensor([[[True, False, False]]])  # one group for all examples
    >>> loss = cdep_loss(model, torch.ones(4, 3), decoy, penalty="square")
    >>> loss.backward()
    """
    check_choice("reduction", reduction, ("mean", "none"))
    charge = penalty_of(penalty)
    with in_evaluation(find_modules(model)):
        if isinstance(inputs, PrefixRows):
            _check_alone(groups, additional_forward_args, scorer)
            parts = inputs.parts(model, target, internal_batch_size)
            there = inputs.there()
        else:
            given, _ = format_inputs(inputs)
            parts = _parts(
                model, inputs, groups, target, additional_forward_args, scorer, internal_batch_size
            )
            there = groups_there(groups, len(given[0]))
        wanted = desired_like(parts.relevant, desired, penalty)
    found = charge(parts.relevant, parts.irrelevant, wanted)
    if not isinstance(found, Tensor) or found.shape != parts.relevant.shape:
        raise ValueError(
            f"penalty must return a tensor of the scores' shape {list(parts.relevant.shape)}, "
            f"got {describe(found)}"
        )
    return reduced(flat_features(found.flatten(0, 1)).mean(1).view_as(there), there, reduction)


def _check_alone(groups: Any, arguments: Any, scorer: Any) -> None:
    """Raise where an argument is given that rows of a prefix bring along."""
    for name, value in (
        ("groups", groups), ("additional_forward_args", arguments), ("scorer", scorer)
    ):  # fmt: skip
        if value is not None:
            raise ValueError(
                f"{name} must be None with rows of a FrozenPrefix, got {describe(value)}"
            )


def _parts(
    model: nn.Module,
    inputs: TensorOrTuple,
    groups: Any,
    target: Any,
    arguments: Any,
    scorer: Scorer | None,
    max_rows: int | None,
) -> GroupParts:
    """Return what groups and the rest explain, in the terms of a scorer."""
    if scorer is None:
        scorer = ContextualDecomposition(model)
    if isinstance(scorer, ContextualDecomposition):
        if scorer.model is not model:
            raise ValueError(
                "scorer must be made for the model that is trained, got one of "
                f"{describe(scorer.model)}"
            )
        return scorer.parts(
            inputs,
            groups,
            target,
            arguments,
            internal_batch_size=max_rows,
            create_graph=True,
        )
    given, _ = format_inputs(inputs)
    weights = group_weights(groups, given)
    if scorer == "input_x_gradient":
        gradients = input_gradients(model, given, target, arguments)
        found = tuple(x * gradient for x, gradient in zip(given, gradients, strict=True))
    elif callable(scorer):
        found = _attributions(scorer(inputs, target, arguments), given)
    else:
        raise ValueError(
            'scorer must be a ContextualDecomposition, "input_x_gradient" or a function, '
            f"got {describe(scorer)}"
        )
    return _summed(found, weights)


def _attributions(found: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    several = found if isinstance(found, (tuple, list)) else (found,)
    fits = len(several) == len(inputs) and all(
        isinstance(each, Tensor) and each.shape == x.shape
        for each, x in zip(several, inputs, strict=True)
    )
    if not fits:
        raise ValueError(
            f"scorer must return attributions of the inputs' shapes "
            f"{[list(x.shape) for x in inputs]}, got {describe(found)}"
        )
    return tuple(several)


def _summed(attributions: tuple[Tensor, ...], weights: tuple[Tensor, ...]) -> GroupParts:
    """Return the sums of attributions in each group, and out of it."""
    inside: list[Tensor] = []
    outside: list[Tensor] = []
    for values, weight in zip(attributions, weights, strict=True):
        shares, numbers = flat_features(weight.flatten(0, 1)), flat_features(values).unsqueeze(1)
        shares = shares.view(*weight.shape[:2], -1).to(numbers)
        inside.append((numbers * shares).sum(2))
        outside.append((numbers * (1 - shares)).sum(2))
    relevant, irrelevant = torch.stack(inside).sum(0), torch.stack(outside).sum(0)
    return GroupParts(relevant, irrelevant, torch.zeros_like(relevant))
