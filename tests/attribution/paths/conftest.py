"""The authors' package of Guided IG, Blur IG and XRAI."""

import numpy as np
import pytest


@pytest.fixture
def saliency(monkeypatch):
    """The authors' package, given back an argument that NumPy 2 has renamed."""
    quantile = np.quantile
    monkeypatch.setattr(
        np, "quantile", lambda a, q, interpolation: quantile(a, q, method=interpolation)
    )
    from saliency import core

    return core
