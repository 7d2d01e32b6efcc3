"""The question of a command: which model, which rows, and what else the method is given."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyxai import registry
from pyxai._checks import describe
from pyxai._signatures import option_names, required_names
from pyxai.cli.files.inputs import INPUTS, TENSOR_FILES, Reading, Rows, load_rows, load_tensor
from pyxai.cli.files.models import MODELS, first_layer, load_model, sizes_taken
from pyxai.cli.files.tables import Columns
from pyxai.cli.notes import FIXED_SIZE
from pyxai.methods.layer import find_layer
from pyxai.runner import BlackBox, EveryOutput, Runner

__all__ = [
    "add_inputs",
    "add_inside",
    "add_model",
    "check_inside",
    "explained",
    "inside",
    "largest_output",
    "layer_named",
    "named_options",
    "option_of",
    "read_baselines",
    "read_model",
    "read_rows",
]

# What `explain` takes beside the arguments of the method, and where it comes from here.
_OWN_OPTIONS = {
    "model": "the first argument",
    "inputs": "the second argument",
    "method": "--method",
    "target": "--target",
    "baselines": "--baselines",
    "feature_names": "--feature-names",
    "layer": "--layer",
    "neuron_selector": "--neuron",
}


def add_model(parser: argparse.ArgumentParser, needed: bool = True) -> None:
    """Add the arguments that say which model."""
    parser.add_argument("model", nargs=None if needed else "?", help=MODELS)
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="parameters of the module that module:function makes (.safetensors, or .pt)",
    )
    parser.add_argument(
        "--trust", action="store_true", help="unpickle files, which runs code that is in them"
    )


def add_inputs(parser: argparse.ArgumentParser, needed: bool = True) -> None:
    """Add the arguments that say which rows."""
    parser.add_argument(
        "inputs",
        nargs=None if needed else "?",
        type=Path,
        help=f"{INPUTS}: tensors with one row per example, tables with names in the first line, "
        "or a picture, whose channels go from 0 to 1; for `explain` also a text (.txt)",
    )
    parser.add_argument("--columns", metavar="A,B,...", help="columns of a table that are features")
    parser.add_argument(
        "--drop", metavar="A,B,...", default="", help="columns of a table that are none"
    )
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of a table is names",
    )
    parser.add_argument("--rows", type=_count, help="take only the first so many rows")


def read_model(options: argparse.Namespace, method: registry.Method) -> Any:
    """Return the model of a command, if the method can explain it."""
    model = load_model(options.model, options.weights, options.trust)
    if isinstance(model, torch.jit.ScriptModule) and method.needs == "module":
        raise TypeError(
            f"model must be one that can be traced, for {method.name}, got a TorchScript file: "
            "save it by torch.export.save as .pt2, or give module:function"
        )
    return model


def read_rows(options: argparse.Namespace, model: Any) -> Rows:
    """Return the rows of a command, in the dtype of the model, and their names."""
    values, names = load_rows(options.inputs, "inputs", _reading(options, model))
    rows = Rows(values[: options.rows].to(_dtype(model, values)), names)
    _check_finite(rows, options.inputs)
    sizes = sizes_taken(model)
    if sizes is not None:
        shape = rows.values.shape
        if len(sizes) != len(shape) or any(map(_differ, sizes[1:], shape[1:])):
            raise ValueError(_misfit(rows, sizes))
        if _differ(sizes[0], shape[0]):
            raise ValueError(f"inputs must have {sizes[0]} row(s), got {shape[0]}{FIXED_SIZE}")
    return rows


def option_of(text: str, trust: bool = False) -> tuple[str, Any]:
    """Read ``name=value``; lists become tuples, as methods expect, and files tensors."""
    name, found, value = text.partition("=")
    if not (name and found):
        raise ValueError(f"--option must be NAME=VALUE, got {text!r}")
    if name in _OWN_OPTIONS:
        raise ValueError(
            f"--option must name an argument of the method, got {name}, which is given by "
            f"{_OWN_OPTIONS[name]}"
        )
    if Path(value).suffix.lower() in TENSOR_FILES:
        return name, load_tensor(Path(value), name, trust)
    # Shells have a use of their own for brackets, so that 3,4,4 serves too, and 3, for one.
    for text in (value, f"[{value.rstrip(',')}]"):
        try:
            read = json.loads(text)
        except json.JSONDecodeError:
            continue
        return name, tuple(read) if isinstance(read, list) else read
    return name, value  # a word


def read_baselines(options: argparse.Namespace, model: Any, rows: Rows) -> float | Tensor:
    """Return the baselines of a command, a number or those of a file."""
    try:
        return float(options.baselines)
    except ValueError:
        path = Path(options.baselines)
    reading = _reading(options, model)
    if rows.names is not None:  # by name, in whatever order a table has them
        columns = Columns(tuple(rows.names), (), options.header)
        reading = Reading(columns, reading.channels, reading.trust)
    values, names = load_rows(path, "baselines", reading)
    found = Rows(values.to(rows.values.dtype), names)
    _check_finite(found, path, "baselines")
    return found.values


def largest_output(model: Any, rows: Rows) -> Tensor | None:
    """Return the output that is largest for each row, where a row has several in one dimension."""
    dimensions = set()

    def watched(*given: Any) -> Any:
        outputs = model(*given)
        if not isinstance(outputs, Tensor):
            raise TypeError(f"model must return a tensor, got {describe(outputs)}")
        dimensions.add(outputs.dim())
        return outputs

    outputs = Runner(watched, target=EveryOutput()).outputs((rows.values,))
    return outputs.argmax(1) if dimensions == {2} and outputs.dim() == 2 else None


def explained(rows: Rows, model: Any, call: Callable[[], Any]) -> Any:
    """Call, and say of an error where it is the number of features that is amiss."""
    try:
        return call()
    except Exception as error:
        layer = first_layer(model)
        shape = rows.values.shape
        if layer is None or sizes_taken(model) is not None or layer.takes(shape):
            raise
        what = "column" if rows.names is not None else "feature"
        names = "" if rows.names is None else f": {', '.join(rows.names)}"
        said = str(error).strip().splitlines()[-1]  # before it TorchScript shows its code
        what = "channel" if layer.kind.startswith("Conv") else what
        raise ValueError(
            f"inputs must have {layer.size} {what}(s), as the first layer of the model takes "
            f"({layer.kind}), got {shape[1] if len(shape) > 1 else 0}{names}; its error: {said}"
        ) from error


def add_inside(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where inside the model."""
    parser.add_argument(
        "--layer", metavar="NAME", help="of methods of a layer or of neurons: encoder.0, as in code"
    )
    parser.add_argument(
        "--neuron",
        type=_neuron,
        metavar="N,...",
        help="of methods of neurons: its place in the layer, 3, or 1,2,2 of several dimensions",
    )


def check_inside(options: argparse.Namespace, method: registry.Method) -> None:
    """Raise unless layer and neuron are given to methods that need them, and to no others."""
    for flag, name, function in (
        ("layer", "layer", method.factory),
        ("neuron", "neuron_selector", method.cls.attribute),
    ):
        given = getattr(options, flag)
        if given is None and name in required_names(function):
            raise ValueError(f"--{flag} must be given for {method.name}, got none")
        if given is not None and name not in option_names(function):
            raise ValueError(
                f"--{flag} must be left out for {method.name}, which takes none, got {given!r}"
            )


def inside(options: argparse.Namespace, model: Any) -> dict[str, Any]:
    """Return layer and neuron as arguments of a method."""
    found: dict[str, Any] = {}
    if options.layer is not None:
        found["layer"] = layer_named(model, options.layer, "--layer")
    if options.neuron is not None:
        found["neuron_selector"] = options.neuron
    return found


def layer_named(model: Any, name: str, argument: str = "layer") -> nn.Module:
    """Return a layer of a module by its name."""
    if isinstance(model, torch.fx.GraphModule) or sizes_taken(model) is not None:
        raise ValueError(
            f"{argument} must name a layer of the model, got {name!r}; an exported program has "
            "none: give module:function"
        )
    return find_layer(model, name, argument)


def named_options(flag: str, text: str) -> tuple[str, dict[str, Any]]:
    """Read a name, and options in JSON after it; lists become tuples, as methods expect."""
    name, _, rest = text.strip().partition(" ")
    try:
        options = json.loads(rest) if rest.strip() else {}
    except json.JSONDecodeError:
        options = None
    if not isinstance(options, dict):
        raise ValueError(f"{flag} must be NAME or NAME {{JSON}}, got {text!r}")
    return name, {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}


def _reading(options: argparse.Namespace, model: Any) -> Reading:
    only = None if options.columns is None else _words(options.columns)
    if only is None and isinstance(model, BlackBox) and not options.drop and options.header is None:
        only = None if model.feature_names is None else tuple(model.feature_names)
    columns = Columns(only, _words(options.drop), options.header)
    sizes, layer = sizes_taken(model), first_layer(model)
    channels = None
    if sizes is not None and len(sizes) == 4:
        channels = sizes[1]
    elif layer is not None and layer.kind == "Conv2d":
        channels = layer.size
    return Reading(columns, channels, options.trust)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _differ(wanted: int | None, found: int) -> bool:
    return wanted is not None and wanted != found


def _misfit(rows: Rows, sizes: tuple[int | None, ...]) -> str:
    shape = list(rows.values.shape)
    if rows.names is not None and len(sizes) == 2:
        return (
            f"inputs must have {sizes[1]} columns, as the model takes, got {shape[1]}: "
            f"{', '.join(rows.names)}; --drop or --columns choose"
        )
    wanted = ", ".join("any" if size is None else str(size) for size in sizes)
    return f"inputs must have shape [{wanted}], as the model takes, got {shape}"


def _check_finite(rows: Rows, path: Path, name: str = "inputs") -> None:
    bad = ~rows.values.isfinite()
    if bool(bad.any()):
        first = bad.nonzero()[0].tolist()
        column = f", column {rows.names[first[1]]!r}" if rows.names is not None else ""
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {str(path)!r}: {int(bad.sum())} "
            f"value(s), the first in row {first[0]} (from 0){column}; fill them, or leave them out"
        )


def _neuron(text: str) -> int | tuple[int, ...]:
    try:
        places = tuple(map(int, text.removesuffix(",").split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a whole number, or several as in 1,2,2, got {text!r}"
        ) from None
    return places if len(places) > 1 else places[0]


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return count


def _dtype(model: Any, inputs: Tensor) -> torch.dtype:
    """Return the dtype of the model's parameters; files of NumPy are float64 by default."""
    if isinstance(model, BlackBox):
        return model.dtype or inputs.dtype
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    floating = (value.dtype for value in parameters if value.is_floating_point())
    return next(floating, inputs.dtype)
