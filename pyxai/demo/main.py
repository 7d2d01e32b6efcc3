"""From nothing to a report: train, explain, check, write."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyxai._extras import optional
from pyxai._files import check_target
from pyxai.demo.measure import measure
from pyxai.demo.page import build
from pyxai.demo.sections.graph import measure_graph
from pyxai.demo.sections.wavelet import measure_wavelet
from pyxai.demo.tasks import breast_cancer, digits

__all__ = ["run"]


def run(out: str | Path = "out/demo", *, seed: int = 0, rows: int = 96) -> Path:
    """Train four small models, explain them with every method, and write a report.

    Parameters
    ----------
    out : str or Path
        Folder of the report.
    seed : int
        What all random choices are made from.
    rows : int
        Test rows of each data set to explain, at least 10.

    Returns
    -------
    Path
        The report, one HTML file.

    Raises
    ------
    ImportError
        If scikit-learn or matplotlib is not installed.
    ValueError
        If ``rows`` is below 10.
    """
    if rows < 10:
        raise ValueError(f"rows must be at least 10, got {rows}")
    _need("sklearn", "scikit-learn")
    _need("matplotlib", "matplotlib")
    target = Path(out) / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    check_target(target, "out")  # before the work
    start = time.perf_counter()
    images = measure(digits(seed, _progress), n_rows=rows, n_removed=16, progress=_progress)
    table = measure(breast_cancer(seed, _progress), n_rows=rows, n_removed=8, progress=_progress)
    graph = measure_graph(seed)
    wavelet = measure_wavelet(seed)
    seconds = time.perf_counter() - start
    report = build(images, table, graph, wavelet, seconds, seed)
    return report.write(target)


def _need(module: str, package: str) -> None:
    with optional("the demonstration needs", package, "demo"):
        importlib.import_module(module)


def _progress(items: Iterable[Any], label: str) -> Iterable[Any]:
    """Show a bar once a loop has taken two seconds, where tqdm is installed."""
    try:
        bar = importlib.import_module("tqdm").tqdm
    except ImportError:
        return items
    shown: Iterable[Any] = bar(items, desc=label, delay=2, leave=False)
    return shown
