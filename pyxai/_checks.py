"""One wording for all argument checks: ``<argument> must <requirement>, got <what came>``."""

from __future__ import annotations

import cmath
import math
from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "FLOAT_DTYPES",
    "OUTPUTS_ALONE",
    "check_bool",
    "check_choice",
    "check_device",
    "check_dtype",
    "check_finite",
    "check_int",
    "check_model",
    "check_module",
    "check_number",
    "check_real",
    "check_shape",
    "check_tensor",
    "describe",
    "is_finite",
]

OUTPUTS_ALONE = (
    "use a method that asks for outputs alone, such as 'shapley_values', 'kernel_shap' or "
    "'feature_ablation'"
)
FLOAT_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def describe(value: Any) -> str:
    """Say in a few words what ``value`` is, for the end of an error message."""
    if isinstance(value, Tensor):
        return f"a {value.dtype} tensor of shape {list(value.shape)} on {value.device}"
    if isinstance(value, (bool, int, float, str, type(None))):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)} item(s)"
    return f"a {type(value).__name__}"


def check_model(name: str, value: Any) -> None:
    """Raise ``TypeError`` unless a model can be called; name what an estimator has for that."""
    if callable(value):
        return
    ways = [way for way in ("predict_proba", "predict") if callable(getattr(value, way, None))]
    hint = f"; give its {' or its '.join(ways)}" if ways else ""
    raise TypeError(f"{name} must be callable, got {describe(value)}{hint}")


def check_module(name: str, value: Any) -> None:
    """Raise ``TypeError`` unless a model is a module, whose inside a method looks at."""
    if not isinstance(value, nn.Module):
        hint = f"; for a function, {OUTPUTS_ALONE}" if callable(value) else ""
        raise TypeError(f"{name} must be an nn.Module, got {describe(value)}{hint}")


def check_tensor(name: str, value: Any) -> Tensor:
    """Return ``value`` if it is a tensor, raise ``TypeError`` otherwise."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {describe(value)}")
    return value


def check_dtype(name: str, value: Tensor, allowed: Collection[torch.dtype]) -> None:
    """Raise ``TypeError`` unless the dtype of ``value`` is one of ``allowed``."""
    if value.dtype not in allowed:
        names = " or ".join(str(dtype) for dtype in allowed)
        raise TypeError(f"{name} must have dtype {names}, got {value.dtype}")


def check_shape(name: str, value: Tensor, expected: Sequence[int | None]) -> None:
    """Raise ``ValueError`` unless the shape matches; ``None`` stands for any size."""
    shape = value.shape
    if len(shape) == len(expected):
        for want, have in zip(expected, shape, strict=True):
            if want is not None and want != have:
                break
        else:
            return
    wanted = ", ".join("*" if size is None else str(size) for size in expected)
    raise ValueError(f"{name} must have shape [{wanted}], got {list(shape)}")


def check_device(name: str, value: Tensor, device: torch.device) -> None:
    """Raise ``ValueError`` unless ``value`` lives on ``device``."""
    if value.device != device:
        raise ValueError(f"{name} must be on {device}, got {value.device}")


def is_finite(value: Tensor) -> bool:
    """Tell whether ``value`` holds neither NaN nor infinity."""
    if not (value.is_floating_point() or value.is_complex()) or value.numel() == 0:
        return True
    value = value.detach() if value.requires_grad else value
    # A sum is one read without a temporary; it is non-finite whenever an element is.
    total = (value if value.numel() == 1 else value.sum()).item()
    if math.isfinite(total) if isinstance(total, float) else cmath.isfinite(total):
        return True
    return bool(torch.isfinite(value).all())


def check_finite(name: str, value: Tensor) -> None:
    """Raise ``ValueError`` if ``value`` holds a NaN or an infinity."""
    if is_finite(value):
        return
    bad = (~torch.isfinite(value)).nonzero()
    raise ValueError(
        f"{name} must be finite, got {len(bad)} NaN or infinite value(s), the first at "
        f"{bad[0].tolist()}"
    )


def check_real(name: str, value: Tensor) -> None:
    """Raise ``TypeError`` if ``value`` is complex or quantized."""
    if value.is_complex() or value.is_quantized:
        raise TypeError(f"{name} must be real, got {value.dtype}")


def check_int(name: str, value: Any, *, minimum: int | None = None) -> int:
    """Return ``value`` as an int of at least ``minimum``."""
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise TypeError(f"{name} must be an integer, got {describe(value)}")
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def check_number(name: str, value: Any) -> float:
    """Return ``value`` as a float if it is a finite real number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {describe(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return float(value)


def check_bool(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False; words and numbers would be read as one silently."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {describe(value)}")
    return bool(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``; the error lists them."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {listed}, got {describe(value)}")
    return str(value)
