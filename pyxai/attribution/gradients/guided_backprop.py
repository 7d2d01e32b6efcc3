"""Guided backpropagation."""

from __future__ import annotations

from torch import Tensor

from pyxai.attribution.gradients.modified_relu import RELUS, ModifiedRelu, relu_table
from pyxai.methods.store import register
from pyxai.tracing import Call

__all__ = ["GuidedBackprop"]

_TABLE = relu_table("Guided Backprop")


@_TABLE.register(*RELUS)
def _guided(call: Call, relevance: Tensor) -> dict[str, Tensor]:
    return call.vjp(relevance.clamp(min=0))


@register("guided_backprop", axioms=("null_player", "symmetry"), needs="module")
class GuidedBackprop(ModifiedRelu):
    """Gradient in which a ReLU passes only positive gradients of positive activations.

    Every ReLU of the model is found, whether it is a module, a function, re-used or in place.

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

    table = _TABLE
