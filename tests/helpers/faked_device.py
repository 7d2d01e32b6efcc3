"""A device that is not there: tensors that say they are on "cuda" and refuse to meet others.

Their values lie in the memory of the CPU. Within `faked_devices()` torch makes and moves tensors
"on cuda" as one with a GPU would: an op that is given tensors of two devices raises as it would
there, and so does NumPy. Kernels are the CUDA sources where they were built to run on the CPU, and
check that all they are given lies on one device, since they would read pointers of another.

What this does not show: forward mode, which is refused; times; work that one stream does not wait
for; sizes that a launch refuses; ops of torch that have no CUDA form.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._mode_utils import no_dispatch

from pyxai import _C

__all__ = ["CUDA", "OTHER", "Faked", "Stream", "device_of", "faked_devices", "moved", "plain"]

CUDA, OTHER = torch.device("cuda", 0), torch.device("cuda", 1)

# With tensors of other devices: copies, and indices on the CPU.
_ACROSS = {"aten::copy_", "aten::_copy_from"}
_INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
# They take a value of no dimension from the CPU, as those do that are marked pointwise.
_SCALARS = {"aten::masked_fill", "aten::masked_fill_", "aten::fill_", "aten::fill", "aten::where"}
# They add by atomic operations, in another order on each call.
_UNORDERED = {
    f"aten::{name}{end}" for name in ("index_add", "scatter_add") for end in ("", "_", ".out")
}
# Their results, or the sizes of these, are for the host to know.
_WAITING = {
    f"aten::{name}"
    for name in (
        *("_local_scalar_dense", "nonzero", "masked_select", "equal"),
        *("_unique2", "unique_dim", "unique_consecutive"),
    )
}


class Faked(Tensor):
    """A tensor that says it is somewhere else."""

    place: torch.device
    traced = False
    """Whether the model that was traced last was given faked tensors."""
    waits: list[str] | None = None
    """Where set, the names of the ops that waited for a device."""

    @classmethod
    def at(cls, value: Tensor, place: torch.device) -> Faked:
        """Return the same memory as a tensor of another place."""
        faked = torch.Tensor._make_subclass(cls, value)
        faked.place = place
        return faked

    # Ops are looked at below autograd, so that those of a backward pass are too.
    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        place = _common_place(func, args, kwargs)
        if _waits(func._schema.name, args):
            _waited(func._schema.name)
        if func._schema.name in _UNORDERED:
            _check_order(func, args)
        with no_dispatch():
            result = func(*args, **kwargs)
        return pytree.tree_map(lambda value: _placed(value, place), result)

    device = property(lambda self: self.place)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def get_device(self) -> int:
        return self.place.index

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"can't convert {self.place} device type tensor to numpy. Use Tensor.cpu() first."
        )

    __array__ = numpy

    def tolist(self) -> Any:
        _waited("tolist")
        return plain(self).tolist()

    def __repr__(self, **_: Any) -> str:
        return f"Faked({plain(self.detach())!r}, {self.place})"

    def __format__(self, spec: str) -> str:
        return format(plain(self.detach()), spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = self.detach().clone().requires_grad_(self.requires_grad)
        if isinstance(self, nn.Parameter):
            made = nn.Parameter(made, self.requires_grad)
        memo[id(self)] = made
        return made


def _waits(name: str, args: tuple[Any, ...]) -> bool:
    """Whether the host waits for an op: for its result, or for memory of its own to be copied."""
    if name in _ACROSS:
        return not all(isinstance(value, Faked) for value in args[:2])
    if name in _INDEXED:
        index = [value for value in args[1] if value is not None]
        # Masks are turned into places, and places on the CPU are copied.
        return any(value.dtype == torch.bool or not isinstance(value, Faked) for value in index)
    return name in _WAITING


def _waited(name: str) -> None:
    if Faked.waits is not None:
        Faked.waits.append(name)


def _check_order(func: Any, args: tuple[Any, ...]) -> None:
    """Raise where what is added to one place depends on an order that a GPU does not keep.

    Sums of whole and half numbers do not; those within a backward pass are torch's own.
    """
    _, dim, index, values = args[:4]
    if torch._C._current_autograd_node() is not None or not values.is_floating_point():
        return
    places, added = plain(index), 2 * plain(values)
    if places.dim() < 2:
        dim = 0
    ordered = places.sort(dim)[0]
    if bool((ordered.diff(dim=dim) == 0).any()) and not torch.equal(added, added.round()):
        raise AssertionError(f"{func} adds in no fixed order on a GPU: use pyxai._inputs")


def _placed(value: Any, place: torch.device) -> Any:
    faked = type(value) is Tensor and value.device.type == "cpu"
    return Faked.at(value, place) if faked else value


def _common_place(func: Any, args: Any, kwargs: Any) -> torch.device:
    """Return the device of all tensors of an op; raise as torch does where they have several."""
    name = func._schema.name
    places: dict[torch.device, None] = {}
    faked: list[torch.device] = []
    for position, argument in enumerate((*args, *kwargs.values())):
        for value in pytree.tree_leaves(argument):
            if isinstance(value, torch.Generator):
                raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
            if not isinstance(value, Tensor):
                continue
            if isinstance(value, Faked):
                faked.append(value.place)
            elif name in _INDEXED and position == 1:
                continue  # places[i] with i on the CPU
            elif value.dim() == 0 and _takes_scalars(func):
                continue
            places[device_of(value)] = None
    if len(places) > 1 and name not in _ACROSS:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{' and '.join(map(str, places))}! (in {func})"
        )
    # Of a copy the result is the first argument itself.
    return faked[0]


def _takes_scalars(func: Any) -> bool:
    name = func._schema.name
    return name in _SCALARS or name in _INDEXED or torch.Tag.pointwise in func.tags


def device_of(value: Tensor) -> torch.device:
    """Return where a tensor says it is."""
    return value.place if isinstance(value, Faked) else value.device


def plain(value: Tensor) -> Tensor:
    """Return the same memory as a tensor of the CPU, without a gradient."""
    with torch.no_grad(), no_dispatch():
        return value.detach().as_subclass(Tensor)


def _bare(value: Any) -> Any:
    return plain(value) if isinstance(value, Faked) else value


class _Move(torch.autograd.Function):
    """A copy on another device, which gradients go through."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, place: torch.device) -> Tensor:
        ctx.place = device_of(value)
        found = plain(value).clone()
        return found if place.type == "cpu" else Faked.at(found, place)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Move.apply(grad, ctx.place), None


def _as_place(device: Any) -> torch.device:
    if isinstance(device, int):
        return torch.device("cuda", device)
    place = torch.device(device)
    return torch.device("cuda", place.index or 0) if place.type == "cuda" else place


def moved(value: Any, device: torch.device = CUDA) -> Any:
    """Return tensors, modules and what holds them on another device, as copies."""
    if isinstance(value, nn.Parameter):
        return nn.Parameter(moved(value.detach(), device), value.requires_grad)
    if isinstance(value, Tensor):
        return value.detach().clone().to(device).requires_grad_(value.requires_grad)
    if isinstance(value, nn.Module):
        own = copy.deepcopy(value)
        for module in own.modules():
            # Set one by one: `Module.to` writes into the tensors that are there.
            for held in (module._parameters, module._buffers, vars(module)):
                for name, tensor in list(held.items()):
                    if isinstance(tensor, Tensor):
                        setattr(module, name, moved(tensor, device))
        return own
    if isinstance(value, dict):
        return {key: moved(each, device) for key, each in value.items()}
    if type(value) in (tuple, list):
        return type(value)(moved(each, device) for each in value)
    return value


_MADE = (
    "arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "logspace", "ones",
    "ones_like", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm",
    "scalar_tensor", "tril_indices", "triu_indices", "zeros", "zeros_like", "tensor", "as_tensor",
)  # fmt: skip
_NEW = ("new_empty", "new_full", "new_ones", "new_tensor", "new_zeros")


def _maker(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a function of torch that makes tensors, on devices that are not there too."""

    @functools.wraps(original)
    def make(*args: Any, device: Any = None, **keywords: Any) -> Any:
        data = args[0] if args and isinstance(args[0], Tensor) else None
        if name == "as_tensor" and isinstance(data, Faked):
            dtype = keywords.get("dtype", args[1] if len(args) > 1 else None)
            return data.to(device or data.place, dtype or data.dtype)
        if device is None:
            found = original(*args, **keywords)
            faked = isinstance(data, Faked) and not isinstance(found, Faked)
            return _move_to(found, data.place) if faked else found
        place = _as_place(device)
        if place.type != "cuda":
            return original(*map(_bare, args), device=place, **keywords)
        if keywords.get("generator") is not None:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        if name in ("tensor", "as_tensor"):
            _waited(f"{name} on {place.type}")
        args = tuple(map(_bare, args))
        needed = keywords.pop("requires_grad", False)
        found = _placed(original(*args, device="cpu", **keywords), place)
        return found.requires_grad_() if needed else found

    return make


def _move_to(value: Tensor, place: torch.device, non_blocking: bool = False) -> Tensor:
    if isinstance(value, FakeTensor):  # while a model is traced; programs run on one device
        return value.clone()
    if device_of(value) == place:
        return value
    # A copy from memory that is not pinned is staged, where it need not block.
    if place.type == "cpu" or (device_of(value).type == "cpu" and not non_blocking):
        _waited(f"to {place.type}")
    return _Move.apply(value, place)


_to = Tensor.to


def _moving_to(self: Tensor, *args: Any, **keywords: Any) -> Tensor:
    """Do what ``Tensor.to`` does, where a device is named also one that is not there."""
    given = list(args)
    device = keywords.pop("device", None)
    if given and isinstance(given[0], Tensor):
        device, given[0] = device_of(given[0]), given[0].dtype
    elif given and (given[0] is None or isinstance(given[0], (str, torch.device, int))):
        device = given.pop(0)
    if device is None:
        return _to(self, *given, **keywords) if given or keywords else self
    place = _as_place(device)
    if place.type not in ("cpu", "cuda"):  # the tracer's
        return _to(self, place, *given, **keywords)
    non_blocking = keywords.pop("non_blocking", False)
    if given or keywords:
        self = _to(self, *given, **keywords)
    return _move_to(self, place, non_blocking)


def _kernel(original: Callable[..., Any], of: str) -> Callable[..., Any]:
    """Return a native function that takes tensors of a faked device for those of a GPU."""

    @functools.wraps(original)
    def call(**arguments: Any) -> Any:
        tensors = [v for v in pytree.tree_leaves(arguments) if isinstance(v, Tensor)]
        places = {device_of(value) for value in tensors}
        if all(place.type == "cpu" for place in places):
            return original(**arguments)
        assert arguments["backend"] == "cuda", f"{of} must run where its tensors are, {places}"
        if len(places) > 1:
            raise RuntimeError(f"{of} was given tensors on {places}: illegal memory access")
        return original(**{**pytree.tree_map(_bare, arguments), "backend": _KERNELS})

    return call


_KERNELS = "host_run" if "host_run" in _C.backends else "cpu"


def _exported(original: Callable[..., Any]) -> Callable[..., Any]:
    """Trace on the CPU: torch's tracer knows no faked tensors."""

    def export(module: nn.Module, args: Any, **keywords: Any) -> Any:
        Faked.traced = any(isinstance(value, Faked) for value in pytree.tree_leaves(args))
        kept = []
        for each in module.modules():
            for kind in (each._parameters, each._buffers):
                kept += [(kind, name, tensor) for name, tensor in kind.items()]
                kind.update(
                    {
                        name: nn.Parameter(plain(t), t.requires_grad)
                        if kind is each._parameters
                        else plain(t)
                        for name, t in kind.items()
                        if isinstance(t, Faked)
                    }
                )
        try:
            return original(module, pytree.tree_map(_bare, args), **keywords)
        finally:
            for kind, name, tensor in kept:
                kind[name] = tensor

    return export


def _converted(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have what a traced program makes by itself made on the faked device."""

    def convert(*args: Any) -> Any:
        program = original(*args)
        if not Faked.traced:
            return program
        for node in program.nodes:
            if node.kind == "call" and any(a.name == "device" for a in _arguments(node.target)):
                node.target = _made_there(node.target)
        states = tuple(
            (node, name, None if held is None else moved(held))
            for node, name, held in program.states
        )
        object.__setattr__(program, "states", states)
        object.__setattr__(program, "device", CUDA)
        return program

    return convert


def _arguments(target: Any) -> Any:
    schema = getattr(target, "_schema", None)
    return schema.arguments if schema is not None else ()


def _made_there(target: Any) -> Any:
    @functools.wraps(target)
    def make(*args: Any, **keywords: Any) -> Any:
        found = target(*args, **keywords)
        return _placed(found, CUDA)

    make._schema = target._schema
    return make


@contextlib.contextmanager
def faked_devices(free: int = 2**36) -> Iterator[None]:
    """Let torch and the kernels know two devices of type "cuda", with so many bytes free."""
    with contextlib.ExitStack() as stack:

        def patch(owner: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(owner, name, value))

        for name in _MADE:
            patch(torch, name, _maker(getattr(torch, name), name))
        for name in _NEW:
            patch(Tensor, name, _maker(getattr(Tensor, name), name))
        patch(Tensor, "to", _moving_to)
        patch(Tensor, "cpu", lambda self, **_: _move_to(self, torch.device("cpu")))
        patch(Tensor, "cuda", lambda self, device=0, **_: _move_to(self, _as_place(device)))
        patch(Tensor, "type_as", lambda self, other: self.to(other))
        for name, value in vars(_C).items():
            if inspect.isbuiltin(value) and "backend" in (value.__doc__ or ""):
                patch(_C, name, _kernel(value, name))
        patch(_C, "backends", [*_C.backends, "cuda"])
        fake = FakeTensorMode.from_tensor
        patch(FakeTensorMode, "from_tensor", lambda self, value, **k: fake(self, _bare(value), **k))
        patch(torch.export, "export", _exported(torch.export.export))
        tracing = importlib.import_module("pyxai.tracing.trace")
        patch(tracing, "converted", _converted(tracing.converted))
        patch(torch.func, "jvp", _no_forward_mode)
        for name, value in _CUDA.items():
            patch(torch.cuda, name, value)
        patch(torch.cuda, "mem_get_info", lambda *_: (free, 2 * free))
        yield


def _no_forward_mode(*_: Any) -> Any:
    raise NotImplementedError("forward mode is not there for a faked device")


class Stream:
    """The stream that work is queued on: of each faked device the same."""

    cuda_stream = 1


class Event:
    """A mark in a stream, which a faked device reaches at once."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.time = 0.0

    def record(self) -> None:
        self.time = time.perf_counter()

    def elapsed_time(self, end: Event) -> float:
        """Return milliseconds."""
        return (end.time - self.time) * 1e3


_CUDA = {
    "is_available": lambda: True,
    "empty_cache": lambda: None,
    "synchronize": lambda *_: None,
    "Event": Event,
    "memory_reserved": lambda *_: 0,
    "memory_allocated": lambda *_: 0,
    "current_stream": lambda *_: Stream,
    "get_rng_state": lambda *_: torch.zeros(16, dtype=torch.uint8),
    "set_rng_state": lambda *_: None,
}
