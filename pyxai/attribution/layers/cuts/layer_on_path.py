"""Values of a layer, and gradients at them, while the inputs move along a straight path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_int
from pyxai._inputs import format_baselines, format_inputs
from pyxai.attribution.layers.cuts.layer_probe import LayerProbe
from pyxai.game.path import rows_of
from pyxai.ops.path_points import path_points
from pyxai.runner import Runner
from pyxai.runner.arguments import as_arguments

__all__ = ["Visit", "layer_on_path"]

# Of values and gradients, each [nodes, examples, ...], at some nodes of some examples.
Visit = Callable[[slice, slice, tuple[Tensor, ...], tuple[Tensor, ...]], None]


def layer_on_path(
    forward_func: Callable[..., Any],
    layer: nn.Module,
    at_input: bool,
    inputs: Any,
    baselines: Any,
    target: Any,
    additional_forward_args: Any,
    nodes: Tensor,
    max_rows: int | None,
    visit: Visit,
    zeros_if_unused: bool,
) -> None:
    """Run a model at points of the path, ``b + t (x - b)``, and show what its layer does there.

    Parameters
    ----------
    forward_func, layer, at_input
        The model, its layer, and whether it is what the layer takes.
    inputs, baselines : Tensor or tuple, floating point
        As a user gives them: the ends of the path.
    target, additional_forward_args
        As of the methods.
    nodes : Tensor, shape [n_nodes]
        float64, t.
    max_rows : int, optional
        Upper bound of the rows in one pass.
    visit : callable
        ``visit(examples, nodes, values, gradients)``, once for each pass; those of an example come
        in the order of the nodes.
    zeros_if_unused : bool
        Whether gradients are 0 where the output does not depend on the layer, and no error.
    """
    tensors, _ = format_inputs(inputs, gradients=True)
    starts = format_baselines(baselines, tensors)
    arguments = as_arguments(additional_forward_args)
    if max_rows is not None:
        check_int("internal_batch_size", max_rows, minimum=1)
    probe = LayerProbe(forward_func, layer, at_input, len(tensors), zeros_if_unused)
    batch = len(tensors[0])
    probe.measure(batch, (*tensors, *arguments))
    runner = Runner(probe, target=target, additional_forward_args=arguments, max_rows=max_rows)

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        points = [
            path_points(tensor[examples], rows_of(start, examples), nodes[repeats]).flatten(0, 1)
            for tensor, start in zip(tensors, starts, strict=True)
        ]
        rows = len(points[0])
        zeros = [form.expand(rows, *form.shape[1:]).clone() for form in probe.forms]
        return (*zeros, *points)

    def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
        count = repeats.stop - repeats.start
        values, gradients = (
            tuple(
                each.to(torch.promote_types(each.dtype, torch.float32)).view(
                    count, -1, *each.shape[1:]
                )
                for each in parts
            )
            for parts in (probe.seen, grads[: len(probe.forms)])
        )
        visit(examples, repeats, values, gradients)

    runner.gradients(build, batch, len(nodes), consume)
