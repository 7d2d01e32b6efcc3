"""How much memory a call needs at its peak, beyond what the process held before."""

from __future__ import annotations

import re
from pathlib import Path

from pyxai._timing.turns import Candidate

__all__ = ["extra_peak_bytes"]


def extra_peak_bytes(run: Candidate) -> int | None:
    """Run once and return by how much the process grew at most; None where Linux does not tell."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")  # the peak starts again at what is held now
        before = _kilobytes(status, "VmRSS")
    except OSError:
        run()
        return None
    run()
    return 1024 * (_kilobytes(status, "VmHWM") - before)


def _kilobytes(status: Path, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", status.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{status} has no {field}")
    return int(found.group(1))
