"""Other packages, kept quiet: a warning of theirs is not an error of ours."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # shap uses matplotlib in ways that it will lose
    import shap

__all__ = ["peer_pic", "quiet", "shap"]


def quiet(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same without warnings."""

    @wraps(run)
    def silent(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(*args, **kwargs)

    return silent


def peer_pic() -> Any:
    """Load the metric of the authors' package without the rest of that package."""
    folder = Path(importlib.util.find_spec("saliency").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("pic", folder / "metrics" / "pic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
