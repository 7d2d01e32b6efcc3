"""The parts of scikit-image, an extra that is imported when segments are asked for."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["skimage"]


def skimage(part: str, instead: str) -> Any:
    """Return a module of scikit-image; the error without it says what to do ``instead``."""
    try:
        return importlib.import_module(f"skimage.{part}")
    except ImportError as error:
        raise ImportError(
            "scikit-image is needed to segment images: pip install 'pyxai-torch[regions]', or "
            f"{instead}"
        ) from error
