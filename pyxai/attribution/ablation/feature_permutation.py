"""Feature permutation: what the output loses when a feature comes from another example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._errors import warn
from pyxai._inputs import Players, format_feature_mask, format_inputs, restore_form
from pyxai.attribution.ablation.feature_ablation import perturbation_runner, scores_of_features
from pyxai.game.draws import uniform
from pyxai.game.players import check_one_mask, feature_players
from pyxai.methods.base import PerturbationAttribution, TensorOrTuple
from pyxai.methods.store import register

__all__ = ["FeaturePermutation"]


@register(
    "feature_permutation",
    summary="fall of the output when a feature is shuffled over the batch",
    cost="n_samples * n_features + 1 outputs",
    use=(
        "what a model relies on over many rows, any model; not for few rows, since the others "
        "of the batch are what is drawn from"
    ),
    stochastic=True,
    whole_batch=True,
    axioms=("null_player", "linearity", "implementation_invariance"),
)
class FeaturePermutation(PerturbationAttribution):
    """Difference of the output when one feature is shuffled over the batch.

    ``a[row, i] = f(x[row]) - f(x[row] with feature i of row perm_i(row))``. The other examples of
    the batch serve as the distribution of the feature, so results depend on the batch by
    definition; of a single example nothing can be permuted, and it gets zeros with a warning.
    `PredictionDifference` gives the expectation over a background set instead.

    Parameters
    ----------
    forward_func : callable
        The model.
    perm_func : callable, optional
        ``perm_func(values, mask)`` returns ``values`` with those features permuted over dimension 0
        where the bool ``mask`` is True. Default: a random cycle through the batch, drawn from the
        seed for each feature, so that every row gets the value of another row.

    References
    ----------
    .. [1] L. Breiman, "Random Forests", Machine Learning 45, 2001, section 10.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import FeaturePermutation
    >>> x = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    >>> FeaturePermutation(lambda z: z.sum(1)).attribute(x)
    tensor([[-2.,  0.],
            [ 2.,  0.]])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        perm_func: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(forward_func)
        self.perm_func = perm_func

    def estimates_error(self, options: Mapping[str, Any]) -> bool:
        """Tell whether there is a standard error: one permutation has no spread."""
        return bool(options.get("n_samples", 1) != 1)

    def takes_targets(self, options: Mapping[str, Any]) -> bool:
        """Tell whether several targets go together: always, one row shows all outputs."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        n_samples: int = 1,
        seed: int = 0,
        return_error: bool = False,
    ) -> Any:
        """Attribute the output to the inputs.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain.
        target : int, tuple, list or Tensor, optional
            Which output is explained; None for a model with several: all of them.
        additional_forward_args : any, optional
            Further arguments of the model; they stay with their row. A tensor whose first size is
            that of the batch is taken to hold a row for each example; `pyxai.Shared` says that all
            rows share it.
        feature_mask : Tensor or tuple of Tensor, optional
            Features with the same number are permuted together. Default: each by itself.
        perturbations_per_eval : int
            Above 1: upper bound of the permuted features in one pass. 1: chosen by memory.
        show_progress : bool
            Whether to show a progress bar.
        n_samples : int
            Permutations of each feature, over which the differences are averaged.
        seed : int
            Fixes the permutations of the default ``perm_func``.
        return_error : bool
            Whether to return standard errors over the permutations too; takes two at least.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            In output units; for a model with one scalar per batch, shape [1, *features], and for
            all outputs of every row [batch * n_outputs, *features], those of an example together.
        error : like the attributions
            With ``return_error``.

        Raises
        ------
        ValueError
            If a shape does not fit, or ``n_samples`` is below 1, or 2 with ``return_error``.

        Notes
        -----
        Cost: one row for each example, and ``n_samples`` for each of its features.
        """
        values, is_tuple = format_inputs(inputs)
        batch = values[0].shape[0]
        check_int("n_samples", n_samples, minimum=2 if return_error else 1)
        players = format_feature_mask(feature_mask, values)
        runner = perturbation_runner(
            self.forward_func,
            target,
            additional_forward_args,
            perturbations_per_eval,
            batch,
            show_progress,
        )
        if batch == 1:
            warn("inputs have one example, so that no feature can be permuted: attributions are 0")
            outputs = runner.outputs(values)
            nothing = outputs.new_zeros(outputs.numel(), players.n_players)
            zeros = _in_form(nothing, players, values, is_tuple)
            return (zeros, _in_form(nothing, players, values, is_tuple)) if return_error else zeros
        permuted = self._permuter(values, players, n_samples, seed)

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            numbers = range(repeats.start, repeats.stop)
            parts = [permuted(number - 1) if number else values for number in numbers]
            return tuple(
                torch.stack([part[index][examples] for part in parts], 1).flatten(0, 1)
                for index in range(len(values))
            )

        # Row 0 of every example is the whole input, as in `output_drops`.
        found = runner.values(build, batch, 1 + n_samples * players.n_players, like=values)
        check_one_mask(players.maps, len(found))
        after = found[:, 1:].view(len(found), n_samples, players.n_players, *found.shape[2:])

        def shaped(scores: Tensor) -> Any:
            if scores.dim() == 3:  # all outputs of every example, those of an example together
                scores = scores.transpose(1, 2).flatten(0, 1)
            return _in_form(scores, players, values, is_tuple)

        differences = shaped(found[:, :1] - after.mean(1))
        if not return_error:
            return differences
        return differences, shaped(after.std(1) / n_samples**0.5)

    def _permuter(
        self, values: tuple[Tensor, ...], players: Players, n_samples: int, seed: int
    ) -> Callable[[int], tuple[Tensor, ...]]:
        """Return what permutes: number s * n_players + p is sample s of player p."""
        maps = [
            feature_players(value, owners)
            for value, owners in zip(values, players.maps, strict=True)
        ]
        orders = _cycles(n_samples * players.n_players, values[0].shape[0], seed)

        def permuted(number: int) -> tuple[Tensor, ...]:
            result, player = [], number % players.n_players
            for value, owner in zip(values, maps, strict=True):
                mask = owner == player
                if not bool(mask.any()):
                    result.append(value)
                elif self.perm_func is not None:
                    result.append(self.perm_func(value, mask))
                else:
                    result.append(torch.where(mask, value[orders[number].to(value.device)], value))
            return tuple(result)

        return permuted


def _in_form(
    scores: Tensor, players: Players, inputs: tuple[Tensor, ...], is_tuple: bool
) -> TensorOrTuple:
    """Give every feature the score of its player, in the form of the inputs."""
    parts = zip(players.maps, inputs, strict=True)
    found = tuple(scores_of_features(scores, owners, tensor) for owners, tensor in parts)
    return restore_form(found, is_tuple)


def _cycles(count: int, batch: int, seed: int) -> Tensor:
    """Return random cycles through the batch, int64 [count, batch]."""
    order = uniform(torch.arange(count), batch, seed=seed).argsort(1)
    return torch.empty_like(order).scatter_(1, order, order.roll(-1, 1))
