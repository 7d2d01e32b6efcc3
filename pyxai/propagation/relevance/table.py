"""Relevance rules for every op of a traced graph.

Linear ops follow the rule that the user chose; sums, pools and norms the epsilon rule; elementwise
functions pass relevance on; a product with a gate gives it all to the signal. `attention` holds
what attention-aware LRP changes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai.propagation.multipliers import ordered
from pyxai.propagation.multipliers.order_statistics import RANKED
from pyxai.propagation.multipliers.rescale import BINARY, ELEMENTWISE, FIXED, SELECTORS, gradient
from pyxai.propagation.relevance.complex_values import ComplexRelevance
from pyxai.propagation.relevance.gates import LOGIC, SCALES, WEIGHTS, signals
from pyxai.propagation.relevance.layers import LINEAR, Folded, folded, moved, operand_of, share
from pyxai.propagation.relevance.rules import stabilized_divide, times
from pyxai.tracing import (
    AFFINE,
    BILINEAR,
    LINEAR_MAPS,
    STRUCTURAL,
    Call,
    is_affine,
)
from pyxai.tracing.nodes import op_names
from pyxai.tracing.vjp import batch_norm_scale, reduce_to

__all__ = ["RELEVANCE"]

NORMS = op_names("group_norm instance_norm layer_norm rms_norm")
_CHOICES = op_names("masked_fill where")
_WINNERS = op_names("fmax fmin maximum minimum")


RELEVANCE = ComplexRelevance("LRP", fallback=gradient)


@RELEVANCE.register(*STRUCTURAL)
def structural(call: Call, relevance: Any) -> dict[str, Any]:
    """Carry relevance back to where the values came from."""
    if isinstance(relevance, Folded):
        return {"self": moved(call, relevance)}
    selectors = [name for name in call.dependents() if name in SELECTORS]
    names = [name for name in call.dependents() if name not in selectors]
    if selectors and not names:  # between constants: a step
        if call.node.op not in _CHOICES:
            raise _refusal(call)
        return {name: reduce_to(relevance, call.shape(name)) for name in selectors}
    if selectors:  # they get nothing
        nothing = {
            n: [None] * len(v) if isinstance(v := call[n], list) else None for n in selectors
        }
        return {**call.vjp(relevance, wrt=names), **nothing}
    found: dict[str, Any] = call.transpose(relevance)
    return found


@RELEVANCE.register(*ELEMENTWISE, *BINARY, "_to_copy", "to", "square")
def elementwise(call: Call, relevance: Any) -> dict[str, Any]:
    """Pass relevance through a function of single values."""
    given: Tensor = relevance[0] if isinstance(relevance, list) else relevance
    name = call.sole()
    return {name: reduce_to(given, call.shape(name))}


@RELEVANCE.register(*(AFFINE - STRUCTURAL), *LINEAR_MAPS, "div")
def affine(call: Call, relevance: Any) -> dict[str, Any]:
    """Share by contribution to the sum: ``h J' (R / (z + epsilon sign(z)))``."""
    if call.node.op == "div" and not is_affine(call.node):
        return _quotient(call, relevance)
    if not is_affine(call.node):
        raise _refusal(call)
    if call.node.op == "_native_batch_norm_legit_no_training":
        return batch_norm(call, relevance[0])
    return _by_contribution(call, relevance)


def _refusal(call: Call) -> UnsupportedOperationError:
    names = list(call.dependents())
    return UnsupportedOperationError(
        f"LRP has no rule for {call.node.op} whose arguments {names} depend on the inputs, at "
        f"{call.node.where}"
    )


def batch_norm(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Leave it to the layer before, or share by contribution to one affine map a channel."""
    given = folded(call, relevance)
    if given is not None:
        return {"input": given}
    h = call["input"].to(relevance.dtype)
    slope = batch_norm_scale(call, relevance.dtype)
    z = _value(call).to(relevance.dtype)
    return {"input": times(h, slope * stabilized_divide(relevance, z, _epsilon(call)))}


def _by_contribution(call: Call, relevance: Any) -> dict[str, Any]:
    several = isinstance(relevance, list)
    given = relevance[0] if several else relevance
    s = stabilized_divide(given, _value(call).to(given.dtype), _epsilon(call))
    parts = call.transpose([s] if several else s)
    return {name: times(call[name].to(s.dtype), parts[name]) for name in call.dependents()}


def _value(call: Call) -> Tensor:
    """Return the first value of an op."""
    output = call.output()
    first: Tensor = output[0] if isinstance(output, (list, tuple)) else output
    return first


def _quotient(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Read a division as a scaling of the numerator, as in a normalisation."""
    if not call.depends("self"):
        return {"other": reduce_to(relevance, call.shape("other"))}
    return {"self": reduce_to(relevance, call.shape("self")), "other": None}


@RELEVANCE.register(*LINEAR)
def linear(call: Call, relevance: Any) -> dict[str, Any]:
    """Apply the rule that was chosen for this layer."""
    if not is_affine(call.node):
        shared: dict[str, Any] = product(call, relevance)
        return shared
    name = operand_of(call.node)
    if name is None:
        return _by_contribution(call, relevance)
    return {name: share(call, name, relevance, call.options["rule_of"](call.node))}


@RELEVANCE.register(*(BILINEAR - LINEAR), "lerp")
def product(
    call: Call, relevance: Tensor, gates: frozenset[str] = SCALES | WEIGHTS
) -> dict[str, Any]:
    """Share a product: all to the signal if the other factor is a gate, else half to each."""
    if is_affine(call.node):
        return _by_contribution(call, relevance)
    names = call.dependents()
    if call.node.op == "lerp":
        return _between(call, relevance)
    chosen = signals(call.node, gates)
    z = call.output().to(relevance.dtype)
    s = stabilized_divide(relevance, z, _epsilon(call)) / len(chosen)
    parts = call.vjp(s, wrt=chosen)
    result: dict[str, Any] = dict.fromkeys(names)
    for name in chosen:
        result[name] = times(call[name].to(relevance.dtype), parts[name])
    return result


def _between(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Read the weight of a mean as a gate, beside what it is a mean of."""
    names = call.dependents()
    ends = [name for name in names if name != "weight"] or list(names)
    s = stabilized_divide(relevance, call.output().to(relevance.dtype), _epsilon(call))
    parts = call.vjp(s, wrt=ends)
    found = {name: times(call[name].to(s.dtype), parts[name]) for name in ends}
    return {**dict.fromkeys(names), **found}


@RELEVANCE.register(*NORMS)
def norm(call: Call, relevance: Any) -> dict[str, Any]:
    """Read a normalisation as linear, with its standard deviation held fixed.

    References
    ----------
    .. [1] A. Ali et al., "XAI for Transformers: Better Explanations through Conservative
       Propagation", ICML 2022, section 3.3.
    """
    name = call.sole()
    given: Tensor = relevance[0] if isinstance(relevance, list) else relevance
    if call.node.op == "instance_norm" and not call["use_input_stats"]:
        return batch_norm(call, given)
    h = call[name].detach().to(given.dtype)
    s = stabilized_divide(given, _value(call).to(given.dtype), _epsilon(call))
    return {name: h * _frozen_norm(call, name, h, s)}


def _frozen_norm(call: Call, name: str, h: Tensor, s: Tensor) -> Tensor:
    """Return ``J' s`` of a norm whose deviation does not follow the input."""
    options = {key: value for key, value in call.arguments().items() if key != name}
    eps = options.get("eps")
    eps = torch.finfo(h.dtype).eps if eps is None else eps
    weight = options.get("weight")
    if call.node.op in {"layer_norm", "rms_norm"}:
        axes = tuple(range(h.dim() - len(options["normalized_shape"]), h.dim()))
        grouped, scaled = h, s if weight is None else s * weight.to(s)
    else:
        shape = h.shape
        groups = options["num_groups"] if call.node.op == "group_norm" else shape[1]
        grouped = h.reshape(shape[0], groups, -1)
        factor = 1 if weight is None else weight.to(s).reshape(1, -1, *[1] * (h.dim() - 2))
        scaled = (s * factor).reshape(grouped.shape)
        axes = (2,)
    centred = call.node.op != "rms_norm"
    middle = grouped.mean(axes, keepdim=True) if centred else torch.zeros_like(grouped)
    inverse = ((grouped - middle).square().mean(axes, keepdim=True) + eps).rsqrt()
    scaled = scaled * inverse
    if centred:
        scaled = scaled - scaled.mean(axes, keepdim=True)
    frozen: Tensor = scaled.reshape(h.shape)
    return frozen


@RELEVANCE.register(*LOGIC)
def logic(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Share equally between two answers."""
    names = call.dependents()
    return {name: reduce_to(relevance / len(names), call.shape(name)) for name in names}


@RELEVANCE.register(*FIXED, "all", "any")
def answer(call: Call, relevance: Any) -> dict[str, Any]:
    """Stop where relevance comes to what has no derivative; as a gate or a selector none does."""
    raise UnsupportedOperationError(
        f"LRP has no rule for {call.node.op} whose value is more than a gate, at {call.node.where}"
    )


@RELEVANCE.register("cumprod", "linalg_vector_norm", "prod", "std", "var")
def homogeneous(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Share by the terms of Euler's theorem: ``h_i df/dh_i``, which sum to ``degree f``."""
    z = call.output().to(relevance.dtype)
    s = stabilized_divide(relevance, z, _epsilon(call)) / _degree(call)
    h = call["self"].to(relevance.dtype)
    found = call.vjp(s)["self"]
    # A norm or deviation of nothing is 0, as is what it shares.
    return {"self": times(h, torch.where(found.isnan(), torch.zeros_like(found), found))}


def _degree(call: Call) -> Tensor | int:
    if call.node.op not in ("cumprod", "prod"):
        return 2 if call.node.op == "var" else 1
    shape, dim = call.shape("self"), call.node.args.get("dim")
    if dim is None:
        return math.prod(shape)
    if call.node.op == "prod":
        return shape[dim] if shape else 1
    sizes = [1] * len(shape)
    sizes[dim] = -1
    return torch.arange(1, shape[dim] + 1, device=call["self"].device).reshape(sizes)


@RELEVANCE.register("_softmax", "_safe_softmax")
def softmax(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Share by the first-order terms at the input: ``R_i = x_i (R_i - s_i sum_j R_j)``.

    Where softmax is a gate nothing arrives here; at the end of a classifier something does.

    References
    ----------
    .. [1] R. Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for
       Transformers", ICML 2024, proposition 3.1.
    """
    weights = call.output().to(relevance.dtype)
    slope = relevance - weights * relevance.sum(call["dim"], keepdim=True)
    return {"self": times(call["self"].to(relevance.dtype), slope)}


@RELEVANCE.register("_log_softmax", "logcumsumexp", "logsumexp")
def first_order(call: Call, relevance: Tensor) -> dict[str, Any]:
    """Share by the first-order terms of the function at its input, as softmax does."""
    z = call.output().to(relevance.dtype)
    s = stabilized_divide(relevance, z, _epsilon(call))
    return {"self": times(call["self"].to(relevance.dtype), call.vjp(s)["self"])}


@RELEVANCE.register(*ordered.POOLS, *ordered.EXTREMA, *RANKED, *_WINNERS, "scatter_reduce")
def winner(call: Call, relevance: Any) -> dict[str, Any]:
    """Give all to the element that was taken."""
    if call.node.op in _WINNERS and len(call.dependents()) == 1:
        passed: dict[str, Any] = elementwise(call, relevance)
        return passed
    if isinstance(relevance, list) and relevance[1:] not in ([], [None]):
        stopped: dict[str, Any] = answer(call, relevance)  # where it stood
        return stopped
    if call.depends("index") or call.node.args.get("reduce") == "prod":
        raise _refusal(call)
    return call.vjp(relevance)


def _epsilon(call: Call) -> float:
    epsilon: float = call.options["epsilon"]
    return epsilon
