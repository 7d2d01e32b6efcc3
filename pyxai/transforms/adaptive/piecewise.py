"""Whether a model is linear between kinks, told from its traced graph."""

from __future__ import annotations

import contextlib
from typing import Any

from torch import Tensor, nn

from pyxai._errors import UnsupportedOperationError
from pyxai.tracing import Node, is_affine, trace
from pyxai.tracing.nodes import op_names

__all__ = ["is_piecewise_linear"]

# One operand that depends on the inputs; others are constants.
_BENT = op_names(
    """_adaptive_max_pool2d abs adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d amax
    amin clamp clamp_max clamp_min cummax cummin dropout hardshrink hardtanh kthvalue leaky_relu max
    max_pool1d max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices maximum median
    min minimum relu relu6 sort softshrink threshold topk"""
)
# What only says which piece an input is in; gradients do not go through it.
_CHOICES = op_names(
    """argmax argmin argsort bitwise_and bitwise_not bitwise_or ceil eq floor ge gt isnan le
    logical_and logical_not logical_or lt ne round sgn sign trunc"""
)


def is_piecewise_linear(model: Any, inputs: Tensor) -> bool:
    """Tell whether all second derivatives of a model's outputs vanish between kinks.

    Parameters
    ----------
    model : callable
        Only a module can be looked into.
    inputs : Tensor, shape [batch, *features]
        Of the form that the model takes.

    Returns
    -------
    bool
        False also where that is not known: no module, a model that cannot be traced, an op that is
        on no list.
    """
    if not isinstance(model, nn.Module):
        return False
    with contextlib.suppress(UnsupportedOperationError, TypeError):
        return all(_is_piece(node) for node in trace(model, inputs[:2]).calls())
    return False


def _is_piece(node: Node) -> bool:
    names = set(node.dependents())
    if node.touches_complex():  # a size is no piece of a plane
        return is_affine(node)
    if node.op == "where":  # pieces chosen by a condition, which may depend on the inputs
        return True
    if node.op == "_prelu_kernel":
        return names == {"self"}
    if node.op == "mul":
        return len(names) == 1 or any(_is_choice(each) for each in node.operands())
    return node.op in _BENT or node.op in _CHOICES or is_affine(node)


def _is_choice(node: Node) -> bool:
    """Whether a value is constant between kinks, such as a mask of what is above 0."""
    if not node.depends or node.op in _CHOICES:
        return True
    return node.op in ("_to_copy", "to", "unsqueeze", "expand", "view") and all(
        _is_choice(each) for each in node.operands()
    )
