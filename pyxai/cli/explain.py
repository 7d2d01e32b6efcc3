"""`pyxai explain`: explain the outputs of a saved model."""

from __future__ import annotations

import argparse
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyxai
from pyxai import registry
from pyxai._extras import optional
from pyxai._files import check_target
from pyxai._signatures import option_parameters
from pyxai.cli.files.models import SAFETY
from pyxai.cli.files.outputs import (
    MOST_VALUES,
    PICTURES,
    SAVED,
    as_json,
    check_suffix,
    save,
    save_picture,
)
from pyxai.cli.notes import progress_shown, tell
from pyxai.cli.page import page
from pyxai.cli.question import (
    add_inputs,
    add_inside,
    add_model,
    check_inside,
    explained,
    inside,
    largest_output,
    option_of,
    read_baselines,
    read_model,
    read_rows,
)
from pyxai.cli.texts import TEXT, class_or_label, text_explained
from pyxai.methods import LayerAttribution
from pyxai.methods.store import takes_target
from pyxai.runner.progress import progress_to

__all__ = ["add"]

_EPILOG = f"""\
examples:
  pyxai explain model.pt2 inputs.npy
  pyxai explain model.pt2 patients.csv --drop name,city --target 1 --plot why.png
  pyxai explain nets:make patients.csv --drop name,city --weights trained.safetensors --rows 1
  pyxai explain nets:Look photo.png --method occlusion --option sliding_window_shapes=3,4,4
  pyxai explain model.pt2 inputs.npy --method kernel_shap --save why.csv --json
  pyxai explain nets:Look photo.png --method layer_grad_cam --layer conv --plot where.png
  pyxai explain nets:make inputs.npy --method neuron_integrated_gradients --layer 0 --neuron 3
  pyxai explain sentiment sentence.txt --target positive --option unit=word --plot why.png

`pyxai methods` lists the methods, `pyxai methods NAME` the options of one.

{SAFETY}"""


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    explain = verbs.add_parser(
        "explain",
        help="explain the outputs of a model for the rows of a file",
        description="Tell what each feature of each row adds to an output of a model.",
        epilog=_EPILOG,
    )
    add_model(explain)
    add_inputs(explain)
    explain.add_argument("--method", default="integrated_gradients", help="(default: %(default)s)")
    add_inside(explain)
    explain.add_argument(
        "--target",
        type=class_or_label,
        help="output to explain, from 0, or of a text its label (default: each row's largest)",
    )
    explain.add_argument(
        "--baselines",
        help="a number, or a file as for the inputs (default: the method's own); of a text mask, "
        "pad, unknown, zero or unattended (default: mask)",
    )
    explain.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of the method, its value in JSON or a file with a tensor: n_steps=20, "
        "sliding_window_shapes=1,3,3, feature_mask=patches.npy",
    )
    explain.add_argument(
        "--feature-names", metavar="A,B,...", help="(default: the columns of a table)"
    )
    explain.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help=f"draw it: pictures as maps, one row as bars, more as a swarm ({', '.join(PICTURES)})",
    )
    explain.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="write it: .safetensors holds all, for Explanation.load and `pyxai report`; .npz the "
        "arrays, .npy the attributions alone, .csv and .parquet a line for each row",
    )
    explain.add_argument("--report", type=Path, metavar="FILE", help="write a page (.html)")
    explain.add_argument(
        "--json",
        action="store_true",
        help=f"print all of it as JSON, up to {MOST_VALUES} values; messages go to stderr",
    )
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> None:
    method = registry.get(options.method)  # an unknown name fails before the files are read
    more = dict(option_of(text, options.trust) for text in options.option)
    check_inside(options, method)
    _check_targets(options)
    if options.inputs.suffix.lower() == TEXT:
        explanation = text_explained(options, more)
    else:
        explanation = _rows_explained(options, method, more)
    print(as_json(explanation) if options.json else explanation)
    for name, write in _WRITERS.items():
        path = getattr(options, name)
        if path is not None:
            write(explanation, path)
            tell(f"wrote {path}", options.quiet)


def _rows_explained(
    options: argparse.Namespace, method: registry.Method, more: dict[str, Any]
) -> pyxai.Explanation:
    """Explain rows of numbers."""
    if isinstance(options.target, str):
        raise ValueError(f"--target must be a whole number, got {options.target!r}")
    model = read_model(options, method)
    rows = read_rows(options, model)
    inputs, names = rows
    if options.json and inputs.numel() > MOST_VALUES:
        raise ValueError(
            f"--json must be of at most {MOST_VALUES} values, got {inputs.numel()}: take fewer "
            "--rows, or --save a file"
        )
    if issubclass(method.cls, LayerAttribution):
        names = None  # the columns are the model's inputs, not what is attributed to
    if options.feature_names is not None:
        names = options.feature_names.split(",")
    if options.baselines is not None:
        more["baselines"] = read_baselines(options, model, rows)
    more |= inside(options, model)
    target = options.target
    if target is None and takes_target(method.cls):
        target = explained(rows, model, lambda: largest_output(model, rows))
    with progress_shown(f"pyxai {options.command}", options.quiet) as progress:
        known = {each.name for each in option_parameters(method.cls.attribute)}
        own = progress is not None and "show_progress" in known
        if own:
            more.setdefault("show_progress", progress)
        call = functools.partial(
            pyxai.explain, model, inputs, method=options.method, target=target, **more
        )
        with progress_to(None if own else progress):
            found: pyxai.Explanation = explained(rows, model, lambda: call(feature_names=names))
    return found


def _write_page(explanation: pyxai.Explanation, path: Path) -> None:
    page(explanation).write(path)


_WRITERS: dict[str, Callable[[pyxai.Explanation, Path], object]] = {
    "save": save,
    "plot": save_picture,
    "report": _write_page,
}


def _check_targets(options: argparse.Namespace) -> None:
    """Raise if a file cannot be written; rather now than after the work."""
    taken = {Path(path).resolve(): name for name, path in _files_read(options)}
    for name in _WRITERS:
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
    for name, known in (("save", SAVED), ("plot", PICTURES)):
        if getattr(options, name) is not None:
            check_suffix(getattr(options, name), f"--{name}", known)
    if options.plot is not None:
        with optional("plots need", "matplotlib>=3.8", "viz"):
            importlib.import_module("matplotlib")


def _files_read(options: argparse.Namespace) -> list[tuple[str, str]]:
    given = [("the model", options.model), ("the inputs", options.inputs)]
    more = {"--baselines": options.baselines, "--weights": options.weights}
    return given + [(flag, path) for flag, path in more.items() if path]
