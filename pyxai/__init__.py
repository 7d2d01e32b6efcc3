"""Fast, trustworthy and broad feature attribution for PyTorch models."""

from __future__ import annotations

from pyxai import attribution, imputers, masks, ops, plot, registry
from pyxai._backends import backends
from pyxai._errors import BackendUnavailableError, PyxaiWarning, UnsupportedOperationError
from pyxai.explain import explain
from pyxai.explanation import Explanation
from pyxai.game import Game
from pyxai.runner import Shared

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailableError",
    "Explanation",
    "Game",
    "PyxaiWarning",
    "Shared",
    "UnsupportedOperationError",
    "__version__",
    "attribution",
    "backends",
    "explain",
    "imputers",
    "masks",
    "ops",
    "plot",
    "registry",
]
