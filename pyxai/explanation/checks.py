"""What the fields of an explanation must be, whoever makes one: a method, a user or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from pyxai._checks import check_bool, check_tensor, describe

if TYPE_CHECKING:
    from pyxai.explanation.result import Explanation

__all__ = ["check_parts"]


def check_parts(explanation: Explanation) -> None:
    """Raise unless each field of an explanation is of its type and they fit together.

    Raises
    ------
    TypeError
        If a field is not of its type.
    ValueError
        If shapes do not fit.
    """
    inputs, attributions = explanation.inputs, explanation.attributions
    options = explanation.options
    if not (isinstance(options, dict) and "layer" in options):  # a layer has its own form
        _check_form("attributions", attributions, inputs)
    elif attributions == ():
        raise ValueError("attributions must have at least one tensor, got none")
    for name in ("attributions", "inputs"):
        parts = _tuple(getattr(explanation, name))
        for tensor in parts:
            if check_tensor(name, tensor).dim() == 0:
                raise ValueError(f"{name} must have a batch dimension, got shape []")
        if len({len(tensor) for tensor in parts}) > 1:
            sizes = ", ".join(str(len(tensor)) for tensor in parts)
            raise ValueError(f"{name} must have the same number of rows each, got {sizes}")
    for name in ("convergence_delta", "outputs"):
        value = getattr(explanation, name)
        if value is not None and check_tensor(name, value).dim() == 0:
            raise ValueError(f"{name} must have a batch dimension, got shape []")
    _check_error(explanation.error, attributions)
    _check_kinds(explanation)
    _check_rest("baselines", explanation.baselines, (bool, int, float, str, Tensor))
    _check_rest("target", explanation.target, (int, str, Tensor))


def _check_form(name: str, value: Any, like: Any) -> None:
    if isinstance(value, tuple) != isinstance(like, tuple):
        raise ValueError(
            f"{name} must have the form of inputs, a tensor or a tuple, "
            f"got {describe(value)} for {describe(like)}"
        )
    if len(_tuple(value)) != len(_tuple(like)):
        raise ValueError(
            f"{name} must have {len(_tuple(like))} tensor(s), as inputs do, "
            f"got {len(_tuple(value))}"
        )
    if not _tuple(value):
        raise ValueError(f"{name} must have at least one tensor, got none")


def _check_error(error: Any, attributions: Any) -> None:
    if error is None:
        return
    _check_form("error", error, attributions)
    for part, tensor in zip(_tuple(error), _tuple(attributions), strict=True):
        if check_tensor("error", part).shape != tensor.shape:
            raise ValueError(
                f"error must have the shape of attributions, {list(tensor.shape)}, "
                f"got {list(part.shape)}"
            )


def _check_kinds(explanation: Explanation) -> None:
    for name in ("method", "path"):
        value = getattr(explanation, name)
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a name, got {describe(value)}")
    options = explanation.options
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
        raise TypeError(f"options must be a dict with names as keys, got {describe(options)}")
    check_bool("shared_baselines", explanation.shared_baselines)
    check_bool("of_layer", explanation.of_layer)


def _check_rest(name: str, value: Any, kinds: tuple[type, ...]) -> None:
    """Raise unless a value is of some kinds, an array, a function, or tuples or lists of these."""
    if isinstance(value, (tuple, list)):
        for part in value:
            _check_rest(name, part, kinds)
    elif not (value is None or isinstance(value, kinds) or hasattr(value, "dtype")) and (
        not callable(value)  # of a method of the user's
    ):
        raise TypeError(f"{name} must be numbers or tensors, got {describe(value)}")


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
