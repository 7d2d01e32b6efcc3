"""What to say of a call of the model that failed: what it was given, and what may be amiss."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai._checks import describe
from pyxai.runner.memory import is_out_of_memory

__all__ = ["check_form", "named", "note_call", "note_single_example", "takes_as_one"]

_MANY = 8  # arguments that are listed
_CALLED = "pyxai called the model with"


def add_note(error: BaseException, note: str) -> None:
    """Add a line to what is shown of an error, which keeps its type and its own message.

    Before Python 3.11, where errors hold no notes, the line joins the message.
    """
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:
        append_to_message(error, note)


def append_to_message(error: BaseException, note: str) -> None:
    """Put a line behind the message of an error."""
    first, *rest = error.args or ("",)
    error.args = (f"{first}\n{note}", *rest)


def named(rows: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Return what a model is given by the names of a method's arguments."""
    names = ["inputs"] if len(rows) == 1 else [f"inputs[{i}]" for i in range(len(rows))]
    paths, _ = pytree.tree_flatten_with_path(arguments)
    further = {f"additional_forward_args{pytree.keystr(path)}": leaf for path, leaf in paths}
    return {**dict(zip(names, rows, strict=True)), **further}


def note_call(
    error: BaseException,
    given: dict[str, Any],
    modules: Iterable[nn.Module],
    what: str = "rows of ",
) -> None:
    """Say on an error out of a model what it was given, unless that has been said."""
    if any(_CALLED in text for text in (str(error), *getattr(error, "__notes__", ()))):
        return
    listed = [f"{name}: {describe(value)}" for name, value in list(given.items())[:_MANY]]
    if len(given) > _MANY:
        listed.append(f"and {len(given) - _MANY} more")
    note = f"{_CALLED} {what}{'; '.join(listed)}"
    first = next((p for module in modules for p in module.parameters(False)), None)
    if first is not None:
        note += f"; the model's first parameter is {first.dtype} on {first.device}"
    add_note(error, note)


def takes_as_one(
    call: Callable[..., Any], rows: tuple[Tensor, ...], arguments: tuple[Any, ...]
) -> bool:
    """Tell whether a model takes all rows together as one example: they lack dimension 0."""
    one = (row.detach().clone().unsqueeze(0) for row in rows)
    try:
        with torch.inference_mode(False), torch.no_grad():
            outputs = call(*one, *arguments)
    except Exception:
        return False
    return isinstance(outputs, Tensor) and outputs.dim() > 0 and outputs.shape[0] == 1


def check_form(
    call: Callable[..., Any], rows: tuple[Tensor, ...], arguments: tuple[Any, ...]
) -> None:
    """Raise if inputs without feature dimensions are the features of one example.

    A model may take those without complaint, as a linear layer does.

    Raises
    ------
    ValueError
        If the model does not take the first of them alone, but takes all together as one example.
    """
    if len(rows[0]) == 1 or any(row.dim() > 1 for row in rows):
        return
    with contextlib.suppress(Exception), torch.inference_mode(False), torch.no_grad():
        call(*(row[:1].detach().clone() for row in rows), *arguments)
        return
    if takes_as_one(call, rows, arguments):
        raise ValueError(
            f"inputs must have examples in dimension 0, got shape {list(rows[0].shape)}, which the "
            "model takes as one example; give it as inputs.unsqueeze(0)"
        )


def note_single_example(
    error: BaseException,
    call: Callable[..., Any],
    rows: tuple[Tensor, ...],
    arguments: tuple[Any, ...],
) -> None:
    """Say of a failure that the inputs seem to be one example, if the model takes them as one."""
    if not is_out_of_memory(error) and takes_as_one(call, rows, arguments):
        shapes = " and ".join(str(list(row.shape)) for row in rows)
        add_note(
            error,
            f"inputs have dimension 0 for examples: of shape {shapes} they are {len(rows[0])}, but "
            "the model takes them as one; give a single example as inputs.unsqueeze(0)",
        )
