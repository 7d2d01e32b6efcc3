"""`pyxai explain`: explain the outputs of a saved model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import pyxai
from pyxai import registry
from pyxai._checks import describe
from pyxai._files import check_target
from pyxai.cli.files import TENSOR_FILES, load_inputs, load_model, load_rows, load_tensor
from pyxai.cli.page import page

__all__ = ["add"]

# What `explain` takes beside the arguments of the method, and where it comes from here.
_OWN_OPTIONS = {
    "model": "the first argument",
    "inputs": "the second argument",
    "method": "--method",
    "target": "--target",
    "baselines": "--baselines",
    "feature_names": "--feature-names",
}


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    explain = verbs.add_parser(
        "explain",
        help="explain the outputs of a saved model",
        description="Loading a model runs its code: only load files that you trust.",
    )
    explain.add_argument(
        "model",
        help="an exported program (.pt2, torch.export.save), a TorchScript file, or "
        "module:function that makes one",
    )
    explain.add_argument(
        "inputs",
        type=Path,
        help=".npy, .npz, .pt (tensor) or .safetensors, one row per example; a table (.csv, "
        ".parquet); a picture (.png, .jpg), whose channels go from 0 to 1",
    )
    explain.add_argument("--method", default="integrated_gradients", help="(default: %(default)s)")
    explain.add_argument(
        "--target", type=int, help="output to explain (default: each row's largest)"
    )
    explain.add_argument(
        "--baselines", help="a number, or a file as for the inputs (default: the method's own)"
    )
    explain.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of the method, its value in JSON or a file with a tensor: n_steps=20, "
        "sliding_window_shapes=[1,3,3], feature_mask=patches.npy",
    )
    explain.add_argument(
        "--feature-names", metavar="A,B,...", help="(default: the columns of a table)"
    )
    explain.add_argument("--rows", type=_count, help="explain only so many rows")
    explain.add_argument("--save", type=Path, help="write the explanation (.safetensors)")
    explain.add_argument("--report", type=Path, help="write a report (.html)")
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> None:
    registry.get(options.method)  # an unknown name fails before the files are read
    more = dict(map(_option, options.option))
    _check_targets(options)
    model = load_model(options.model)
    inputs, names = load_rows(options.inputs)
    if options.feature_names is not None:
        names = options.feature_names.split(",")
    dtype = _dtype(model, inputs)
    inputs = inputs[: options.rows].to(dtype)
    if not bool(inputs.isfinite().all()):
        raise ValueError(f"inputs must be finite, got NaN or infinity in {options.inputs}")
    if options.baselines is not None:
        more["baselines"] = _baselines(options.baselines, dtype)
    target = options.target
    if target is None:
        with torch.no_grad():
            outputs = model(inputs)
        if not isinstance(outputs, Tensor):
            raise TypeError(f"model must return a tensor, got {describe(outputs)}")
        target = outputs.argmax(1) if outputs.dim() == 2 and outputs.shape[1] > 1 else None
    explanation = pyxai.explain(
        model, inputs, method=options.method, target=target, feature_names=names, **more
    )
    print(explanation)
    if options.save is not None:
        print(f"wrote {explanation.save(options.save)}")
    if options.report is not None:
        print(f"wrote {page(explanation).write(options.report)}")


def _check_targets(options: argparse.Namespace) -> None:
    """Raise if a file cannot be written; rather now than after the work."""
    taken = {Path(path).resolve(): name for name, path in _files_read(options)}
    for name in ("save", "report"):
        path = getattr(options, name)
        if path is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        target = check_target(path, f"--{name}")
        if target in taken:
            raise ValueError(
                f"--{name} must be another file than {taken[target]}, got {str(path)!r}"
            )
        taken[target] = f"--{name}"


def _files_read(options: argparse.Namespace) -> list[tuple[str, str]]:
    given = [("the model", options.model), ("the inputs", options.inputs)]
    return [*given, *([("--baselines", options.baselines)] if options.baselines else [])]


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return count


def _option(text: str) -> tuple[str, Any]:
    """Read ``name=value``; lists become tuples, as methods expect, and files tensors."""
    name, found, value = text.partition("=")
    if not (name and found):
        raise ValueError(f"--option must be NAME=VALUE, got {text!r}")
    if name in _OWN_OPTIONS:
        raise ValueError(
            f"--option must name an argument of the method, got {name}, which is given by "
            f"{_OWN_OPTIONS[name]}"
        )
    if Path(value).suffix in TENSOR_FILES:
        return name, load_tensor(Path(value), name)
    try:
        read = json.loads(value)
    except json.JSONDecodeError:
        read = value  # a word
    return name, tuple(read) if isinstance(read, list) else read


def _baselines(text: str, dtype: torch.dtype) -> float | Tensor:
    try:
        return float(text)
    except ValueError:
        return load_inputs(Path(text), "baselines").to(dtype)


def _dtype(model: Any, inputs: Tensor) -> torch.dtype:
    """Return the dtype of the model's parameters; files of NumPy are float64 by default."""
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    floating = (value.dtype for value in parameters if value.is_floating_point())
    return next(floating, inputs.dtype)
