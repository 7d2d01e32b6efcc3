"""Deconvolution."""

from __future__ import annotations

from torch import Tensor

from pyxai.attribution.gradients.modified_relu import RELUS, ModifiedRelu, relu_table
from pyxai.methods.store import register
from pyxai.tracing import Call

__all__ = ["Deconvolution"]

_TABLE = relu_table("Deconvolution")


@_TABLE.register(*RELUS)
def _deconvolved(call: Call, relevance: Tensor) -> dict[str, Tensor]:
    return {"self": relevance.clamp(min=0)}


@register("deconvolution", axioms=("null_player", "symmetry"), needs="module")
class Deconvolution(ModifiedRelu):
    """Gradient in which a ReLU passes positive gradients, whatever its activation.

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

    table = _TABLE
