"""How far the output falls when a window of features is replaced by the baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import format_baselines, format_inputs, restore_form
from pyxai.attribution.ablation.feature_ablation import perturbation_runner
from pyxai.attribution.ablation.output_drops import changed_players, drops_of, output_drops
from pyxai.attribution.ablation.partial_runs import patched_values, patches_of_windows
from pyxai.attribution.ablation.windows import Windows, per_input
from pyxai.methods.base import PerturbationAttribution, TensorOrTuple
from pyxai.methods.store import register
from pyxai.ops import pack_masks

__all__ = ["Occlusion"]


@register(
    "occlusion",
    summary="fall of the output when a patch is removed",
    cost="n_windows + 1 outputs",
    use=(
        "images and sequences, any model; the window is part of the question: a small one "
        "shows nothing where neighbours tell the same"
    ),
    baselines="optional",
    axioms=("linearity", "implementation_invariance"),
)
class Occlusion(PerturbationAttribution):
    """Occlusion of a sliding window; overlapping windows are averaged.

    ``a[i] = mean over the windows W that contain i of f(x) - f(x with W at the baseline)``

    Axioms: linearity, implementation invariance. Not null player: a feature shares its windows
    with its neighbours.

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
    >>> from pyxai.attribution import Occlusion
    >>> model = lambda x: x.sum(1)
    >>> Occlusion(model).attribute(torch.ones(1, 4), (2,), strides=(2,))
    tensor([[2., 2., 2., 2.]])
    """

    def takes_targets(self, options: Mapping[str, Any]) -> bool:
        """Tell whether several targets go together: always, one row shows all outputs."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        sliding_window_shapes: Any,
        strides: Any = None,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        fast_path: bool = True,
    ) -> TensorOrTuple:
        """Return the mean fall of the output for each example and feature.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        sliding_window_shapes : tuple of int, or tuple of those for a tuple of inputs
            Shape of the window, one size for each dimension of the features.
        strides : int, tuple of int, or tuple of those for a tuple of inputs, optional
            Step of the window in each dimension, at most its size; default 1. Where the steps do
            not end at the edge, the last window stands over it and covers what is left.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            What replaces a feature, in input units; default 0.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
            None for a model with ``n_outputs`` outputs per row: all of them, at no further cost.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        perturbations_per_eval : int
            1: the rows in one call of the model are chosen from its memory. More: at most so many
            windows of every example in one call.
        show_progress : bool
            Whether to show a bar if it takes longer than two seconds; needs tqdm.
        fast_path : bool
            Whether a conv net may compute only what a window reaches, where that is the model and
            less work; equal but for rounding. `pyxai.explain` then says ``path="incremental"``.

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
        Cost: one row for each example, and one more for each window in which any example differs
        from its baseline. On the fast path a window costs the share of each map that it reaches.
        """
        tensors, is_tuple = format_inputs(inputs)
        starts = format_baselines(baselines, tensors)
        windows = _windows(tensors, is_tuple, sliding_window_shapes, strides)
        sizes = [each.n_cells for each in windows]
        first = torch.tensor([0, *sizes]).cumsum(0).tolist()
        maps = tuple(each.features + at for each, at in zip(windows, first, strict=False))
        changed = changed_players(tensors, starts, maps, first[-1])
        touched = [
            each.touching(cells)
            for each, cells in zip(windows, torch.split(changed, sizes), strict=True)
        ]
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
            values = patched_values(
                runner,
                tensors,
                starts,
                len(touched[0]),
                lambda: patches_of_windows(windows[0], touched[0]),
            )
        if values is None:
            masks = _all_but_window(windows, touched, first)
            drops = output_drops(runner, tensors, starts, maps, masks, sum(map(len, touched)))
        else:
            drops = drops_of(values)
        return restore_form(_averages(windows, touched, drops), is_tuple)


def _windows(tensors: tuple[Tensor, ...], is_tuple: bool, shapes: Any, steps: Any) -> list[Windows]:
    """Check window shapes and strides against the inputs and lay out the windows."""
    sizes = [tuple(tensor.shape[1:]) for tensor in tensors]
    widths = per_input("sliding_window_shapes", shapes, sizes, is_tuple)
    strides = per_input("strides", 1 if steps is None else steps, sizes, is_tuple)
    for size, width, stride in zip(sizes, widths, strides, strict=True):
        if any(wide > have > 0 for wide, have in zip(width, size, strict=True)):
            raise ValueError(
                f"sliding_window_shapes must be at most the shape of the features, {size}, "
                f"got {width}"
            )
        # A wider step would leave features that no window covers.
        if any(
            step > wide and wide < have
            for step, wide, have in zip(stride, width, size, strict=True)
        ):
            raise ValueError(f"strides must be at most the window's shape, {width}, got {stride}")
    return [
        Windows.slide(size, width, stride, str(tensor.device))
        for size, width, stride, tensor in zip(sizes, widths, strides, tensors, strict=True)
    ]


def _all_but_window(
    windows: list[Windows], touched: list[Tensor], first: list[int]
) -> Callable[[slice], Tensor]:
    """Return the masks that keep all cells but those of one window of one input."""
    owner = torch.cat([torch.full_like(each, at) for at, each in enumerate(touched)])
    number = torch.cat(touched)

    def masks(numbers: slice) -> Tensor:
        chosen, places = owner[numbers], number[numbers]
        keep = torch.ones(len(chosen), first[-1], dtype=torch.bool, device=number.device)
        for at, each in enumerate(windows):
            rows = (chosen == at).nonzero()[:, 0]
            keep[rows, first[at] : first[at + 1]] = ~each.hidden_cells(places[rows])
        return pack_masks(keep)

    return masks


def _averages(windows: list[Windows], touched: list[Tensor], drops: Tensor) -> tuple[Tensor, ...]:
    results = []
    parts = torch.split(drops, [len(numbers) for numbers in touched], 1)
    for each, numbers, part in zip(windows, touched, parts, strict=True):
        scores = drops.new_zeros(len(drops), each.n_windows)
        scores[:, numbers] = part
        results.append(each.spread(scores))
    return tuple(results)
