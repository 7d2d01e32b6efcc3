"""Paths from a selection to an input, walked behind the model's first layer.

The first layer is affine, so what it returns along such a path is a straight line too, whose ends
serve all nodes. Going back through the layer is linear, so it is done once, with the weighted mean
of the gradients at the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai.game.path import path_attributions
from pyxai.ops.path_accumulate import path_accumulate
from pyxai.ops.path_points import path_points
from pyxai.runner import Runner, note_path
from pyxai.runner.split import PATH, LayerSizes, PartedModel, may_be_cut, part_model

__all__ = ["Ends", "LinearPaths", "linear_paths"]

# In products, as CPUs take them: what a look at the first layer costs, with its check of outputs
# and gradients; a round's further calls; and, at every node, one more number than the inputs have.
_LOOK = 2**26
_ROUND = 2**24
_NUMBER = 2**5
# How many times more products other devices do in the time of a call: by the rates that makers
# state for GPUs, not measured.
_OTHER_DEVICE = 2**8
# Numbers read of the inputs of all rows; below, not even a look is worth it.
_LEAST_READ = 2**14
# Numbers that the layer returns for the examples that are walked with at once.
_MOST_HELD = 2**24


@dataclass(frozen=True, eq=False)
class Ends:
    """What the first layer returns for some inputs, and the way back through it.

    The way back is the same wherever the inputs stand, so that the pass that found the ends serves
    any number of gradients.

    Attributes
    ----------
    inputs : Tensor, shape [batch, *features]
    recorded : Tensor, shape [batch, *sizes]
        With autograd's record of how it comes from ``inputs``.
    """

    inputs: Tensor
    recorded: Tensor

    @property
    def after(self) -> Tensor:
        """What the layer returns, [batch, *sizes]."""
        return self.recorded.detach()

    def back(self, gradient: Tensor) -> Tensor:
        """Return the gradient at the inputs from that behind the layer."""
        with torch.inference_mode(False):
            given = gradient.to(self.recorded.dtype)
            (found,) = torch.autograd.grad(self.recorded, self.inputs, given, retain_graph=True)
        return found


@dataclass(frozen=True, eq=False)
class LinearPaths:
    """Paths of a model of one input that is cut behind its first layer.

    Attributes
    ----------
    split : PartedModel
    """

    split: PartedModel

    def blocks(self, n_examples: int) -> list[slice]:
        """Cut examples into those whose ends are held at once."""
        size = max(1, _MOST_HELD // self.split.sizes.size)
        return [slice(i, min(i + size, n_examples)) for i in range(0, n_examples, size)]

    def ends(self, inputs: Tensor) -> Ends:
        """Return the ends of paths that lead to inputs [batch, *features]."""
        # A record needs tensors of its own where the caller is in inference mode.
        with torch.inference_mode(False), torch.enable_grad():
            leaf = inputs.detach().clone().requires_grad_()
            return Ends(leaf, self.split.after_of(leaf))

    def starts(
        self, inputs: Tensor, baseline: Tensor | float, owners: Tensor | None, selected: Tensor
    ) -> Tensor:
        """Return what the layer returns where only selected players are at the input.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *features]
        baseline, owners
            Where paths start, and the player of each feature; see `path_points`.
        selected : Tensor, shape [batch, n_words]
            int32 packed masks.
        """
        start = torch.zeros(1, dtype=torch.float64, device=inputs.device)
        with torch.no_grad():
            return self.split.after_of(path_points(inputs, baseline, start, owners, selected)[0])

    def sums(
        self,
        runner: Runner,
        inputs: Tensor,
        baseline: Tensor | float,
        owners: Tensor | None,
        selected: Tensor,
        nodes: Tensor,
        weights: Tensor,
        *,
        n_players: int,
        ends: Ends,
        cotangents: Tensor | None = None,
    ) -> Tensor:
        """Return path integrated gradients of the players from a selection to the inputs.

        Parameters
        ----------
        runner : Runner
            Of ``split``, or of a function of it.
        inputs, baseline, owners, selected
            As for `starts`; players that are selected get 0.
        nodes, weights, cotangents
            As for `path_attributions`.
        n_players : int
            How many players there are.
        ends : Ends
            Those of ``inputs``.

        Returns
        -------
        Tensor, shape [batch, n_players]
            float64 for float64 inputs and float32 otherwise.
        """
        (mean,) = path_attributions(
            runner,
            (ends.after,),
            (self.starts(inputs, baseline, owners, selected),),
            nodes,
            weights,
            multiply_by_inputs=False,
            cotangents=cotangents,
        )
        note_path(PATH)
        once = torch.ones(1, dtype=torch.float64, device=inputs.device)
        gradient = ends.back(mean)[None]
        return path_accumulate(
            gradient, once, inputs, baseline, owners, selected, n_players=n_players
        )


def linear_paths(
    model: Any,
    inputs: Sequence[Tensor],
    baselines: Sequence[Tensor | float],
    arguments: tuple[Any, ...],
    *,
    n_rounds: int,
    n_nodes: int,
) -> LinearPaths | None:
    """Return paths behind a model's first layer, where that is exact and pays.

    Parameters
    ----------
    model : callable
    inputs : sequence of Tensor, shape [batch, *features]
    baselines : sequence of float or Tensor, shape [1 or batch, *features]
    arguments : tuple
        Further arguments of the model.
    n_rounds, n_nodes : int
        How many paths are walked to each input, and how many gradients are taken on each.

    Returns
    -------
    LinearPaths or None
        None where the model must be asked directly: it has several inputs or further arguments, or
        inputs that are not float32 or float64, does not begin with a linear layer or a convolution
        that alone reads them, has gradients other than those of its parts, or the products saved,
        counted from sizes, are too few.
    """
    x, batch = inputs[0], len(inputs[0])
    known = may_be_cut(inputs)
    few = batch * n_rounds * n_nodes * x[0].numel() < _LEAST_READ
    if not known or arguments or few or not Runner(model).is_plain:
        return None
    start = baselines[0]
    first = start[:1] if isinstance(start, Tensor) else start
    split = part_model(
        model,
        x,
        lambda: torch.cat([x[:1], (x[:1] + first) / 2]),
        lambda layer: _pays(layer, batch, n_rounds, n_nodes, x.device),
        gradients=True,
    )
    return None if split is None else LinearPaths(split)


def _pays(layer: LayerSizes, batch: int, n_rounds: int, n_nodes: int, device: torch.device) -> bool:
    """Whether more products are saved than all that is done for it costs."""
    passes = 2 * n_nodes - 3  # both ways at every node, against both ends and once back
    saved = layer.size * layer.n_terms * passes
    # Paths of the inputs are still walked to the selection.
    further = _NUMBER * (n_nodes * layer.size - (n_nodes - 1) * layer.n_features)
    calls = 1 if device.type == "cpu" else _OTHER_DEVICE
    return n_rounds * (batch * (saved - further) - calls * _ROUND) >= calls * _LOOK
