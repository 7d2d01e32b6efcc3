"""What tells one run from another: of its data, its model and its arguments."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._files import bytes_of, encode
from pyxai.audit.data import Source
from pyxai.runner import BlackBox, Shared
from pyxai.runner.state import modules_of

__all__ = ["digest_of_data", "digest_of_model", "digest_of_plan", "spell"]

_PROBES = 16  # examples whose content stands for all
_ADDRESS = re.compile(r"0x[0-9a-f]+")


class _Digest:
    """A hash of texts and tensors, each with its length, so that no two lists run together."""

    def __init__(self) -> None:
        self.state = hashlib.blake2b(digest_size=16)

    def text(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self.state.update(len(data).to_bytes(8, "little") + data)

    def tensor(self, tensor: Tensor) -> None:
        self.text(f"{tensor.dtype} {list(tensor.shape)}")
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            self.text(repr(tensor))
            return
        self.state.update(bytes_of(tensor))

    @property
    def value(self) -> str:
        return self.state.hexdigest()


def digest_of_data(source: Source, seed: int) -> str:
    """Return a hash of how many examples there are and of the content of some of them."""
    found = _Digest()
    for fact in (source.kind, str(len(source)), *source.facts()):
        found.text(fact)
    for number in source.probes(_PROBES):
        batch = source.read(number, number + 1, seed)
        found.text(f"{number} {batch.bad.get(number)} {batch.labels.tolist()}")
        for tensor in batch.inputs:
            found.tensor(tensor)
    return found.value


def digest_of_plan(plan: Any) -> str:
    """Return what tells a plan from others, also one that was written and read again."""
    found = _Digest()
    found.text(json.dumps(plan, sort_keys=True))
    return found.value


def digest_of_model(model: Callable[..., Any]) -> str:
    """Return a hash of a model's structure, its code where it has some, and all of its numbers."""
    found = _Digest()
    found.text(_name_of(model))
    for part in (getattr(model, "__code__", None), getattr(model, "__func__", None)):
        code = getattr(part, "__code__", part)
        if code is not None and hasattr(code, "co_code"):
            found.text(f"{code.co_code.hex()} {code.co_names}")
    for fact in model.facts() if isinstance(model, BlackBox) else ():
        found.text(fact)
    for module in modules_of(model):
        found.text(f"{_name_of(module)} {_ADDRESS.sub('', repr(module))}")
        found.text(str([each.training for each in module.modules()]))
        for name, value in module.state_dict().items():
            found.text(name)
            if isinstance(value, Tensor):
                found.tensor(value)
            else:
                found.text(_ADDRESS.sub("", repr(value)))
    return found.value


def spell(value: Any, name: str, model: Callable[..., Any]) -> Any:
    """Write an argument as JSON: tensors by their hash, modules by their place, others by name."""
    tensors: dict[str, Tensor] = {}

    def other(part: Any, place: str) -> Any:
        if isinstance(part, Shared):
            return {"shared": spell(part.value, place, model)}
        if isinstance(part, nn.Module):
            for module in modules_of(model):
                for path, each in module.named_modules():
                    if each is part:
                        return {"module": path}
        if isinstance(part, (torch.dtype, torch.device, slice, range)):
            return {"object": repr(part)}
        return {"object": _name_of(part)}

    written = encode(value, name, tensors, other)
    if not tensors:
        return written
    hashes = {}
    for place, tensor in tensors.items():
        found = _Digest()
        found.tensor(tensor)
        hashes[place] = found.value
    return {"value": written, "tensors": hashes}


def _name_of(value: Any) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)
    if inspect.ismethod(value):
        named = value.__func__
    name = f"{getattr(named, '__module__', '')}.{named.__qualname__}"
    if "<" not in name or not inspect.isfunction(named):
        return name
    # Others may be called so too: what is not found by its name is told by what it does.
    found = _Digest()
    cells = (cell.cell_contents for cell in named.__closure__ or ())
    for part in (*_parts_of(named.__code__), *cells, named.__defaults__, named.__kwdefaults__):
        # Sets come in another order in each process.
        known = sorted(map(repr, part)) if isinstance(part, (set, frozenset)) else part
        found.text(_ADDRESS.sub("", repr(known)))
    return f"{name} {found.value}"


def _parts_of(code: CodeType) -> Iterator[Any]:
    yield code.co_code
    yield code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _parts_of(const)
        else:
            yield const
