"""Explanations as files and as JSON."""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._extras import optional
from pyxai._files import whole_file
from pyxai.explanation import Explanation
from pyxai.explanation.names import has_words
from pyxai.explanation.text import feature_label

__all__ = ["MOST_VALUES", "PICTURES", "SAVED", "as_json", "check_suffix", "save", "save_picture"]

PICTURES = (".png", ".svg", ".pdf")
MOST_VALUES = 100_000  # in JSON, which is read whole


def check_suffix(path: Path, name: str, known: tuple[str, ...]) -> None:
    """Raise unless a file's name says a format that is written."""
    if path.suffix.lower() not in known:
        raise ValueError(f"{name} must end in one of {', '.join(known)}, got {str(path)!r}")


def save(explanation: Explanation, path: Path) -> Path:
    """Write an explanation in the format that the name of the file says.

    ``.safetensors`` holds all of it, and `Explanation.load` and ``pyxai report`` read it; ``.npz``
    the arrays by name; ``.npy`` the attributions; ``.csv`` and ``.parquet`` a line for each row.
    """
    _WRITERS[path.suffix.lower()](explanation, path)
    return path


def save_picture(explanation: Explanation, path: Path) -> Path:
    """Draw an explanation and write the picture in the format that the name of the file says.

    Pictures and what else has axes are drawn as maps; several rows of features as a swarm; one
    row as bars, which lead from the base value to the output where the attributions add up; a text
    as it was written.
    """
    axes = explanation.plot(_kind(explanation))
    figure = np.ravel(axes)[0].figure
    drawn = io.BytesIO()
    try:
        figure.savefig(drawn, format=path.suffix.lower()[1:], dpi=150, bbox_inches="tight")
    finally:  # else pyplot keeps it for the life of the process
        importlib.import_module("matplotlib.pyplot").close(figure)
    _write(path, drawn.getvalue())
    return path


def _kind(explanation: Explanation) -> str | None:
    values, delta = explanation.attributions, explanation.convergence_delta
    if isinstance(values, tuple) or values.dim() > 2:
        return None  # what results choose themselves
    if len(explanation) > 1:
        return "beeswarm"
    if "text" in explanation.options and has_words(explanation):
        return "text"
    return "bar" if delta is None or delta.shape != (1,) else "waterfall"


def as_json(explanation: Explanation) -> str:
    """Return an explanation as a JSON text; what is not finite is null."""
    arrays = _arrays(explanation)
    error = arrays.pop("error", None)
    names = explanation.feature_names
    found: dict[str, Any] = {
        "method": explanation.method,
        "rows": len(explanation),
        "target": _targets(explanation),
        "feature_names": None if names is None else list(names),
        "shape": list(arrays["attributions"].shape),
        **{name: _plain(value) for name, value in arrays.items() if name != "target"},
        "error": None if error is None else _plain(error),
    }
    found.setdefault("convergence_delta", None)
    return json.dumps(found, ensure_ascii=False, allow_nan=False)


def _arrays(explanation: Explanation) -> dict[str, Any]:
    """Return the arrays of an explanation of one input by name."""
    found = {"attributions": explanation.to_numpy(), "target": np.array(_targets(explanation))}
    for name in ("outputs", "convergence_delta", "error"):
        value = getattr(explanation, name)
        if isinstance(value, Tensor):
            wide = value.detach().cpu()
            found[name] = (wide.float() if wide.dtype.itemsize < 4 else wide).numpy()
    if explanation.target is None:
        del found["target"]
    return found


def _targets(explanation: Explanation) -> list[int] | None:
    target = explanation.target
    if target is None:
        return None
    return torch.as_tensor(target).expand(len(explanation)).tolist()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(explanation: Explanation) -> tuple[list[str], list[list[Any]]]:
    """Return the names of the columns of a table, and its rows."""
    arrays = _arrays(explanation)
    values = arrays["attributions"].reshape(len(explanation), -1)
    columns: dict[str, Any] = {"row": np.arange(len(explanation))}
    for name in ("target", "outputs", "convergence_delta"):
        if name in arrays and arrays[name].shape == (len(explanation),):
            columns[name] = arrays[name]
    labels = [feature_label(explanation, index) for index in range(values.shape[1])]
    rows = [
        [*(column[row].item() for column in columns.values()), *values[row].tolist()]
        for row in range(len(explanation))
    ]
    return [*columns, *labels], rows


def _to_npy(explanation: Explanation, path: Path) -> None:
    _write(path, _saved(np.save, explanation.to_numpy()))


def _to_npz(explanation: Explanation, path: Path) -> None:
    arrays = _arrays(explanation)
    if explanation.feature_names is not None:
        arrays["feature_names"] = np.array(explanation.feature_names)
    _write(path, _saved(np.savez, **arrays))


def _to_csv(explanation: Explanation, path: Path) -> None:
    text = io.StringIO()
    names, rows = _lines(explanation)
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    _write(path, text.getvalue().encode())


def _to_parquet(explanation: Explanation, path: Path) -> None:
    with optional("Parquet files need", "pyarrow>=15", "audit"):
        import pyarrow
        from pyarrow import parquet
    names, rows = _lines(explanation)
    columns = [pyarrow.array(column) for column in zip(*rows, strict=True)]
    made = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_arrays(columns, names=names), made)
    _write(path, made.getvalue())


def _saved(write: Callable[..., Any], *values: Any, **named: Any) -> bytes:
    made = io.BytesIO()
    write(made, *values, **named)
    return made.getvalue()


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


_WRITERS: dict[str, Callable[[Explanation, Path], Any]] = {
    ".safetensors": Explanation.save,
    ".npz": _to_npz,
    ".npy": _to_npy,
    ".csv": _to_csv,
    ".parquet": _to_parquet,
}
SAVED = tuple(_WRITERS)
