"""What happens in a model while its ops are recorded: assertions, and where and why it stops."""

from __future__ import annotations

import dis
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import torch
from torch import _VF, Tensor
from torch.overrides import TorchFunctionMode

from pyxai.tracing.nodes import is_user_code

__all__ = ["Stopped", "Watch"]

_ASKS = "its Python code asks for the value of a tensor, as in if, while, int() or .item()"
_REASONS = {
    "GuardOnDataDependentSymNode": _ASKS,
    "DataDependentOutputException": _ASKS,
    "DynamicOutputShapeException": "a size depends on the values of a tensor",
}
_PACKED = "a packed sequence cannot be recorded; give the layer the padded batch"
_GRADIENT = "gradients that it takes by itself cannot be recorded"
_TRANSFORM = "functions of torch.func (jacrev, grad, vmap) cannot be recorded"
_WITHIN = (
    "{} runs graphs of its own, for which there are no rules; write torch.where, a plain loop or "
    "the ops that it stands for"
)
# Ops that are not recorded, or only in part: what fails after them fails because of them.
_SUSPECTS = {
    _VF._pack_padded_sequence: _PACKED,
    torch.autograd.grad: _GRADIENT,
}
# Ops that are recorded most of the time: suspects where nothing else is known.
_DOUBTFUL = {torch._C._set_grad_enabled: "gradients switched on or off cannot be recorded there"}
_NAMELESS = frozenset({"__get__", "__set__", "__torch_function__"})


class Stopped(Exception):
    """A model raised while it was recorded: the cause.

    torch.export looks at the types of errors and prints the graph so far of some.
    """


class Watch(TorchFunctionMode):
    """Sees what a model calls while it is recorded.

    What only raises, an ``assert`` on values say, is passed over: it leads to no value.
    """

    def __init__(self) -> None:
        super().__init__()
        self._op = ""  # what raised
        self._suspect = ""
        self._doubt = ""

    @contextmanager
    def of_model(self) -> Iterator[None]:
        """Watch the model run inside the block."""
        try:
            with self:
                yield
        except Exception as error:
            raise Stopped(str(error)) from error

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        frame = sys._getframe(1)
        if func is torch._assert:
            return None
        if func is Tensor.__bool__:
            answer = _answer(frame.f_code, frame.f_lasti)
            if answer is not None:
                return answer
        if func in _SUSPECTS and not self._suspect:
            self._suspect = f"{_SUSPECTS[func]}, {_at(_user_frame(frame))}"
        elif func in _DOUBTFUL:
            self._doubt = f"{_DOUBTFUL[func]}, {_at(_user_frame(frame))}"
        try:
            return func(*args, **(kwargs or {}))
        except Exception:
            self._op = self._op or str(getattr(func, "__name__", func))
            raise

    def reason(self, error: Exception) -> str:
        """Say why and where in the user's code the model could not be recorded."""
        if self._suspect:
            return self._suspect
        if not isinstance(error, Stopped) or error.__cause__ is None:
            return self._doubt or _own_words(error)
        cause = error.__cause__
        frames = list(traceback.walk_tb(cause.__traceback__))
        users = [place for place, (f, _) in enumerate(frames) if _is_user(f)]
        if not users:
            return _own_words(cause)
        frame, line = frames[users[-1]]
        return f"{self._why(cause, frames[users[-1] + 1 :])}, {_at(frame, line)}"

    def _why(self, cause: BaseException, inner: list[tuple[FrameType, int]]) -> str:
        known = _REASONS.get(type(cause).__name__)
        if known is not None:
            return known
        files = [frame.f_code.co_filename for frame, _ in inner]
        within = any("_higher_order_ops" in file for file in files)
        if not within and any("_functorch" in file for file in files):
            return _TRANSFORM
        if within or type(cause).__module__.startswith("torch._dynamo"):
            return _WITHIN.format(inner[0][0].f_code.co_name)
        if type(cause).__name__ == "UnsupportedOperatorException":
            return f"{cause} cannot be recorded"
        if self._op and self._op not in _NAMELESS:
            return f"{self._op} cannot be recorded"
        return _own_words(cause)


def _own_words(error: BaseException) -> str:
    reason = str(error).strip().splitlines()
    return f"{type(error).__name__}: {reason[0] if reason else ''}"


def _is_user(frame: FrameType) -> bool:
    return is_user_code(frame.f_code.co_filename)


def _user_frame(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame of the user's code."""
    while frame is not None and not _is_user(frame):
        frame = frame.f_back
    return frame


def _at(frame: FrameType | None, line: int | None = None) -> str:
    """Name a place as nodes do."""
    if frame is None:
        return "at unknown line"
    code, line = frame.f_code, line or frame.f_lineno
    text = linecache.getline(code.co_filename, line).strip()
    return f"at {code.co_filename}:{line} in {code.co_name}: {text}".removesuffix(": ")


# Steps between a test and its jump, in some versions of Python.
_IDLE = frozenset({"TO_BOOL", "CACHE", "NOT_TAKEN", "EXTENDED_ARG", "NOP"})
_ELSEWHERE = ("RETURN", "YIELD", "FOR_", "STORE_ATTR", "STORE_SUBSCR", "STORE_GLOBAL")


def _answer(code: CodeType, last: int) -> bool | None:
    """Return which truth of what is tested keeps some code from raising, if one of them does.

    ``last`` is the offset of the step that runs.
    """
    steps = [step for step in dis.get_instructions(code) if step.opname not in _IDLE]
    here = next((place for place, step in enumerate(steps) if step.offset >= last), len(steps))
    if here == len(steps) or _is_handled(code, steps, last):
        return None
    jump = steps[here]
    jumps_if = jump.opname.endswith("IF_TRUE")
    if "JUMP" not in jump.opname or not (jumps_if or jump.opname.endswith("IF_FALSE")):
        return None
    if _raises(steps[here + 1 :]):
        return jumps_if
    goal = next((at for at, step in enumerate(steps) if step.offset >= jump.argval), len(steps))
    return not jumps_if if _raises(steps[goal:]) else None


def _raises(steps: list[dis.Instruction]) -> bool:
    """Whether steps raise before they do anything else."""
    for step in steps:
        if step.opname == "RAISE_VARARGS":
            return True
        if "JUMP" in step.opname or step.opname.startswith(_ELSEWHERE):
            return False
    return False


def _is_handled(code: CodeType, steps: list[dis.Instruction], offset: int) -> bool:
    """Whether the code itself catches what is raised at a step, or may."""
    entries = getattr(dis.Bytecode(code), "exception_entries", None)
    if entries is None:  # before Python 3.11
        return any(step.opname.startswith("SETUP_") for step in steps)
    return any(entry.start <= offset < entry.end for entry in entries)
