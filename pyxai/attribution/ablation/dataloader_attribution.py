"""Feature ablation of a number that a whole data set has, such as the precision of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import RandomSampler

from pyxai._checks import check_finite, check_int, describe
from pyxai._inputs import format_baselines, format_feature_mask, format_inputs, restore_form
from pyxai.attribution.ablation.feature_ablation import FeatureAblation
from pyxai.methods.base import Attribution, TensorOrTuple
from pyxai.runner.notes import named, note_call
from pyxai.runner.progress import Progress
from pyxai.runner.state import find_modules, left_as_found, random_state_kept

__all__ = ["DataLoaderAttribution"]

_ATTRIBUTED, _GIVEN, _LEFT_OUT = 0, 1, 2  # as captum's code has them; its text swaps the last two

Reduce = Callable[[Any, Tensor, tuple[Any, ...]], Any]
Rows = tuple[Any, ...]


class DataLoaderAttribution(Attribution):
    """Feature ablation of what a whole data set adds up to, batch by batch.

    ``a[i] = m(all batches) - m(all batches with feature i at the baseline)``, with ``m`` a metric
    of all outputs. Axioms: those of `FeatureAblation`, of the metric as a function of the data.

    Parameters
    ----------
    attr_method : FeatureAblation
        Made for the model.

    Raises
    ------
    TypeError
        If it is another method.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> from pyxai.attribution import DataLoaderAttribution, FeatureAblation
    >>> data = TensorDataset(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]))
    >>> explainer = DataLoaderAttribution(FeatureAblation(lambda x: x.sum(1)))
    >>> def total(so_far, outputs, inputs):
    ...     return outputs.sum() if so_far is None else so_far + outputs.sum()
    >>> explainer.attribute(DataLoader(data, batch_size=2), reduce=total)
    (tensor([[ 9., 15.]]),)
    """

    def __init__(self, attr_method: FeatureAblation) -> None:
        if type(attr_method) is not FeatureAblation:
            raise TypeError(f"attr_method must be a FeatureAblation, got {describe(attr_method)}")
        super().__init__(attr_method.forward_func)
        self.attr_method = attr_method

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: differences of a metric are in its units."""
        return True

    def attribute(
        self,
        dataloader: Iterable[Any],
        input_roles: Sequence[int] | None = None,
        baselines: Any = None,
        feature_mask: TensorOrTuple | None = None,
        reduce: Reduce | None = None,
        to_metric: Callable[[Any], Tensor] | None = None,
        perturbations_per_pass: int = 1,
        show_progress: bool = False,
        return_input_shape: bool = True,
    ) -> TensorOrTuple:
        """Return the fall of the metric for each feature.

        Parameters
        ----------
        dataloader : iterable
            Gives the same batches each time, tensors [batch, *features] or tuples of equal length.
        input_roles : sequence of int, optional
            What each part of a batch is: 0, it goes to the model and is attributed to; 1, it only
            goes to the model; 2, it does not go to the model, such as labels. Default: all 0.
        baselines : float, Tensor, or tuple of those, shape [1, *features], optional
            What replaces a feature, for parts of role 0; default 0.
        feature_mask : Tensor or tuple of Tensor, shape that broadcasts to [1, *features], optional
            Integers from 0: features of the same number are replaced together.
        reduce : callable, optional
            ``reduce(so_far, outputs, inputs)`` returns what to go on with after a batch, of the
            model's outputs and all parts of the batch; ``so_far`` is None at first. Default: the
            outputs of all rows one after another.
        to_metric : callable, optional
            ``to_metric(so_far)`` returns the tensor of numbers to explain. Default: as it is.
        perturbations_per_pass : int
            How many features, or groups, are replaced by turns in one pass through the data.
        show_progress : bool
            Whether to show a bar if it takes longer than two seconds; needs tqdm.
        return_input_shape : bool
            Whether each feature gets the number of its group; otherwise there is one column for
            each number that a group may have.

        Returns
        -------
        Tensor or tuple of Tensor, shape [n_numbers, *features] or [n_numbers, n_groups]
            ``n_numbers`` is that of the metric, flattened. A tuple where batches are.

        Raises
        ------
        ValueError
            If there is no batch, batches differ in form, a role, mask or baseline does not fit, or
            the loader shuffles and nothing says how outputs add up.
        TypeError
            If a part of role 0 or the metric is no tensor.

        Notes
        -----
        Cost: two passes through the data, one of them with the model, and a further one for every
        ``perturbations_per_pass`` groups, in which the model runs once for each of them. The model
        gets the batches of the loader as they are, all rows at once.
        """
        check_int("perturbations_per_pass", perturbations_per_pass, minimum=1)
        _check_order(dataloader, reduce)
        data = _read(dataloader, input_roles, baselines, feature_mask)
        numbers = range(data.n_groups)
        passes: list[list[int | None]] = [[None]]  # at first with nothing hidden
        passes += [
            list(numbers[at : at + perturbations_per_pass])
            for at in numbers[::perturbations_per_pass]
        ]
        metrics: list[Tensor] = []
        with Progress(show_progress, 1 + data.n_groups) as bar:
            for hidden in passes:
                for accumulated in self._pass(dataloader, data, hidden, reduce or _joined):
                    metrics.append(_metric_of(accumulated, to_metric, metrics))
                bar.advance(len(hidden))
        drops = torch.stack([metrics[0] - each for each in metrics[1:]], 1)
        scores = drops.new_zeros(len(drops), int(data.ids[-1]) + 1)
        scores[:, data.ids.to(drops.device)] = drops
        if not return_input_shape:
            return scores
        parts = (
            drops.to(first.device)[:, owners.flatten()].view(len(drops), *first.shape[1:])
            for owners, first in zip(data.owners, data.first, strict=True)
        )
        return restore_form(tuple(parts), data.is_tuple)

    def _pass(
        self, dataloader: Iterable[Any], data: _Data, hidden: list[int | None], reduce: Reduce
    ) -> list[Any]:
        """Go through the data once, with each of some groups hidden, or with none."""
        so_far: list[Any] = [None] * len(hidden)
        modules = find_modules(self.forward_func)
        # Each pass starts from the same random numbers, so that data that are drawn are the same.
        with left_as_found(modules) as state, torch.no_grad():
            for batch in dataloader:
                for at, group in enumerate(hidden):
                    parts = data.perturbed(batch, group)
                    rows = [
                        p for p, role in zip(parts, data.roles, strict=True) if role != _LEFT_OUT
                    ]
                    state.restore()
                    try:
                        outputs = self.forward_func(*rows)
                    except Exception as error:
                        note_call(error, named(tuple(rows), ()), modules)
                        raise
                    so_far[at] = reduce(so_far[at], outputs, parts)
        return so_far


@dataclass(frozen=True)
class _Data:
    """What batches are made of, as the first of them shows, and which features go together."""

    first: tuple[Tensor, ...]  # the parts that are attributed to
    roles: tuple[int, ...]
    is_tuple: bool
    baselines: tuple[Tensor, ...]  # [1, *features] or []
    owners: tuple[Tensor, ...]  # int64 [1, *features]: numbers of groups, from 0
    ids: Tensor  # int64 [n_groups], what the caller calls them

    @property
    def n_groups(self) -> int:
        return len(self.ids)

    def perturbed(self, batch: Any, group: int | None) -> Rows:
        """Return all parts of a batch, with a group of features at the baseline."""
        parts, _ = _parts_of(batch)
        if len(parts) != len(self.roles):
            raise ValueError(
                f"dataloader must give {len(self.roles)} part(s) in each batch, got {len(parts)}"
            )
        found, places = list(parts), [n for n, role in enumerate(self.roles) if role == _ATTRIBUTED]
        for place, like, start, owners in zip(
            places, self.first, self.baselines, self.owners, strict=True
        ):
            value = parts[place]
            if not isinstance(value, Tensor) or value.shape[1:] != like.shape[1:]:
                raise ValueError(
                    f"dataloader must give rows of shape {list(like.shape[1:])} in part {place} of "
                    f"each batch, got {describe(value)}"
                )
            if group is not None and bool((owners == group).any()):
                hidden = (owners == group).to(value.device)
                found[place] = torch.where(hidden, start.to(value.device, value.dtype), value)
        return tuple(found)


def _read(
    dataloader: Iterable[Any], roles: Sequence[int] | None, baselines: Any, feature_mask: Any
) -> _Data:
    """Look at the first batch, and bring the arguments to the form of its parts."""
    with random_state_kept():
        batch = next(iter(dataloader), None)
    if batch is None:
        raise ValueError("dataloader must give at least one batch, got none")
    parts, is_tuple = _parts_of(batch)
    chosen = (_ATTRIBUTED,) * len(parts) if roles is None else tuple(roles)
    known = (_ATTRIBUTED, _LEFT_OUT, _GIVEN)
    if len(chosen) != len(parts) or _ATTRIBUTED not in chosen or not set(chosen) <= set(known):
        raise ValueError(
            f"input_roles must be one of 0, 1 and 2 for each of {len(parts)} part(s) of a batch, "
            f"with a 0 among them, got {list(chosen)}"
        )
    wanted = tuple(p for p, role in zip(parts, chosen, strict=True) if role == _ATTRIBUTED)
    first, _ = format_inputs(wanted if len(wanted) > 1 else wanted[0])
    one = tuple(value[:1] for value in first)  # masks and baselines are the same for all rows
    players = format_feature_mask(feature_mask, one)
    starts = format_baselines(baselines, one)
    return _Data(
        first,
        chosen,
        is_tuple,
        tuple(torch.as_tensor(start, dtype=v.dtype) for start, v in zip(starts, one, strict=True)),
        tuple(
            torch.arange(value.numel()).view(value.shape) if owners is None else owners.long()
            for owners, value in zip(players.maps, one, strict=True)
        ),
        players.ids,
    )


def _parts_of(batch: Any) -> tuple[Rows, bool]:
    """Return the parts of a batch, and whether it has several or could have."""
    is_tuple = isinstance(batch, (tuple, list))
    return (tuple(batch) if is_tuple else (batch,)), is_tuple


def _check_order(dataloader: Any, reduce: Reduce | None) -> None:
    """Raise if outputs are joined row by row, and rows come in another order each time."""
    sampler = getattr(dataloader, "sampler", None)
    if reduce is None and isinstance(sampler, RandomSampler) and sampler.generator is not None:
        raise ValueError(
            "dataloader must give its rows in one order for their outputs to be compared, got one "
            "that shuffles by a generator of its own; give reduce, which adds them up"
        )


def _joined(so_far: Any, outputs: Tensor, inputs: Rows) -> Tensor:
    return outputs if so_far is None else torch.cat([so_far, outputs])


def _metric_of(
    accumulated: Any, to_metric: Callable[[Any], Tensor] | None, before: list[Tensor]
) -> Tensor:
    """Return the numbers to explain, flattened."""
    metric = accumulated if to_metric is None else to_metric(accumulated)
    if not isinstance(metric, Tensor):
        what = "reduce" if to_metric is None else "to_metric"
        raise TypeError(
            f"{what} must return a tensor of numbers to explain, got {describe(metric)}"
        )
    check_finite("metric", metric)
    if before and metric.numel() != len(before[0]):
        raise ValueError(
            f"metric must have as many numbers in each pass, {len(before[0])}, got {metric.numel()}"
        )
    found = metric.detach().flatten()
    return found if found.dtype == torch.float64 else found.float()
