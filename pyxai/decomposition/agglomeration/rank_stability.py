"""Whether a hierarchy stays what it is when its input changes a little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_tensor, describe
from pyxai.decomposition.agglomeration.agglomerative_decomposition import AgglomerativeDecomposition
from pyxai.runner import EveryOutput, Runner, one_scope, takes_arrays

__all__ = ["rank_stability"]


@takes_arrays
@one_scope
def rank_stability(
    method: AgglomerativeDecomposition,
    inputs: Tensor,
    perturbed: Tensor,
    targets: Sequence[Any] | None = None,
    additional_forward_args: Any = None,
    feature_mask: Tensor | None = None,
    *,
    layout: str | None = None,
    internal_batch_size: int | None = None,
) -> Tensor:
    """Correlate when units join in the hierarchies of inputs and of perturbed inputs.

    Units are ranked by the iteration in which they were selected, those that none reached last, and
    the ranks before and after are correlated (Spearman), for each of some outputs; the mean over
    these is returned [1]_. Perturbations that change the prediction, such as those of an attack,
    leave a faithful hierarchy alone where they leave what the model reads alone.

    Parameters
    ----------
    method : AgglomerativeDecomposition
        What builds the hierarchies.
    inputs, perturbed : Tensor, shape [batch, *features]
        What it is asked about, of one shape.
    targets : sequence, optional
        The outputs, each in any of captum's forms. Default: the classes that the model predicts for
        the inputs, and those for the perturbed ones.
    additional_forward_args, feature_mask, layout, internal_batch_size
        As for `AgglomerativeDecomposition.agglomerate`; the same for both.

    Returns
    -------
    Tensor, shape [batch]
        float64, from -1 to 1; NaN where all units of a hierarchy join at once.

    Raises
    ------
    TypeError
        If ``method`` is something else.
    ValueError
        If shapes differ, or there are no targets and the method has no model to predict them with.

    References
    ----------
    .. [1] C. Singh, W. J. Murdoch, B. Yu, "Hierarchical interpretations for neural network
       predictions", ICLR 2019, section 4.3.2.
    """
    if not isinstance(method, AgglomerativeDecomposition):
        raise TypeError(f"method must be an AgglomerativeDecomposition, got {describe(method)}")
    shape = list(check_tensor("inputs", inputs).shape)
    if list(check_tensor("perturbed", perturbed).shape) != shape:
        raise ValueError(
            f"perturbed must have the shape of inputs, {shape}, got {list(perturbed.shape)}"
        )
    both = (inputs, perturbed)
    if targets is None:
        if method.model is None:
            raise ValueError("targets must be given for a method without a model, got None")
        targets = [_predicted(method.model, x, additional_forward_args) for x in both]
    if not isinstance(targets, (tuple, list)) or not targets:
        raise ValueError(f"targets must be a list of targets, got {describe(targets)}")
    found = []
    for target in targets:
        before, after = (
            method.agglomerate(
                x,
                target,
                additional_forward_args,
                feature_mask,
                layout=layout,
                internal_batch_size=internal_batch_size,
            )
            for x in both
        )
        pairs = zip(before, after, strict=True)
        found.append([first.rank_correlation(second) for first, second in pairs])
    return torch.tensor(found, dtype=torch.float64).mean(0)


def _predicted(model: Any, inputs: Tensor, arguments: Any) -> list[int] | None:
    """Return the class of the largest output of each example; None for a single output."""
    runner = Runner(model, target=EveryOutput(), additional_forward_args=arguments)
    outputs = runner.values(lambda rows, _: (inputs[rows],), len(inputs), 1).squeeze(1)
    if outputs.dim() == 1:
        return None
    chosen: list[int] = outputs.argmax(1).tolist()
    return chosen
