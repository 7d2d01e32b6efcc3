"""Rules for ops that are affine in what is split: linear part by part, the constant by shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai.propagation.decomposed.functions import function, product
from pyxai.propagation.decomposed.kinds import SPLIT, WORDS
from pyxai.propagation.decomposed.split import (
    ABSENT,
    Constant,
    Judged,
    Split,
    Terms,
    Value,
    refusal,
    split_of,
)
from pyxai.tracing import LINEAR_MAPS, Call
from pyxai.tracing.interpreter import invoke
from pyxai.tracing.nodes import op_names
from pyxai.tracing.vjp import batch_norm_scale

__all__ = [
    "CONSTANTS",
    "Form",
    "batch_norm",
    "bilinear",
    "divided",
    "embedding",
    "finish",
    "mapped",
    "moved",
    "summed",
]

# Ops that put given values at some places, beside elements of what is split.
CONSTANTS = op_names(
    """cat constant_pad_nd copy index_put masked_fill scatter scatter_add select_scatter
    slice_scatter stack where"""
)
_ADDENDS = {"linear": "bias", "convolution": "bias"}
_ADDENDS |= dict.fromkeys(op_names("addmm addmv baddbmm"), "self")
_SELECTORS = frozenset({"condition", "index", "indices", "mask"})


class Form(NamedTuple):
    """An affine op: ``linear`` of any part of its operands, and a constant."""

    linear: Callable[..., Tensor]
    """Takes a value of each operand, as `Split.arguments` does."""
    constant: Tensor | None = None
    size: Callable[[], Tensor] | None = None
    """Sum of the absolute terms of the total's linear part."""
    judged: Callable[[], Judged] | None = None
    """What decides who gets the constant, in place of the linear part."""

    def terms_of(self, split: Split) -> Callable[[], Terms]:
        """Return what computes the linear part of the total, and the sum of its absolute terms."""
        return lambda: (
            self.linear(split.total, lean=True),
            None if self.size is None else self.size(),
        )


def finish(call: Call, form: Form) -> Any:
    """Split an op of one value by its form."""
    split = split_of(call)
    if split.of_biases:
        return _of_biases(call, form)
    linear = form.linear(split.relevant)
    constant = None
    if form.constant is not None:
        total, size = split.terms(call, form.terms_of(split))
        judged = None if form.judged is None else form.judged()
        constant = Constant(form.constant, total, size, judged)
    result = split.shared(call, linear, constant)
    result = result + _of_state(call, form) if "recurrent" in call.node.memory else result
    if split.errors is not None:
        parts = linear + form.linear(split.rest)
        split.note(call, parts if form.constant is None else parts + form.constant)
    return result


def _of_biases(call: Call, form: Form) -> Any:
    split = split_of(call)
    if split.is_state(call):
        return ABSENT  # `_of_state` gives it away
    apart = form.constant is not None and split.biases_apart(call)
    if split.absent(call) and not apart:
        return ABSENT
    linear = form.linear(split.relevant)
    return linear + form.constant if apart and form.constant is not None else linear


def _of_state(call: Call, form: Form) -> Tensor | float:
    """Return the group's share of what biases alone add to the state of a recurrent step."""
    split = split_of(call)
    if not split.is_state(call) or not split.has_stream(call):
        return 0.0
    alone = form.linear(split.of_bias)
    return split.of_step(call) * alone


def moved(call: Call) -> Any:
    """Move elements around, or take sums of them; constants among them count as biases."""
    split = split_of(call)
    if not split.moving(call):
        return _words(call)
    if set(split.moving(call)) & _SELECTORS:
        raise refusal(call, split.moving(call))
    return _beside_constants(call) if call.node.op in CONSTANTS else _listed(call)


def _beside_constants(call: Call) -> Any:
    split = split_of(call)
    constant = _run(call, split, split.nothing)

    def linear(value: Value, *, lean: bool = False) -> Tensor:
        # Whole elements are taken or left, so that the difference is exact.
        return _finite(_run(call, split, split.whole if lean else value) - constant)

    return finish(call, Form(linear, constant if bool((constant != 0).any()) else None))


def _finite(value: Tensor) -> Tensor:
    return torch.where(value.isnan(), torch.zeros_like(value), value)


def _listed(call: Call) -> Any:
    """Apply an op without constants; it may return a list."""
    split = split_of(call)
    if split.of_biases and split.absent(call):
        return ABSENT
    result = _run(call, split, split.relevant)
    if not isinstance(result, Tensor):
        return result
    if split.errors is not None:
        split.note(call, result + _run(call, split, split.rest))
    return result


def mapped(call: Call) -> Any:
    """Apply a linear map of whole tensors to each part; what it is made of is constant."""
    moving = split_of(call).moving(call)
    if not LINEAR_MAPS[call.node.op].issuperset(moving):
        raise refusal(call, moving)
    return _listed(call)


def _words(call: Call) -> Any:
    """Move words around, or take them as numbers."""
    split, run = split_of(call), call.runs[0]
    arguments = call.arguments()
    name = call.sole()
    mask = run[call.node.args[name]]
    if split.kinds[call.node] == SPLIT:  # numbers from here on
        if split.of_biases:
            return ABSENT
        return split.totals.full(call.node) * mask
    return invoke(call.node, {**arguments, name: mask, **_dtype(call)})


def _dtype(call: Call) -> dict[str, Any]:
    return {"dtype": None} if "dtype" in call.node.args else {}


def _run(call: Call, split: Split, value: Value) -> Any:
    return invoke(call.node, split.arguments(call, value))


def embedding(call: Call) -> Any:
    """Give the vector of each word to the group that has the word."""
    split = split_of(call)
    words = call.node.args["indices"]
    if call.dependents() != ("indices",) or split.kinds[words] != WORDS:
        raise refusal(call, call.dependents())
    if split.of_biases:
        return ABSENT
    return split.totals.full(call.node) * call.runs[0][words].unsqueeze(-1)


def bilinear(call: Call) -> Any:
    """Products: with a constant as the other factor part by part, else by the product policy."""
    split = split_of(call)
    addend = _ADDENDS.get(call.node.op)
    factors = [name for name in split.moving(call) if name != addend]
    if not factors:  # only what is added to a product is split
        return _beside_constants(call)
    form = _product_form(call, split, addend)
    if len(factors) > 1:
        return product(call, factors, form.linear, form.constant)
    return finish(call, form)


def _product_form(call: Call, split: Split, addend: str | None) -> Form:
    without: dict[str, Any] = {}
    constant = None
    if addend is not None and addend not in split.moving(call):
        value = split.arguments(call, split.whole)[addend]
        if addend == "self":
            without = {"beta": 0}
            constant = value * call["beta"]
        elif value is not None:
            without = {"bias": None}
            constant = value
            if call.node.op == "convolution":
                constant = value.view(1, -1, *[1] * (len(call.shape("weight")) - 2))
    # Layers with weights of their own broadcast over rows; a batch of matrices does not.
    shared = addend == "bias"

    def linear(value: Value, *, lean: bool = False, **replaced: Tensor) -> Tensor:
        given = split.whole if lean and not shared else value
        found: Tensor = invoke(call.node, {**split.arguments(call, given), **without, **replaced})
        return found

    def size() -> Tensor:
        def absolute(node: Any, held: Any) -> Tensor:
            return (split.totals.lean(node) if shared else split.totals.full(node)).abs()

        arguments = {**split.arguments(call, absolute), **without}
        found: Tensor = invoke(call.node, {name: _absolute(v) for name, v in arguments.items()})
        return found

    return Form(linear, constant, size)


def _absolute(value: Any) -> Any:
    return value.abs() if isinstance(value, Tensor) and value.is_floating_point() else value


def summed(call: Call) -> Any:
    """Add or subtract: parts by parts, and what is not split counts as a bias."""
    split = split_of(call)
    moving = split.moving(call)
    if not moving:
        return moved(call)
    if len(moving) == 2:
        return finish(call, Form(lambda value, lean=False: _run(call, split, value)))
    (name,) = moving
    other = "other" if name == "self" else "self"
    plain = split.arguments(call, split.whole)[other]
    zero = torch.zeros_like(plain) if isinstance(plain, Tensor) else 0

    def linear(value: Value, *, lean: bool = False) -> Tensor:
        arguments = {**split.arguments(call, value), other: zero}
        found: Tensor = invoke(call.node, arguments)
        return found

    nothing = split.totals.lean(call.node).new_zeros(())
    constant = invoke(call.node, {**call.arguments(), name: nothing, other: plain})
    return finish(call, Form(linear, constant, lambda: linear(split.size, lean=True).abs()))


def divided(call: Call) -> Any:
    """Divide part by part; a denominator that is split too is frozen, as that of a norm."""
    split = split_of(call)
    if "self" not in split.moving(call):
        return function(call)
    if call.node.args.get("rounding_mode") is not None:
        return function(call)

    def linear(value: Value, *, lean: bool = False) -> Tensor:
        arguments = split.arguments(call, value, lean=lean)
        if call.depends("other"):
            arguments["other"] = split.totals.full(call.node.args["other"])
        found: Tensor = invoke(call.node, arguments)
        return found

    return finish(call, Form(linear))


def batch_norm(call: Call) -> Any:
    """Batch norm in eval mode: one affine map a channel, whose constant is ``BN(0)``."""
    split = split_of(call)
    if split.moving(call) != ("input",):
        raise refusal(call, call.dependents())
    node = call.node.args["input"]
    scale = batch_norm_scale(call, split.totals.lean(node).dtype)
    constant = -call["running_mean"].to(scale).view(scale.shape) * scale
    if call["bias"] is not None:
        constant = constant + call["bias"].to(scale).view(scale.shape)

    def linear(value: Value, *, lean: bool = False) -> Tensor:
        found: Tensor = split.arguments(call, value)["input"] * scale
        return found

    result = finish(call, Form(linear, constant, lambda: linear(split.size).abs()))
    return result, None, None
