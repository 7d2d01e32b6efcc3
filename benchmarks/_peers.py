"""Other packages, kept quiet: a warning of theirs is not an error of ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # shap uses matplotlib in ways that it will lose
    import shap

__all__ = ["quiet", "shap"]


def quiet(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same without warnings."""

    @wraps(run)
    def silent(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(*args, **kwargs)

    return silent
