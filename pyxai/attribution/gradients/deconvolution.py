"""Deconvolution."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.attribution.gradients.modified_relu import ModifiedRelu
from pyxai.methods.store import register

__all__ = ["Deconvolution"]


def _deconvolved(relu: Any) -> Any:
    return relu.register_hook(_positive)


def _positive(
    _: tuple[Tensor | None, ...], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    return tuple(None if each is None else each.clamp(min=0) for each in gradients)


@register(
    "deconvolution",
    summary="gradient in which ReLUs act on gradients instead of activations",
    cost="1 gradient",
    use=(
        "to compare with older work; for the same reasons as guided backpropagation not to "
        "tell classes apart"
    ),
    axioms=("null_player", "symmetry"),
    needs="module",
)
class Deconvolution(ModifiedRelu):
    """Gradient in which a ReLU passes positive gradients, whatever its activation.

    What counts as a ReLU is said in `GuidedBackprop`.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example.

    Raises
    ------
    TypeError
        If ``model`` is no ``nn.Module``.

    References
    ----------
    .. [1] M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV
       2014, section 2.1.
    """

    method = "Deconvolution"
    _mark = staticmethod(_deconvolved)
