"""Fast, trustworthy and broad feature attribution for PyTorch models.

A room that is not needed to explain (`plot`, `taylor`, `metrics`, ...) is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxai import attribution, imputers, masks, ops, registry
from pyxai._backends import backends
from pyxai._errors import BackendUnavailableError, PyxaiWarning, UnsupportedOperationError
from pyxai._lazy import rooms_of
from pyxai.explain import explain
from pyxai.explanation import Explanation
from pyxai.game import Game
from pyxai.runner import Shared

if TYPE_CHECKING:
    from pyxai import (
        adapters,
        audit,
        datasets,
        decomposition,
        graphs,
        lex,
        metrics,
        plot,
        selection,
        taylor,
        transforms,
    )

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailableError",
    "Explanation",
    "Game",
    "PyxaiWarning",
    "Shared",
    "UnsupportedOperationError",
    "__version__",
    "adapters",
    "attribution",
    "audit",
    "backends",
    "datasets",
    "decomposition",
    "explain",
    "graphs",
    "imputers",
    "lex",
    "masks",
    "metrics",
    "ops",
    "plot",
    "registry",
    "selection",
    "taylor",
    "transforms",
]

__getattr__, __dir__, _ = rooms_of(__name__, __path__)
