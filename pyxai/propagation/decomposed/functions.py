"""Rules for ops that are no sums: a function of the parts, by one of three policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai.propagation.decomposed.split import ABSENT, Constant, Split, Value, split_of
from pyxai.tracing import Call
from pyxai.tracing.interpreter import invoke
from pyxai.tracing.nodes import op_names

__all__ = ["function", "product", "softmax", "split_function"]

# Functions with f(0) = 0, which nobody gets a share of.
_ZERO_AT_ZERO = op_names(
    """_prelu_kernel abs asin asinh atan atanh elu erf expm1 gelu hardswish leaky_relu log1p mish
    neg relu relu6 selu sgn sign silu sin sinh softshrink sqrt square tan tanh trunc"""
)
Evaluate = Callable[[Value], Tensor]


def function(call: Call) -> Any:
    """Split the value of a function of one or several parts, element by element or of an axis."""
    split = split_of(call)

    def evaluate(value: Value) -> Tensor:
        found = invoke(call.node, split.arguments(call, value))
        first: Tensor = found[0] if isinstance(found, (tuple, list)) else found
        return first

    if "recurrent" in call.node.memory and split.policies.gates == "shapley":
        return _by_three(call, evaluate)
    several = call.node.op == "log_sigmoid_forward"  # it returns a second value for its gradient
    policy = "shapley" if "recurrent" in call.node.memory else split.policies.policy
    result = split_function(call, evaluate, policy, zero=call.node.op in _ZERO_AT_ZERO)
    return (result, None) if several else result


def split_function(call: Call, evaluate: Evaluate, policy: str, *, zero: bool) -> Any:
    """Split the value of a function by a policy.

    Parameters
    ----------
    call : Call
        The op.
    evaluate : callable
        The function at any part of its operands, `Split.relevant` and its like.
    policy : {"acd", "shapley", "complement"}
        With r the relevant part, t the total: ``f(r)``, ``(f(r) + f(t) - f(t - r)) / 2``, or
        ``f(t) - f(t - r)``. What biases alone explain, c, goes first: ``f(r + c) - f(c)``
        takes the place of ``f(r)``.
    zero : bool
        Whether the function is known to be 0 at 0.

    Notes
    -----
    Anchored, ``f(0)`` is a bias and shared like one, and the rest of the function follows the
    policy, so that an empty group gets nothing and a full one everything.
    """
    split = split_of(call)
    if split.of_biases:
        return _of_biases(call, evaluate, zero)
    if split.errors is not None:
        split.note(call, evaluate(split.whole))
    if policy == "acd" and zero:  # the total is not asked for
        mine: Tensor = evaluate(split.relevant)
        if not split.biases_apart(call) or not split.has_stream(call):
            return mine
    total = split.output(call)
    if split.biases_apart(call) and (split.has_stream(call) or not zero):
        alone = evaluate(split.of_bias)
        result = _by_policy(split, evaluate, policy, evaluate(split.with_bias), alone, total)
        return result + split.of_step(call) * alone if split.is_state(call) else result
    if not zero and split.policies.anchored:
        origin = evaluate(split.nothing)
        size = total.abs() + origin.abs()
        constant = Constant(origin, total - origin, size)
        found = _by_policy(split, evaluate, policy, evaluate(split.relevant), origin, total)
        return split.shared(call, found, constant)
    return _by_policy(split, evaluate, policy, evaluate(split.relevant), None, total)


def _by_policy(
    split: Split,
    evaluate: Evaluate,
    policy: str,
    relevant: Tensor,
    origin: Tensor | None,
    total: Tensor,
) -> Tensor:
    mine = relevant if origin is None else relevant - origin
    if policy == "acd":
        return mine
    rest = total - evaluate(split.rest)
    return rest if policy == "complement" else (mine + rest) / 2


def _by_three(call: Call, evaluate: Evaluate) -> Any:
    """Share a function of a recurrent step by the mean over all orders of three parts.

    The part of biases depends on the others then, and takes the place of what they do alone.
    """
    split = split_of(call)
    if split.of_biases:
        return _of_biases(call, evaluate, call.node.op in _ZERO_AT_ZERO)
    if split.errors is not None:
        split.note(call, evaluate(split.whole))
    whole, nothing = split.totals.full(call.node), evaluate(split.nothing)
    mine, biases = evaluate(split.relevant), evaluate(split.of_bias)
    others, beside_biases = evaluate(split.apart), evaluate(split.with_bias)
    without = evaluate(split.rest)  # of the relevant part
    unbiased = evaluate(lambda node, held: split.totals.lean(node) - split.of_bias(node))
    relevant = _shapley(whole - without, unbiased - others, beside_biases - biases, mine - nothing)
    stream = _shapley(whole - unbiased, without - others, beside_biases - mine, biases - nothing)
    stream = stream + nothing
    if split.is_state(call):
        return relevant + split.of_step(call) * stream
    if split.streams is not None:
        split.streams[call.node] = stream
    return relevant


def _shapley(last: Tensor, second: Tensor, other: Tensor, first: Tensor) -> Tensor:
    """Return the Shapley value of one of three by what it adds last, after either, and first."""
    return (2 * last + second + other + 2 * first) / 6


def _of_biases(call: Call, evaluate: Evaluate, zero: bool) -> Any:
    split = split_of(call)
    if split.is_state(call):
        return ABSENT
    if split.absent(call) and (zero or not split.biases_apart(call)):
        return ABSENT
    return evaluate(split.relevant)


def product(
    call: Call, factors: list[str], run: Callable[..., Tensor], constant: Tensor | None
) -> Any:
    """Split a product of several values that are split.

    ``"acd"`` gives the group what its parts make together, ``"complement"`` all that they take part
    in, ``"shapley"`` the mean of both; ``"freeze"`` reads the first factor as a constant. In a
    recurrent step see `_gated`.
    """
    split = split_of(call)
    if "recurrent" in call.node.memory and not split.of_biases:
        return _gated(call, factors, run)
    policy = split.policies.product
    if policy == "freeze":
        whole = split.totals.full(call.node.args[factors[0]])

        def evaluate(value: Value) -> Tensor:
            return run(value, **{factors[0]: whole})

        policy = "acd"  # the product is linear now
    else:
        evaluate = run
    result = split_function(call, evaluate, policy, zero=True)
    if constant is None:
        return result
    if split.of_biases:
        apart = split.biases_apart(call)
        return result if not apart else constant if result is ABSENT else result + constant
    total = split.totals.full(call.node) - constant
    size = total.abs() + constant.abs()
    return split.shared(call, result, Constant(constant, total, size))


def _gated(call: Call, factors: list[str], run: Callable[..., Tensor]) -> Tensor:
    """Split a product of a gate: which products of parts count as relevant is a policy."""
    split = split_of(call)
    first, second = (call.node.args[name] for name in factors)
    held = call.runs[0]
    if split.errors is not None:
        split.note(call, run(split.whole))
    mine = split.relevant(first, held[first]), split.relevant(second, held[second])
    beside = {
        "rel-bias": split.of_bias,
        "rel-irrel": split.apart,
    }
    kinds = split.policies.gate_products
    found = mine[0] * mine[1] if "rel-rel" in kinds else torch.zeros_like(mine[0] * mine[1])
    for kind, part in beside.items():
        if kind in kinds:
            found = (
                found + mine[0] * part(second, held[second]) + part(first, held[first]) * mine[1]
            )
    return found


def softmax(call: Call) -> Any:
    """Split a softmax as a function of its axis; what masks exclude stays excluded."""
    split = split_of(call)
    node = call.node.args["self"]

    def evaluate(value: Value) -> Tensor:
        whole = split.totals.full(node)
        scores = value(node, call.runs[0][node])
        masked = torch.where(whole.isinf(), whole, scores)
        found: Tensor = invoke(call.node, {**split.arguments(call, split.whole), "self": masked})
        return found

    return split_function(call, evaluate, split.policies.softmax, zero=False)
