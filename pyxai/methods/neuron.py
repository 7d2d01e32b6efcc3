"""The contract of a method that attributes neurons of a layer to the inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyxai.methods.base import GradientAttribution
from pyxai.methods.layer import find_layer

__all__ = ["NeuronAttribution"]


class NeuronAttribution(GradientAttribution):
    """A method that attributes neurons of a layer, in the place of an output, to the inputs.

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module or str
        Where the neurons are: a module, or its name among the model's ``named_modules()``.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    Raises
    ------
    TypeError
        If ``layer`` is neither.
    ValueError
        If the model has no layer of that name; the nearest are listed.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
    ) -> None:
        super().__init__(forward_func)
        self.layer = find_layer(forward_func, layer)
        self.device_ids = device_ids

    @property
    def explains_every_output(self) -> bool:
        """True: which output there is does not matter to a neuron."""
        return True
