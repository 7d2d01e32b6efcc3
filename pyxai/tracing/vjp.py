"""Vector-Jacobian products of ops: closed forms for frequent ones, autograd for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._errors import UnsupportedOperationError

if TYPE_CHECKING:
    from pyxai.tracing.interpreter import Call

__all__ = ["reduce_to", "vector_jacobian"]

Arguments = Mapping[str, Any]
_aten = torch.ops.aten

ClosedForm = Callable[["_Context", Tensor, str], Any]
_CLOSED_FORMS: dict[str, ClosedForm] = {}


class _Context:
    """Reads operands of a call, with replacements, in the dtype of the cotangent."""

    __slots__ = ("call", "dtype", "replaced", "run")

    def __init__(self, call: Call, run: int, replaced: Arguments, dtype: torch.dtype) -> None:
        self.call, self.run, self.replaced, self.dtype = call, run, replaced, dtype

    def get(self, name: str) -> Any:
        value = self.replaced[name] if name in self.replaced else self.call.get(name, self.run)
        return _cast(value, self.dtype)

    def shape(self, name: str) -> torch.Size:
        value = self.replaced.get(name)
        return value.shape if isinstance(value, Tensor) else self.call.shape(name)


def batch_norm_scale(call: Call, dtype: torch.dtype) -> Tensor:
    """Return what batch norm in eval mode multiplies with, shaped to broadcast over its input."""
    scale: Tensor = (call["running_var"].to(dtype) + call["eps"]).rsqrt()
    if call["weight"] is not None:
        scale = scale * call["weight"].to(dtype)
    return scale.reshape(1, -1, *[1] * (len(call.shape("input")) - 2))


def vector_jacobian(
    call: Call, cotangent: Any, names: Sequence[str], run: int, replaced: Arguments
) -> dict[str, Any]:
    """Return the cotangents of the named arguments, see :meth:`pyxai.tracing.Call.vjp`."""
    if call.node.op == "_native_batch_norm_legit_no_training" and tuple(names) == ("input",):
        given = cotangent[0]
        return {"input": given * batch_norm_scale(call, given.dtype)}
    if call.node.op == "native_dropout" and tuple(names) == ("input",):
        # Run again it would drop other values than those of the forward pass.
        given, kept = cotangent[0], 1 - call["p"]
        return {"input": given * call.output(run)[1].to(given) / (kept or 1.0)}
    if call.node.op in _SPLITS:
        joined = _joined(call, cotangent, run)
        if joined is not None:
            return {"self": joined}
    form = None if call.node.touches_complex() else _CLOSED_FORMS.get(call.node.op)
    if form is not None and isinstance(cotangent, Tensor):
        context = _Context(call, run, replaced, cotangent.dtype)
        result = {name: form(context, cotangent, name) for name in names}
        if all(value is not None for value in result.values()):
            return result
    return _by_autograd(call, cotangent, names, run, replaced)


_SPLITS = frozenset({"chunk", "split", "split_with_sizes", "unbind"})


def _joined(call: Call, parts: list[Tensor | None], run: int) -> Tensor | None:
    """Undo a split if every part got a cotangent."""
    given = [part for part in parts if part is not None]
    if len(given) < len(parts):
        return None
    join = torch.stack if call.node.op == "unbind" else torch.cat
    joined = join(given, call.get("dim", run))
    return joined if joined.shape == call.shape("self") else None


def reduce_to(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Sum a tensor over the axes along which ``shape`` was broadcast to it."""
    if tuple(value.shape) == tuple(shape):
        return value
    extra = value.dim() - len(shape)
    axes = list(range(extra))
    axes += [
        extra + axis
        for axis, size in enumerate(shape)
        if size == 1 and value.shape[extra + axis] != 1
    ]
    return (
        value.sum(axes, keepdim=True).reshape(tuple(shape)) if axes else value.reshape(tuple(shape))
    )


def _by_autograd(
    call: Call, cotangent: Any, names: Sequence[str], run: int, replaced: Arguments
) -> dict[str, Any]:
    """Run the op once more under autograd and differentiate it."""
    parts = cotangent if isinstance(cotangent, list) else [cotangent]
    dtype = next(part.dtype for part in parts if part is not None).to_real()
    context = _Context(call, run, replaced, dtype)
    leaves: list[Tensor] = []

    # Within the caller's inference mode nothing would be recorded, and gradients would be 0.
    with torch.inference_mode(False), torch.enable_grad():
        arguments = {name: _recordable(_cast(context.get(name), dtype)) for name in call.node.args}
        counts = {}
        for name in names:
            before = len(leaves)
            arguments[name] = _leaf(arguments[name], leaves)
            counts[name] = (before, len(leaves))
        value = call.apply(run, **arguments)
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        pairs = [
            (out, part)
            for out, part in zip(values, parts, strict=False)
            if part is not None and out.requires_grad
        ]
        if not pairs:  # whole numbers, or an op that torch knows no derivative of
            raise _without_derivative(call)
        if not leaves:
            grads: list[Tensor | None] = [None] * len(leaves)
        else:
            outs, seeds = zip(*pairs, strict=True)
            seeds = tuple(seed.to(out.dtype) for out, seed in pairs)
            try:
                grads = list(torch.autograd.grad(outs, leaves, seeds, allow_unused=True))
            except (NotImplementedError, RuntimeError) as error:
                if "not implemented" not in str(error):
                    raise
                raise _without_derivative(call) from error
    found = [
        torch.zeros_like(point, requires_grad=False) if grad is None else grad
        for point, grad in zip(leaves, grads, strict=True)
    ]
    result: dict[str, Any] = {}
    for name, (start, stop) in counts.items():
        if isinstance(arguments[name], list):
            given = iter(found[start:stop])
            result[name] = [
                next(given) if isinstance(item, Tensor) and item.requires_grad else None
                for item in arguments[name]
            ]
        else:
            result[name] = found[start] if stop > start else None
    return result


def _without_derivative(call: Call) -> UnsupportedOperationError:
    node = call.node
    return UnsupportedOperationError(f"{node.op} has no derivative in torch, at {node.where}")


def _recordable(value: Any) -> Any:
    """Copy tensors made in inference mode, which autograd cannot record."""
    if isinstance(value, (list, tuple)):
        return type(value)(_recordable(item) for item in value)
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def _leaf(value: Any, leaves: list[Tensor]) -> Any:
    """Return floating tensors as autograd leaves, which are collected in ``leaves``."""
    if isinstance(value, (list, tuple)):
        return [_leaf(item, leaves) for item in value]
    if not (isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())):
        return value
    leaves.append(value.detach().requires_grad_())
    return leaves[-1]


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, (list, tuple)):
        return [_cast(item, dtype) for item in value]
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(dtype)
    if isinstance(value, Tensor) and value.is_complex():
        return value.to(dtype.to_complex())
    return value


def _form(*ops: str) -> Callable[[ClosedForm], ClosedForm]:
    def enter(form: ClosedForm) -> ClosedForm:
        _CLOSED_FORMS.update(dict.fromkeys(ops, form))
        return form

    return enter


@_form("view", "_unsafe_view", "reshape", "squeeze", "unsqueeze", "flatten", "view_copy")
def _reshape(context: _Context, cotangent: Tensor, name: str) -> Any:
    return cotangent.reshape(context.shape(name)) if name == "self" else None


@_form("clone", "alias", "detach", "lift_fresh_copy", "contiguous", "_to_copy", "to")
def _identity(context: _Context, cotangent: Tensor, name: str) -> Any:
    return cotangent if name == "self" else None


@_form("expand")
def _expand(context: _Context, cotangent: Tensor, name: str) -> Any:
    return reduce_to(cotangent, context.shape(name)) if name == "self" else None


@_form("permute")
def _permute(context: _Context, cotangent: Tensor, name: str) -> Any:
    dims = [dim % cotangent.dim() for dim in context.get("dims")]
    inverse = [0] * len(dims)
    for place, dim in enumerate(dims):
        inverse[dim] = place
    return cotangent.permute(inverse)


@_form("select")
def _select(context: _Context, cotangent: Tensor, name: str) -> Any:
    shape = list(context.shape("self"))
    return _aten.select_backward(cotangent, shape, context.get("dim"), context.get("index"))


@_form("slice")
def _slice(context: _Context, cotangent: Tensor, name: str) -> Any:
    shape = list(context.shape("self"))
    dim, start, end = context.get("dim"), context.get("start"), context.get("end")
    size = shape[dim]
    start = 0 if start is None else start
    end = size if end is None else end
    step = context.get("step")
    if step == 1 and cotangent.shape[dim] == size:
        return cotangent
    return _aten.slice_backward(cotangent, shape, dim, start, end, step)


@_form("cat")
def _cat(context: _Context, cotangent: Tensor, name: str) -> Any:
    if name != "tensors":
        return None
    dim = context.get("dim") % cotangent.dim()
    parts: list[Tensor | None] = []
    start = 0
    for operand in context.call.node.args["tensors"]:
        shape = context.call.runs[context.run].shape(operand)
        if shape == (0,):  # joins whatever the others' rank is, as caches begin
            parts.append(cotangent.new_zeros(0))
            continue
        parts.append(cotangent.narrow(dim, start, shape[dim]))
        start += shape[dim]
    return parts


@_form("add")
def _add(context: _Context, cotangent: Tensor, name: str) -> Any:
    part = reduce_to(cotangent, context.shape(name))
    alpha = context.get("alpha")
    return part if name == "self" or alpha == 1 else part * alpha


@_form("sub")
def _sub(context: _Context, cotangent: Tensor, name: str) -> Any:
    part = reduce_to(cotangent, context.shape(name))
    return part if name == "self" else part * -context.get("alpha")


@_form("neg")
def _neg(context: _Context, cotangent: Tensor, name: str) -> Any:
    return -cotangent


@_form("mul")
def _mul(context: _Context, cotangent: Tensor, name: str) -> Any:
    other = context.get("other" if name == "self" else "self")
    return reduce_to(cotangent * other, context.shape(name))


@_form("div")
def _div(context: _Context, cotangent: Tensor, name: str) -> Any:
    if name != "self" or context.call.node.args.get("rounding_mode") is not None:
        return None
    return reduce_to(cotangent / context.get("other"), context.shape("self"))


@_form("sum", "mean")
def _sum(context: _Context, cotangent: Tensor, name: str) -> Any:
    shape = context.shape("self")
    dims = context.call.node.args.get("dim")
    dims = [dims] if isinstance(dims, int) else dims
    axes = [dim % len(shape) for dim in dims] if dims else list(range(len(shape)))
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    count = 1
    for axis in axes:
        count *= shape[axis]
    scaled = cotangent / count if context.call.node.op == "mean" else cotangent
    return scaled.reshape(kept).expand(shape)


@_form("linear")
def _linear(context: _Context, cotangent: Tensor, name: str) -> Any:
    if name == "input":
        return cotangent @ context.get("weight")
    rows = cotangent.reshape(-1, cotangent.shape[-1])
    if name == "weight":
        given = context.get("input")
        return rows.t() @ given.reshape(-1, given.shape[-1])
    return rows.sum(0)


@_form("mm", "bmm", "matmul")
def _matmul(context: _Context, cotangent: Tensor, name: str) -> Any:
    first, second = list(context.call.node.args)[:2]
    if len(context.shape(first)) < 2 or len(context.shape(second)) < 2:
        return None
    if name == first:
        part = cotangent @ context.get(second).transpose(-1, -2)
    else:
        part = context.get(first).transpose(-1, -2) @ cotangent
    return reduce_to(part, context.shape(name))


@_form("addmm")
def _addmm(context: _Context, cotangent: Tensor, name: str) -> Any:
    if name == "self":
        return reduce_to(cotangent, context.shape("self")) * context.get("beta")
    if name == "mat1":
        return cotangent @ context.get("mat2").t() * context.get("alpha")
    return context.get("mat1").t() @ cotangent * context.get("alpha")


@_form("convolution")
def _convolution(context: _Context, cotangent: Tensor, name: str) -> Any:
    if name != "input":
        return None
    shape = context.shape("input")
    # Only the shape of the input is read when its own gradient alone is asked for.
    stand_in = cotangent.new_zeros(()).expand(shape)
    options = [
        context.get(option)
        for option in ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
    ]
    weight = context.get("weight")
    mask = [True, False, False]
    return _aten.convolution_backward(cotangent, stand_in, weight, None, *options, mask)[0]


@_form("avg_pool2d")
def _avg_pool2d(context: _Context, cotangent: Tensor, name: str) -> Any:
    stand_in = cotangent.new_zeros(()).expand(context.shape("self"))
    options = [
        context.get(option)
        for option in (
            "kernel_size",
            "stride",
            "padding",
            "ceil_mode",
            "count_include_pad",
            "divisor_override",
        )
    ]
    return _aten.avg_pool2d_backward(cotangent, stand_in, *options)


@_form("where")
def _where(context: _Context, cotangent: Tensor, name: str) -> Any:
    if name == "condition":
        return None
    condition, zero = context.get("condition"), cotangent.new_zeros(())
    branches = (cotangent, zero) if name == "self" else (zero, cotangent)
    return reduce_to(torch.where(condition, *branches), context.shape(name))


@_form("masked_fill")
def _masked_fill(context: _Context, cotangent: Tensor, name: str) -> Any:
    if name != "self":
        return None
    return reduce_to(cotangent.masked_fill(context.get("mask"), 0.0), context.shape("self"))


@_form("copy")
def _copy(context: _Context, cotangent: Tensor, name: str) -> Any:
    if name == "self":
        return torch.zeros_like(cotangent)
    return reduce_to(cotangent, context.shape("src"))
