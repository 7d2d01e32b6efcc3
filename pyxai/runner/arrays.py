"""Arrays and tables as tensors: what NumPy, pandas and scikit-learn give and take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_tensor, describe
from pyxai.runner.black_box import BlackBox
from pyxai.runner.state import modules_of

__all__ = ["as_tensors", "column_names", "is_array", "takes_arrays", "tensor_of"]

P = ParamSpec("P")
T = TypeVar("T")

# Arguments of public calls that arrays serve for. Further arguments of a model are its own.
_NAMES = frozenset(
    (
        *("inputs", "baselines", "target", "feature_mask", "start_point", "end_point"),
        *("attributions", "others", "truth", "selected"),
    )
)
_PLAIN = frozenset((Tensor, bool, int, float, str, type(None)))
_MODELS = ("model", "forward_func", "explanation_func")


def is_array(value: Any) -> bool:
    """Tell whether a value is an array or a table, but no tensor and no single number."""
    return hasattr(value, "__array__") and not isinstance(value, (Tensor, np.generic))


def tensor_of(name: str, value: Any) -> Tensor:
    """Return a tensor, or that of an array or a table; of these, a copy in their dtype.

    Raises
    ------
    TypeError
        If it does not hold real numbers; the message names a column that does not.
    """
    if not is_array(value):
        return check_tensor(name, value)
    if isinstance(value, np.ma.MaskedArray) and value.mask is not np.ma.nomask:
        raise TypeError(f"{name} must be an array without a mask, got a masked one")
    array = np.asarray(value)
    if array.dtype.kind == "O" and hasattr(value, "columns"):
        array = _of_columns(name, value)  # numbers and flags, side by side
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"{name} must hold real numbers, got an array of {array.dtype}")
    # In one order: a table lies in memory by columns, and a product rounds by how its rows lie.
    return torch.tensor(array.astype(array.dtype.newbyteorder("="), order="C", copy=False))


def column_names(inputs: Any, model: Any = None) -> list[str] | None:
    """Return the names of the features of inputs, if there are some.

    Parameters
    ----------
    inputs : Any
        A table has those of its columns.
    model : Any
        A black box has some of its own, for inputs that are no table.
    """
    if isinstance(inputs, Tensor) or not hasattr(inputs, "columns"):
        return model.feature_names if isinstance(model, BlackBox) else None
    return [str(name) for name in inputs.columns]


def as_tensors(model: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of a call with tensors in place of arrays and tables.

    Numbers with a fraction follow the model: its dtype, since that of NumPy is float64 unless one
    asks for another, and its device. Whole numbers stay as they are, as they may be ids, but for
    those of a table, which are quantities.

    Parameters
    ----------
    model : Any
        What is explained.
    arguments : dict
        By their names; those of other names than inputs, baselines and their like are left alone.

    Returns
    -------
    dict
        The same names.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or inputs are a single column or row of a table.
    ValueError
        If baselines are a table with other columns than the inputs.
    """
    found = dict(arguments)
    if _are_plain(found.values()):
        return found
    for name in _NAMES.intersection(arguments):
        value = arguments[name]
        if is_array(value):
            found[name] = _followed(name, value, model)
        elif isinstance(value, (tuple, list)) and any(map(is_array, value)):
            parts = [
                _followed(f"{name}[{at}]", part, model) if is_array(part) else part
                for at, part in enumerate(value)
            ]
            found[name] = type(value)(parts) if type(value) in (tuple, list) else parts
    _check_columns(arguments)
    return found


def takes_arrays(function: Callable[P, T]) -> Callable[P, T]:
    """Let a public call take arrays and tables for tensors; see `as_tensors`."""
    names = list(inspect.signature(function).parameters)
    places = [(place, name) for place, name in enumerate(names) if name in _NAMES]
    method = names[0] == "self"

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if _are_plain(args[method:]) and _are_plain(kwargs.values()):
            return function(*args, **kwargs)
        given = {name: args[place] for place, name in places if place < len(args)}
        given |= {name: value for name, value in kwargs.items() if name in _NAMES}
        if not any(map(_holds_array, given.values())):
            return function(*args, **kwargs)
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
        model = next((bound[name] for name in _MODELS if name in bound), None)
        if method and model is None:
            models = (getattr(args[0], name, None) for name in _MODELS)
            model = next((found for found in models if found is not None), None)
        given = as_tensors(model, given)
        changed: list[Any] = list(args)
        for place, name in places:
            if place < len(args):
                changed[place] = given[name]
        named: dict[str, Any] = {**kwargs, **{n: given[n] for n in given if n in kwargs}}
        return function(*changed, **named)

    return call


def _are_plain(values: Iterable[Any]) -> bool:
    """Tell at once that there is no array, as in most calls."""
    return _PLAIN.issuperset(map(type, values))


def _holds_array(value: Any) -> bool:
    return any(map(is_array, value)) if isinstance(value, (tuple, list)) else is_array(value)


def _followed(name: str, value: Any, model: Any) -> Tensor:
    if name == "inputs" and hasattr(value, "to_numpy") and getattr(value, "ndim", 2) == 1:
        raise TypeError(
            f"inputs must be a table with one row for each example, got {describe(value)}; "
            "a single row is table.iloc[[0]], a single column table[['name']]"
        )
    box = model if isinstance(model, BlackBox) else None
    is_table = name.startswith(("inputs", "baselines")) and hasattr(value, "columns")
    encoded = box.encode(value, name) if box is not None and is_table else None
    tensor = tensor_of(name, value) if encoded is None else encoded
    if is_table:
        tensor = tensor if tensor.is_floating_point() else tensor.double()
    like = next(_floats_of(model), None)
    if like is not None:
        tensor = tensor.to(like.device)
    dtype = box.dtype if box is not None and box.dtype is not None else getattr(like, "dtype", None)
    follows = dtype is not None and tensor.is_floating_point() and name != "target"
    return tensor.to(dtype) if follows else tensor


def _floats_of(model: Any) -> Any:
    """Yield the parameters of a model that have fractions."""
    for module in modules_of(model) if callable(model) else ():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                yield parameter


def _of_columns(name: str, table: Any) -> Any:
    """Return the columns of a table as float64; its own dtypes have none in common."""
    columns = []
    for label in table.columns:
        column = np.asarray(table[label])
        # Dates and words that look like numbers would become some.
        if column.dtype.kind not in "biufO" or not all(map(_is_number, column.tolist())):
            raise TypeError(
                f"{name} must hold real numbers, got column {label!r} of {table[label].dtype}"
            )
        missing = [np.nan if not isinstance(each, Real) else each for each in column.tolist()]
        columns.append(np.array(missing, dtype=np.float64))
    return np.stack(columns, 1) if columns else np.zeros((len(table), 0))


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number, or stands for a missing one."""
    return isinstance(value, Real) or value is None or type(value).__name__ == "NAType"


def _check_columns(arguments: dict[str, Any]) -> None:
    inputs, baselines = (column_names(arguments.get(name)) for name in ("inputs", "baselines"))
    if inputs is not None and baselines is not None and inputs != baselines:
        raise ValueError(
            f"baselines must have the columns of inputs in their order, {inputs}, got {baselines}"
        )
