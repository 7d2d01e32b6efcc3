"""Covariance matrices in the forms that make large inputs feasible.

May import `pyxai.ops` and what is below it. Start with `base`.
"""

from __future__ import annotations

from pyxai.covariance.banded import BandedCovariance
from pyxai.covariance.base import Covariance
from pyxai.covariance.dense import BlockCovariance, DenseCovariance, DiagonalCovariance
from pyxai.covariance.low_rank import LowRankCovariance, SampleCovariance
from pyxai.covariance.toeplitz import ToeplitzCovariance

__all__ = [
    "BandedCovariance",
    "BlockCovariance",
    "Covariance",
    "DenseCovariance",
    "DiagonalCovariance",
    "LowRankCovariance",
    "SampleCovariance",
    "ToeplitzCovariance",
]
