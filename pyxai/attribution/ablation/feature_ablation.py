"""How far the output falls when a feature is replaced by its baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import (
    flat_features,
    format_baselines,
    format_feature_mask,
    format_inputs,
    restore_form,
)
from pyxai.attribution.ablation.output_drops import changed_players, drops_of, output_drops
from pyxai.attribution.ablation.partial_runs import values_without
from pyxai.methods.base import PerturbationAttribution, TensorOrTuple
from pyxai.methods.store import register
from pyxai.ops import pack_masks
from pyxai.runner import Runner
from pyxai.runner.target import explained_together

__all__ = ["FeatureAblation", "perturbation_runner", "scores_of_features"]


@register(
    "feature_ablation",
    summary="fall of the output when one feature, or group, is removed",
    cost="n_features + 1 outputs",
    use=(
        "any model, no gradient needed; misses features that stand in for one another, of "
        "which each alone changes nothing"
    ),
    baselines="optional",
    axioms=("null_player", "symmetry", "implementation_invariance", "linearity"),
)
class FeatureAblation(PerturbationAttribution):
    """Occlusion of one feature, or of one group of features, at a time.

    ``a[i] = f(x) - f(x with feature i at the baseline)``

    Axioms: null player, symmetry, linearity, implementation invariance. Not complete: an effect of
    several features together is counted in each of them.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors; it need not be differentiable.

    References
    ----------
    .. [1] M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks",
       ECCV 2014, section 4.2.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import FeatureAblation
    >>> model = lambda x: x[:, 0] * x[:, 1] + x[:, 2]
    >>> FeatureAblation(model).attribute(torch.tensor([[2.0, 3.0, 4.0]]))
    tensor([[6., 6., 4.]])
    """

    def takes_targets(self, options: Mapping[str, Any]) -> bool:
        """Tell whether several targets go together: always, one row shows all outputs."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: TensorOrTuple | None = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        fast_path: bool = True,
    ) -> TensorOrTuple:
        """Return the fall of the output for each example and feature.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            What replaces a feature, in input units; default 0.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
            None for a model with ``n_outputs`` outputs per row: all of them, at no further cost.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        feature_mask : Tensor or tuple of Tensor, shape that broadcasts to the inputs, optional
            Integers from 0: features of the same number are replaced together, also across the
            tensors of a tuple. Default: every feature alone.
        perturbations_per_eval : int
            1: the rows in one call of the model are chosen from its memory. More: at most so many
            perturbations of every example in one call.
        show_progress : bool
            Whether to show a bar if it takes longer than two seconds; needs tqdm.
        fast_path : bool
            Whether to take a way that is equal but for rounding where the model shows one and it is
            less work by the count. `pyxai.explain` then says ``path="incremental"``, of a conv net
            of which only what a feature or group reaches is computed, or ``"linear prefix"``, of a
            model whose first layer is run once for each example.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in output units; float64 for outputs in float64 and float32
            otherwise. For a model with outputs for the whole batch the first size is their number;
            for all outputs of every row it is ``batch * n_outputs``, those of an example together.

        Raises
        ------
        ValueError
            If a shape, a target or a value does not fit.
        TypeError
            If an argument is not of the kind asked for.

        Notes
        -----
        Cost: one row for each example, and one more for each feature that differs from its
        baseline in any example.
        """
        tensors, is_tuple = format_inputs(inputs)
        starts = format_baselines(baselines, tensors)
        players = format_feature_mask(feature_mask, tensors)
        changed = changed_players(tensors, starts, players.maps, players.n_players)
        moved = changed.nonzero()[:, 0]
        runner = perturbation_runner(
            self.forward_func,
            target,
            additional_forward_args,
            perturbations_per_eval,
            len(tensors[0]),
            show_progress,
        )
        values = None
        if fast_path:
            values = values_without(runner, tensors, starts, players.maps, players.n_players, moved)
        if values is None:
            masks = _all_but_one(moved, players.n_players)
            drops = output_drops(runner, tensors, starts, players.maps, masks, len(moved))
        else:
            drops = drops_of(values)
        scores = drops
        if len(moved) < players.n_players:
            scores = drops.new_zeros(len(drops), players.n_players)
            scores[:, moved] = drops
        return restore_form(
            tuple(
                scores_of_features(scores, owners, tensor)
                for owners, tensor in zip(players.maps, tensors, strict=True)
            ),
            is_tuple,
        )


def perturbation_runner(
    forward_func: Callable[..., Any],
    target: Any,
    arguments: Any,
    perturbations_per_eval: int,
    batch: int,
    show_progress: bool,
) -> Runner:
    """Return a runner that reads the arguments as perturbation methods do."""
    check_int("perturbations_per_eval", perturbations_per_eval, minimum=1)
    return Runner(
        forward_func,
        target=explained_together(target),
        additional_forward_args=arguments,
        max_rows=None if perturbations_per_eval == 1 else perturbations_per_eval * batch,
        progress=show_progress,
    )


def _all_but_one(numbers: Tensor, n_players: int) -> Callable[[slice], Tensor]:
    """Return the masks that keep all players but one of those given."""
    full = pack_masks(torch.ones(1, n_players, dtype=torch.bool, device=numbers.device))
    place = (numbers // 32)[:, None]  # of the word in which the mask differs from the full one
    bit = torch.ones_like(place, dtype=torch.int32) << (numbers % 32).int()[:, None]
    word = full[0][place] ^ bit

    def masks(part: slice) -> Tensor:
        hidden = place[part]
        return full.repeat(len(hidden), 1).scatter_(1, hidden, word[part])

    return masks


def scores_of_features(scores: Tensor, owners: Tensor | None, tensor: Tensor) -> Tensor:
    """Give every feature the score of its player: [rows, n_players] -> [rows, *features].

    There is a row for each example, for each output of each example, or one for the batch.
    """
    if owners is None:
        return scores.view(len(scores), *tensor.shape[1:])
    if 1 < len(owners) < len(scores):
        owners = owners.repeat_interleave(len(scores) // len(owners), 0)
    index = flat_features(owners).long().expand(len(scores), -1)
    return scores.gather(1, index).view(len(scores), *tensor.shape[1:])
