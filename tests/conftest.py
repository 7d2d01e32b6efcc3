"""Backends under test are required by name: one that did not run is an error, never a skip."""

from __future__ import annotations

import os

import pytest
import torch

import pyxai
from pyxai import _C

REQUIRED = tuple(
    name for name in os.environ.get("PYXAI_REQUIRE_BACKENDS", "cpu,host_run").split(",") if name
)
THREAD_ORDERS = {"cpu": (False,), "cuda": (False,), "host_run": (False, True)}


def pytest_sessionstart(session: pytest.Session) -> None:
    built = pyxai.backends()
    missing = [name for name in REQUIRED if name not in built["built"]]
    if "cuda" in REQUIRED and not built["cuda_available"]:
        missing.append("cuda device")
    if missing:
        raise pytest.UsageError(
            f"required backends {missing} are missing; built: {built['built']}. "
            "Build with PYXAI_HOST_RUN=1, or name others in PYXAI_REQUIRE_BACKENDS."
        )


@pytest.fixture(
    params=[(name, order) for name in REQUIRED for order in THREAD_ORDERS[name]],
    ids=lambda param: param[0] + ("-reversed" if param[1] else ""),
)
def backend(request: pytest.FixtureRequest):
    """Name of a kernel backend; host_run comes twice, with threads in both orders."""
    name, reverse = request.param
    if name == "host_run":
        _C.host_run_reverse_threads(reverse)
        yield name
        _C.host_run_reverse_threads(False)
    else:
        yield name


@pytest.fixture
def device(backend: str) -> torch.device:
    """Where tensors of ``backend`` live."""
    return torch.device("cuda" if backend == "cuda" else "cpu")


def assert_as_exact_as_torch(actual, reference, plain, floor=1e-7):
    """Error against the float64 reference is at most twice that of plain torch."""
    reference = reference.double().cpu()
    own = (actual.double().cpu() - reference).abs().max() if reference.numel() else torch.zeros(())
    peer = (plain.double().cpu() - reference).abs().max() if reference.numel() else torch.zeros(())
    scale = reference.abs().max() if reference.numel() else torch.zeros(())
    assert own <= 2 * peer + floor * scale, f"error {own:.3e}, plain torch {peer:.3e}"
