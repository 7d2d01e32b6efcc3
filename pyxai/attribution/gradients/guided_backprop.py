"""Guided backpropagation."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.attribution.gradients.modified_relu import ModifiedRelu
from pyxai.methods.store import register

__all__ = ["GuidedBackprop"]


def _guided(relu: Any) -> Any:
    return relu.register_prehook(_positive)


def _positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if each is None else each.clamp(min=0) for each in gradients)


@register(
    "guided_backprop",
    summary="gradient in which ReLUs pass positive gradients only",
    cost="1 gradient",
    use=(
        "sharp pictures of what ReLU nets see; not to tell classes apart: it depends little "
        "on the output or on the last layers"
    ),
    axioms=("null_player", "symmetry"),
    needs="module",
)
class GuidedBackprop(ModifiedRelu):
    """Gradient in which a ReLU passes only positive gradients of positive activations.

    Every ReLU of the model is found, whether it is a module, a function, re-used or in place, in a
    recurrent layer or in a checkpoint. What is none, as torch has it, keeps its gradient: ReLU6,
    leaky ReLU and their like, and ``clamp(min=0)``; so does an ``autograd.Function`` with its own
    backward.

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
    .. [1] J. T. Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR
       workshop 2015, section 3.4.
    """

    method = "Guided Backprop"
    _mark = staticmethod(_guided)
