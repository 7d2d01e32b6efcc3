"""Penalties of gradients: right for the right reasons, and expected gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int, describe
from pyxai._inputs import flat_features, format_background, format_inputs
from pyxai._random import example_ids as name_examples
from pyxai.decomposition.training.group_masks import group_weights, groups_there
from pyxai.decomposition.training.penalties import reduced
from pyxai.ops import philox_uniform
from pyxai.runner import Output
from pyxai.runner.differentiable import trainable

__all__ = ["expected_gradients_loss", "input_gradients", "rrr_loss"]

TensorOrTuple = Tensor | tuple[Tensor, ...]


def rrr_loss(
    model: Callable[..., Any],
    inputs: TensorOrTuple,
    groups: TensorOrTuple,
    target: Any = None,
    additional_forward_args: Any = None,
    *,
    form: str = "log_probabilities",
    reduction: str = "mean",
) -> Tensor:
    """Return the squared gradient of log probabilities by features that should not matter.

    ``sum_d (A_d d/dx_d sum_k log p_k)^2`` [1]_, to add to the loss of a training step.

    Parameters
    ----------
    model : callable
        Returns logits, [batch, classes], or one a row for two classes; in any mode: it is explained
        in evaluation mode.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Floating point.
    groups : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each
        A: truth values, or shares from 0 to 1; sizes of features may be 1, to broadcast.
    target : int, list or Tensor, optional
        The true classes, which ``form="likelihood"`` needs; None otherwise.
    additional_forward_args : any, optional
        Further arguments of the model. A tensor whose first size is that of the batch is taken to
        hold a row for each example; `pyxai.Shared` says that all rows share it.
    form : {"log_probabilities", "likelihood"}
        The sum over all classes, as in the paper; or the log probability of ``target``, with the
        gradient summed over the channels of an image before it is masked, as in the code of [2]_
        (which divides once more by the size of the batch).
    reduction : "mean" or "none"
        The mean over the examples that have a group, summed over groups; or the penalty of each.

    Returns
    -------
    Tensor, shape [] or [batch, groups]
        Can be differentiated by parameters.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.

    Notes
    -----
    Dropout is off and batch norm uses its running statistics; every module keeps its mode, and the
    random state is not moved. A step costs a forward pass and two backward ones, the second through
    the first: the model must be differentiable twice.

    References
    ----------
    .. [1] A. S. Ross, M. C. Hughes, F. Doshi-Velez, "Right for the Right Reasons: Training
       Differentiable Models by Constraining their Explanations", IJCAI 2017, equation 1.
    .. [2] L. Rieger, C. Singh, W. J. Murdoch, B. Yu, "Interpretations are Useful: Penalizing
       Explanations to Align Neural Networks with Prior Knowledge", ICML 2020.
    """
    check_choice("form", form, ("log_probabilities", "likelihood"))
    check_choice("reduction", reduction, ("mean", "none"))
    of_target = form == "likelihood"
    if of_target == (target is None):
        wanted = "the true classes" if of_target else "None"
        raise ValueError(f"target must be {wanted} for form={form!r}, got {describe(target)}")
    given, _ = format_inputs(inputs, gradients=True)
    weights = group_weights(groups, given)
    output: Output = "log_probability" if of_target else _sum_of_log_probabilities
    gradients = input_gradients(model, given, target, additional_forward_args, output)
    found = []
    for gradient, weight in zip(gradients, weights, strict=True):
        if of_target and gradient.dim() == 4:
            gradient, weight = gradient.sum(1, keepdim=True), _of_pixels(weight)
        terms = (gradient.unsqueeze(1) * weight).square()
        found.append(flat_features(terms.flatten(0, 1)).sum(1).view(terms.shape[:2]))
    penalties = torch.stack(found).sum(0)
    return reduced(penalties, groups_there(groups, len(given[0])), reduction)


def _sum_of_log_probabilities(outputs: Tensor) -> Tensor:
    if outputs.dim() > 2:
        raise ValueError(
            f"model must return logits of shape [batch, classes], got {list(outputs.shape)}"
        )
    if outputs.dim() < 2 or outputs.shape[1] == 1:  # of the second of two classes
        logits = outputs.reshape(len(outputs))
        return torch.nn.functional.logsigmoid(logits) + torch.nn.functional.logsigmoid(-logits)
    return torch.log_softmax(outputs, 1).sum(1)


def _of_pixels(weight: Tensor) -> Tensor:
    """Return the mask of an image by pixels, which all channels must share."""
    first = weight[:, :, :1]
    if bool((weight != first).any()):
        raise ValueError(
            'groups must hold all channels of a pixel or none for form="likelihood", '
            "got groups that divide pixels"
        )
    return first


def expected_gradients_loss(
    model: Callable[..., Any],
    inputs: TensorOrTuple,
    groups: TensorOrTuple,
    background: TensorOrTuple,
    target: Any = None,
    additional_forward_args: Any = None,
    *,
    n_samples: int = 1,
    output: Output = "logit",
    reduction: str = "mean",
    seed: int = 0,
    example_ids: Any = None,
) -> Tensor:
    """Return the absolute expected gradients of features that should not matter.

    ``sum_d A_d |mean over draws of (x - b)_d d/dx_d f(b + a (x - b))|`` [1]_, to add to the loss of
    a training step, with b a row of the background and a uniform in [0, 1).

    Parameters
    ----------
    model : callable
        The model that is trained, in any mode: it is explained in evaluation mode.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Floating point.
    groups : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each
        A: truth values, or shares from 0 to 1; sizes of features may be 1, to broadcast.
    background : Tensor or tuple of Tensor, shape [n_background, *features]
        What is drawn from, such as training examples.
    target : int, tuple, list or Tensor, optional
        Which output f is.
    additional_forward_args : any, optional
        Further arguments of the model. A tensor whose first size is that of the batch is taken to
        hold a row for each example; `pyxai.Shared` says that all rows share it.
    n_samples : int
        Draws of each example. One does where each step draws anew; the absolute value of a mean of
        few is larger than that of many.
    output : "logit", "probability", "log_probability" or callable
        Applied before the target is selected.
    reduction : "mean" or "none"
        The mean over the examples that have a group, summed over groups; or the penalty of each.
    seed : int
        Of the draws; give each step its own, such as its number.
    example_ids : sequence of int or Tensor, shape [batch], optional
        Names of the examples, which key their draws; default: their content.

    Returns
    -------
    Tensor, shape [] or [batch, groups]
        Can be differentiated by parameters.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.

    Notes
    -----
    Dropout is off and batch norm uses its running statistics; every module keeps its mode, and the
    random state is neither read nor moved. A step costs ``n_samples`` forward passes and as many
    double backward passes, all in memory at once.

    References
    ----------
    .. [1] G. Erion et al., "Improving performance of deep learning models with axiomatic
       attribution priors and expected gradients", Nature Machine Intelligence 3, 2021, equation 3.
    """
    check_choice("reduction", reduction, ("mean", "none"))
    check_int("n_samples", n_samples, minimum=1)
    given, _ = format_inputs(inputs, gradients=True)
    weights = group_weights(groups, given)
    rows = format_background(background, given, name="background")
    ids = name_examples(example_ids, given)
    draws = philox_uniform((2,), n_samples, seed=seed, example_ids=ids, dtype=torch.float64)
    draws = draws.to(given[0].device)  # [batch, n_samples, 2]
    which = (draws[..., 0] * len(rows[0])).long()
    starts = tuple(each[which] for each in rows)  # [batch, n_samples, *features]
    steps = tuple(x.unsqueeze(1) - start for x, start in zip(given, starts, strict=True))

    def place(start: Tensor, step: Tensor) -> Tensor:
        share = draws[..., 1].to(step.dtype).view(*which.shape, *[1] * (step.dim() - 2))
        return (start + share * step).flatten(0, 1)

    points = tuple(map(place, starts, steps))
    gradients = input_gradients(
        model, points, target, additional_forward_args, output, repeats=n_samples
    )
    found = []
    for gradient, step, weight in zip(gradients, steps, weights, strict=True):
        mean = (gradient.view(step.shape) * step).mean(1).abs()
        terms = mean.unsqueeze(1) * weight
        found.append(flat_features(terms.flatten(0, 1)).sum(1).view(terms.shape[:2]))
    penalties = torch.stack(found).sum(0)
    return reduced(penalties, groups_there(groups, len(given[0])), reduction)


def input_gradients(
    model: Callable[..., Any],
    rows: tuple[Tensor, ...],
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = None,
    *,
    repeats: int = 1,
) -> tuple[Tensor, ...]:
    """Return the gradients of outputs by inputs, which can be differentiated by parameters.

    Parameters
    ----------
    model, target, additional_forward_args, output
        As for `pyxai.runner.Runner`.
    rows : tuple of Tensor, shape [batch * repeats, *features]
        Example-major.
    repeats : int
        Rows of each example.
    """
    batch = len(rows[0]) // repeats
    arguments = {"target": target, "additional_forward_args": additional_forward_args}
    with trainable(model, batch, **arguments, output=output) as explained:
        leaves = tuple(row.detach().requires_grad_() for row in rows)
        # Copies: the model may write into what it gets.
        outputs = explained(tuple(leaf.clone() for leaf in leaves), slice(0, batch), repeats)
        if not outputs.requires_grad:
            raise ValueError(
                "model output must depend on the inputs in a way that autograd can follow, "
                f"got an output that needs no gradient ({outputs.dtype})"
            )
        found = torch.autograd.grad(outputs.sum(), leaves, create_graph=True, allow_unused=True)
    return tuple(
        torch.zeros_like(leaf) if gradient is None else gradient
        for leaf, gradient in zip(leaves, found, strict=True)
    )
