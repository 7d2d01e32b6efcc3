"""Backends under test are required by name: one that did not run is an error, never a skip."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch
from backends import NAMES, REQUIRED

import pyxai
from pyxai import _C

THREAD_ORDERS = {"cpu": (False,), "cuda": (False,), "host_run": (False, True)}


def pytest_sessionstart(session: pytest.Session) -> None:
    if not REQUIRED:
        raise pytest.UsageError(
            f"PYXAI_REQUIRE_BACKENDS must name backends, such as cpu,host_run, got {NAMES!r}"
        )
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
    params=[(name, order) for name in REQUIRED for order in THREAD_ORDERS.get(name, ())],
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


@pytest.fixture(scope="module")
def one_thread():
    """Small matrices: waking more threads costs more than they bring, and moves what is trained."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    """Close what a test drew: pyplot warns of the 21st open figure, in whatever test opens it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
