"""What the installed build of the native module contains."""

from __future__ import annotations

from typing import Any

import torch

# torch must be loaded first: the native module links against its libraries.
from pyxai import _C
from pyxai._errors import BackendUnavailableError

__all__ = ["backends", "check_backend"]


def backends() -> dict[str, Any]:
    """Tell which kernels this build contains and what it runs on.

    Returns
    -------
    dict
        ``"built"``: tuple of backend names among ``"cpu"``, ``"cuda"`` and ``"host_run"`` (the
        CUDA sources compiled to run on the CPU, test builds only); ``"cuda_available"``: whether a
        CUDA device can be used now; ``"torch"`` and ``"torch_cuda"``: versions, the latter ``None``
        for a CPU build of torch; ``"threads"``: CPU threads in use.
    """
    built = tuple(_C.backends)
    return {
        "built": built,
        "cuda_available": "cuda" in built and torch.cuda.is_available(),
        "torch": torch.__version__,
        "torch_cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
    }


def check_backend(device: torch.device, backend: str | None) -> str:
    """Return the backend name for the native call, or raise if this build lacks it."""
    name = backend if backend is not None else ("cuda" if device.type == "cuda" else "cpu")
    if name not in ("cpu", "cuda", "host_run"):
        raise ValueError(f"backend must be one of 'cpu', 'cuda', 'host_run', got {name!r}")
    if name not in _C.backends:
        raise BackendUnavailableError(
            f"backend must be one of those built ({', '.join(_C.backends)}), got {name!r}; "
            "rebuild with a CUDA build of torch and a CUDA toolkit, or move the tensors to the CPU"
        )
    return name
