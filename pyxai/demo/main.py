"""From nothing to a report: train, explain, check, write."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pyxai._extras import optional
from pyxai._files import check_target
from pyxai.demo.fourteen.comparison import measure_fourteen
from pyxai.demo.measure import measure
from pyxai.demo.page import Found, build
from pyxai.demo.sections.audited import measure_audit
from pyxai.demo.sections.columns import measure_columns
from pyxai.demo.sections.frequencies import measure_frequencies
from pyxai.demo.sections.graph import measure_graph
from pyxai.demo.sections.hierarchies import measure_hierarchies
from pyxai.demo.sections.panels import measure_panels
from pyxai.demo.sections.photograph import measure_photograph
from pyxai.demo.sections.phrases import measure_phrases
from pyxai.demo.sections.pixels import measure_reveal
from pyxai.demo.sections.reading import measure_reading
from pyxai.demo.sections.sentiment import train_reader
from pyxai.demo.sections.wavelet import measure_wavelet
from pyxai.demo.tasks import breast_cancer, digits

__all__ = ["run"]

Done = TypeVar("Done")


def run(
    out: str | Path = "out/demo",
    *,
    seed: int = 0,
    rows: int = 96,
    say: Callable[[str], object] | None = None,
) -> Path:
    """Train small models, explain them with every method, and write a report.

    Parameters
    ----------
    out : str or Path
        Folder of the report, and of the audit of the digits beside it.
    seed : int
        What all random choices are made from.
    rows : int
        Test rows of each data set to explain, at least 10.
    say : callable, optional
        Gets a line when a step begins, such as ``print``.

    Returns
    -------
    Path
        The report, one HTML file.

    Raises
    ------
    ImportError
        If scikit-learn, matplotlib, pyarrow or pandas is not installed.
    ValueError
        If ``rows`` is below 10.
    """
    if rows < 10:
        raise ValueError(f"rows must be at least 10, got {rows}")
    for module, package in NEEDED.items():
        with optional("the demonstration needs", package, "demo"):
            importlib.import_module(module)
    target = Path(out) / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    check_target(target, "out")  # before the work
    found = _measured(target.parent, seed, rows, say or (lambda line: None))
    return build(found).write(target)


NEEDED = {
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "pyarrow": "pyarrow",
    "pandas": "pandas",
}


def _measured(folder: Path, seed: int, rows: int, say: Callable[[str], object]) -> Found:
    start = time.perf_counter()

    def step(what: str, work: Callable[[], Done]) -> Done:
        say(f"{time.perf_counter() - start:5.1f} s  {what}")
        return work()

    picture = step("a net that looks for a dahlia", lambda: measure_photograph(seed))
    reader = step("a reader of sentences", lambda: train_reader(seed))
    reading = step("what its words say", lambda: measure_reading(reader))
    tumours = step("a net for tumours", lambda: breast_cancer(seed))
    table = step("all methods on tumours", lambda: measure(tumours, n_rows=rows, n_removed=8))
    drawn = step("a net for handwritten digits", lambda: digits(seed))
    images = step("all methods on digits", lambda: measure(drawn, n_rows=rows, n_removed=16))
    audit = step(
        f"an audit of all {len(drawn.inputs)} test digits",
        lambda: measure_audit(drawn, folder, seed),
    )
    found = Found(
        photograph=picture,
        reading=reading,
        table=table,
        digits=images,
        audit=audit,
        fourteen=step("fourteen methods, one system", lambda: measure_fourteen(drawn, tumours)),
        reveal=step("pixels, one after another", lambda: measure_reveal(images)),
        columns=step("columns of a table, one after another", lambda: measure_columns(tumours)),
        panels=step("selections of which the truth is known", lambda: measure_panels(seed)),
        hierarchies=step("parts and wholes", lambda: measure_hierarchies(drawn, reader)),
        phrases=step("phrases for a transformer", lambda: measure_phrases(seed)),
        frequencies=step("frequencies of signals", lambda: measure_frequencies(seed)),
        graph=step("edges of a graph", lambda: measure_graph(seed)),
        wavelet=step("a wavelet", lambda: measure_wavelet(seed)),
        seconds=time.perf_counter() - start,
        seed=seed,
    )
    step("the report and its pictures", lambda: None)
    return found
