"""Scores of groups by outputs of the model alone: what to compare a decomposition with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, check_model
from pyxai._inputs import format_baselines, format_inputs
from pyxai.decomposition.groups import Groups, groups_of_masks, interactions_of
from pyxai.methods.base import baseline_rows
from pyxai.runner import EveryOutput, Runner

__all__ = ["BuildUp", "GroupOcclusion"]

TensorOrTuple = Tensor | tuple[Tensor, ...]


class _RemovalScores:
    """Score groups by outputs of the model where some features are at a baseline.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors.
    """

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        check_model("forward_func", forward_func)
        self.forward_func = forward_func

    _shows_the_group: bool

    def scores(
        self,
        inputs: TensorOrTuple,
        groups: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        baselines: Any = None,
        internal_batch_size: int | None = None,
    ) -> Tensor:
        """Score groups that masks describe.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            Floating point.
        groups : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each
            Which features are in each group: truth values, or shares from 0 to 1. Sizes of
            features may be 1, to broadcast.
        target : int, tuple, list or Tensor, optional
            Which output; without one all outputs are scored.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        baselines : float, Tensor or tuple of those, optional
            What a feature is when it is removed; 0 by default.
        internal_batch_size : int, optional
            Upper bound of the rows in a pass.

        Returns
        -------
        Tensor, shape [batch, groups], or [batch, groups, n_outputs] without a target
            In output units, float64 for float64 inputs, else float32.
        """
        score, masks = self._prepared(
            inputs, groups, target, additional_forward_args, baselines, internal_batch_size
        )
        return score(masks)

    def interactions(
        self,
        inputs: TensorOrTuple,
        groups: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        baselines: Any = None,
        internal_batch_size: int | None = None,
    ) -> Tensor:
        """Return what pairs of groups score beyond what each scores by itself.

        Parameters
        ----------
        inputs, groups, target, additional_forward_args, baselines, internal_batch_size
            As for `scores`.

        Returns
        -------
        Tensor, shape [batch, groups, groups], or [batch, groups, groups, n_outputs]
            Symmetric, 0 on the diagonal.

        Raises
        ------
        ValueError
            If groups share a feature.
        """
        return interactions_of(
            *self._prepared(
                inputs, groups, target, additional_forward_args, baselines, internal_batch_size
            )
        )

    def _prepared(
        self,
        inputs: TensorOrTuple,
        groups: TensorOrTuple,
        target: Any,
        additional_forward_args: Any,
        baselines: Any,
        internal_batch_size: int | None,
    ) -> tuple[Callable[[Groups], Tensor], Groups]:
        given, _ = format_inputs(inputs, gradients=True)
        masks = groups_of_masks(groups, given)
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        starts = tuple(
            baseline_rows(start, x)
            for start, x in zip(format_baselines(baselines, given), given, strict=True)
        )
        runner = Runner(
            self.forward_func,
            target=EveryOutput() if target is None else target,
            additional_forward_args=additional_forward_args,
            max_rows=internal_batch_size,
        )
        return lambda some: self._scored(runner, given, starts, some), masks

    def _scored(
        self, runner: Runner, inputs: tuple[Tensor, ...], starts: tuple[Tensor, ...], groups: Groups
    ) -> Tensor:
        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            rows = []
            for mask, x, start in zip(groups.masks(examples, repeats), inputs, starts, strict=True):
                shown = mask if self._shows_the_group else 1 - mask
                rows.append(
                    torch.lerp(start[examples, None], x[examples, None], shown).flatten(0, 1)
                )
            return tuple(rows)

        found = runner.values(build, len(inputs[0]), groups.count)
        if self._shows_the_group:
            return found
        whole = runner.values(lambda e, _: tuple(x[e] for x in inputs), len(inputs[0]), 1)
        return whole - found


class BuildUp(_RemovalScores):
    """Score a group by the output where it alone is shown: ``f(x m + b (1 - m))`` [1]_.

    An empty group scores the output at the baseline. Has the methods of
    `ContextualDecomposition`, for any function.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors.

    Raises
    ------
    TypeError
        If it cannot be called.

    References
    ----------
    .. [1] C. Singh, W. J. Murdoch, B. Yu, "Hierarchical interpretations for neural network
       predictions", ICLR 2019, section 4 (and its code, ``build_up``).
    """

    _shows_the_group = True


class GroupOcclusion(_RemovalScores):
    """Score a group by how far the output falls without it: ``f(x) - f(x (1 - m) + b m)`` [1]_.

    An empty group scores 0, the group of all features the difference to the output at the baseline.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors.

    Raises
    ------
    TypeError
        If it cannot be called.

    References
    ----------
    .. [1] C. Singh, W. J. Murdoch, B. Yu, "Hierarchical interpretations for neural network
       predictions", ICLR 2019, section 4 (and its code, ``occlusion``).
    """

    _shows_the_group = False
