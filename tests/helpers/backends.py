"""Which backends must be there, and how exact a kernel must be."""

from __future__ import annotations

import os

import torch

NAMES = os.environ.get("PYXAI_REQUIRE_BACKENDS", "cpu,host_run")
REQUIRED = tuple(name for name in NAMES.split(",") if name)


def assert_as_exact_as_torch(actual, reference, plain, floor=1e-7):
    """Error against the float64 reference is at most twice that of plain torch.

    What plain torch misses is rounding of its dtype: a reference that is wrong would miss both.
    """
    reference = reference.double().cpu()
    own = (actual.double().cpu() - reference).abs().max() if reference.numel() else torch.zeros(())
    peer = (plain.double().cpu() - reference).abs().max() if reference.numel() else torch.zeros(())
    scale = reference.abs().max() if reference.numel() else torch.zeros(())
    rounding = torch.finfo(plain.dtype).eps
    assert peer <= 16 * rounding * scale, f"plain torch {peer:.3e} from the reference"
    assert own <= 2 * peer + floor * scale, f"error {own:.3e}, plain torch {peer:.3e}"
