"""The command line: `pyxai demo`, `pyxai methods`, `pyxai explain`, `pyxai report`."""

from __future__ import annotations

import argparse
import importlib
import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pyxai
from pyxai import registry
from pyxai._checks import check_real, describe
from pyxai.explanation import Explanation
from pyxai.report import Report

__all__ = ["main"]

_TENSOR_FILES = (".npy", ".npz", ".pt", ".safetensors")
_FIXED_SIZE = (
    "; the program was exported for batches of one size: export it with dynamic_shapes, or give "
    "--rows and --option internal_batch_size of that size"
)
# What `explain` takes beside the arguments of the method, and where it comes from here.
_OWN_OPTIONS = {
    "model": "the first argument",
    "inputs": "the second argument",
    "method": "--method",
    "target": "--target",
    "baselines": "--baselines",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        Exit status: 0 if all went well, 1 if not, 2 for arguments that make no sense.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (
        ImportError,
        OSError,
        TypeError,
        ValueError,
        AssertionError,  # from guards of exported programs
        RuntimeError,
    ) as error:
        if options.debug:
            raise
        hint = _FIXED_SIZE if isinstance(error, AssertionError) else ""
        print(f"pyxai {options.command}: {error}{hint}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyxai", description="Feature attribution for PyTorch models."
    )
    parser.add_argument("--version", action="version", version=f"pyxai {pyxai.__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    verbs = parser.add_subparsers(dest="command", required=True, metavar="command")

    demo = verbs.add_parser("demo", help="train two small models, explain them, write a report")
    demo.add_argument("--out", default="out/demo", help="folder (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)

    methods = verbs.add_parser("methods", help="list the methods and what they promise")
    methods.set_defaults(run=_methods)

    explain = verbs.add_parser(
        "explain",
        help="explain the outputs of a saved model",
        description="The model is an exported program (.pt2, torch.export.save) or a TorchScript "
        "file. Loading a model runs its code: only load files that you trust.",
    )
    explain.add_argument("model", type=Path)
    explain.add_argument(
        "inputs", type=Path, help=".npy, .npz, .pt (tensor) or .safetensors, one row per example"
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
    explain.add_argument("--rows", type=_count, help="explain only so many rows")
    explain.add_argument("--save", type=Path, help="write the explanation (.safetensors)")
    explain.add_argument("--report", type=Path, help="write a report (.html)")
    explain.set_defaults(run=_explain)

    report = verbs.add_parser("report", help="make a page of a saved explanation")
    report.add_argument("explanation", type=Path, help="file written by `explain --save`")
    report.add_argument("--out", type=Path, default=Path("report.html"))
    report.set_defaults(run=_report)
    return parser


def _demo(options: argparse.Namespace) -> None:
    demo = importlib.import_module("pyxai.demo")
    path = demo.run(options.out, seed=options.seed)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser")


def _methods(_: argparse.Namespace) -> None:
    for name in registry.names():
        method = registry.get(name)
        promises = ", ".join(method.axioms).replace("_", " ") or "no axiom"
        print(f"{name:28} {promises}")


def _explain(options: argparse.Namespace) -> None:
    registry.get(options.method)  # an unknown name fails before the files are read
    more = dict(map(_option, options.option))
    for path in (options.save, options.report):
        if path is not None:  # rather now than after the work
            path.parent.mkdir(parents=True, exist_ok=True)
    model, inputs = _load_model(options.model), _load_inputs(options.inputs)
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
    explanation = pyxai.explain(model, inputs, method=options.method, target=target, **more)
    print(explanation)
    if options.save is not None:
        print(f"wrote {explanation.save(options.save)}")
    if options.report is not None:
        print(f"wrote {_page(explanation).write(options.report)}")


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
    if Path(value).suffix in _TENSOR_FILES:
        return name, _load_tensor(Path(value), name)
    try:
        read = json.loads(value)
    except json.JSONDecodeError:
        read = value  # a word
    return name, tuple(read) if isinstance(read, list) else read


def _baselines(text: str, dtype: torch.dtype) -> float | Tensor:
    try:
        return float(text)
    except ValueError:
        return _load_inputs(Path(text), "baselines").to(dtype)


def _dtype(model: Any, inputs: Tensor) -> torch.dtype:
    """Return the dtype of the model's parameters; files of NumPy are float64 by default."""
    floating = (value.dtype for value in model.parameters() if value.is_floating_point())
    return next(floating, inputs.dtype)


def _report(options: argparse.Namespace) -> None:
    print(f"wrote {_page(Explanation.load(options.explanation)).write(options.out)}")


def _page(explanation: Explanation, shown: int = 12) -> Report:
    """Return a report of the first rows of an explanation."""
    report = Report(
        f"Explanation by {explanation.method.replace('_', ' ')}",
        f"{len(explanation)} row(s)",
        f"pyxai {pyxai.__version__}, torch {torch.__version__}",
    )
    report.section("Summary").text(*str(explanation).splitlines())
    section = report.section("Rows")
    for row in range(min(shown, len(explanation))):
        section.figure(
            lambda row=row: explanation[row].plot(title=f"row {row}").figure,  # type: ignore[misc]
            alt=f"Attributions of row {row}",
        )
    if len(explanation) > shown:
        section.text(f"{len(explanation) - shown} more rows are in the file.")
    return report


def _load_model(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"model must be a file, got {str(path)!r}")
    if path.suffix == ".pt2":
        return torch.export.load(str(path)).module()
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ValueError(
            "model must be an exported program (.pt2, from torch.export.save) or a TorchScript "
            f"file, got {str(path)!r}; torch.save keeps no program"
        ) from error


def _load_inputs(path: Path, name: str = "inputs") -> Tensor:
    """Read one floating tensor; integers are converted."""
    tensor = _load_tensor(path, name)
    check_real(name, tensor)
    if tensor.numel() == 0:
        raise ValueError(f"{name} must hold numbers, got shape {list(tensor.shape)}")
    return tensor if tensor.is_floating_point() else tensor.float()


def _load_tensor(path: Path, name: str) -> Tensor:
    """Read one tensor; nothing that is unpickled is run."""
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be a file, got {str(path)!r}")
    found: Any
    if path.suffix in (".npy", ".npz"):
        numpy = importlib.import_module("numpy")
        found = numpy.load(path, allow_pickle=False)
        found = dict(found) if path.suffix == ".npz" else found
    elif path.suffix == ".safetensors":
        found = importlib.import_module("safetensors.torch").load_file(str(path))
    else:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise ValueError(f"{name} must be a file of one tensor, got {str(path)!r}") from error
    if isinstance(found, dict):
        if len(found) != 1:
            raise ValueError(
                f"{name} must hold one tensor, got {len(found)}: {', '.join(map(str, found))}"
            )
        (found,) = found.values()
    return torch.as_tensor(found)
