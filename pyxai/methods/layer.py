"""The contract of a method that attributes to the values of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from pyxai._checks import check_tensor, describe
from pyxai.methods.base import GradientAttribution

__all__ = ["LayerAttribution"]


class LayerAttribution(GradientAttribution):
    """A method that attributes to the values of a layer.

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module
        Where to attribute to.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    Raises
    ------
    TypeError
        If ``layer`` is not a module.
    """

    _explains_inputs = False

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module,
        device_ids: list[int] | None = None,
    ) -> None:
        super().__init__(forward_func)
        if not isinstance(layer, nn.Module):
            raise TypeError(f"layer must be a module, got {describe(layer)}")
        self.layer = layer
        self.device_ids = device_ids

    @staticmethod
    def interpolate(
        layer_attribution: Tensor,
        interpolate_dims: int | tuple[int, ...],
        interpolate_mode: str = "nearest",
    ) -> Tensor:
        """Bring the map of a layer to the size of an image, to look at.

        Parameters
        ----------
        layer_attribution : Tensor, shape [batch, channels, *sizes]
            One to three sizes.
        interpolate_dims : int or tuple of int
            Sizes wanted, usually ``inputs.shape[2:]``.
        interpolate_mode : str
            ``"nearest"``, ``"area"``, ``"linear"`` (1-d), ``"bilinear"`` or ``"bicubic"`` (2-d),
            ``"trilinear"`` (3-d).

        Returns
        -------
        Tensor, shape [batch, channels, *interpolate_dims]
        """
        check_tensor("layer_attribution", layer_attribution)
        return nn.functional.interpolate(layer_attribution, interpolate_dims, mode=interpolate_mode)
