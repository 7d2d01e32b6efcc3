"""`pyxai bench`: the verb and its table."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import platform
from typing import Any

import torch
from torch import nn

import pyxai
from pyxai import registry
from pyxai.cli.bench.measure import Case, Measured, measure
from pyxai.cli.bench.peer import captum_calls
from pyxai.cli.files.inputs import Rows
from pyxai.cli.files.models import SAFETY, sizes_taken
from pyxai.cli.notes import tell
from pyxai.cli.question import (
    add_inputs,
    add_model,
    explained,
    largest_output,
    layer_named,
    named_options,
    read_baselines,
    read_model,
    read_rows,
)

__all__ = ["add"]

_DEFAULT = ("saliency", "integrated_gradients", "feature_ablation")
_WIDTHS, _EXAMPLES = (128, 256, 256, 10), 32  # of the model and rows that stand in where none are
_EPILOG = f"""\
examples:
  pyxai bench --seconds 0.2
  pyxai bench model.pt2 inputs.npy --method integrated_gradients --seconds 0.2
  pyxai bench nets:make inputs.npy --method 'kernel_shap {{"n_samples": 14}}' --seconds 0.2 --json

Columns: the time of one call for all rows; the rows that the method asks the model for (outputs
are forward passes, gradients forward and backward passes); the memory that a call needs at its
peak, where the system tells; and how many times as long the method takes as these rows take the
bare model by themselves, at the best batch size: 1.00 is as fast as can be if every row goes
through the whole model. Methods that trace the model are compared with one gradient of each row.
Ratios are medians of calls in turns, so that other work spoils them less than the times.

{SAFETY}"""


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    bench = verbs.add_parser(
        "bench",
        help="what methods take for a model on this machine",
        description="Time methods on a model and rows of your own; without these on a small net "
        "and random rows.",
        epilog=_EPILOG,
    )
    add_model(bench, needed=False)
    add_inputs(bench, needed=False)
    bench.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="may be repeated; options follow as JSON: 'integrated_gradients {\"n_steps\": 20}' "
        f"(default: {', '.join(_DEFAULT)})",
    )
    bench.add_argument("--target", type=int, help="output to explain (default: each row's largest)")
    bench.add_argument("--baselines", help="a number or a file, for methods that need some")
    bench.add_argument(
        "--against",
        choices=("captum",),
        help="compare with the same methods of this package, where results are equal, or equal but "
        "for the draws: its time at its defaults, and at its best batch size",
    )
    bench.add_argument(
        "--seconds", type=_positive, default=3.0, help="for each method (default: %(default)s)"
    )
    bench.add_argument("--threads", type=int, help="of torch (default: as it is)")
    bench.add_argument("--json", action="store_true", help="for programs")
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> None:
    wanted = [named_options("--method", text) for text in options.method or _DEFAULT]
    methods = [registry.get(name) for name, _ in wanted]  # unknown names fail before the work
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    model, rows = _question(options, methods)
    target = options.target
    if target is None:
        target = explained(rows, model, lambda: largest_output(model, rows))
    sizes = sizes_taken(model)
    fixed = None if sizes is None else sizes[0]
    found = []
    for (name, given), method in zip(wanted, methods, strict=True):
        tell(f"measuring {name}", options.quiet or options.json)
        more = dict(given)
        if options.baselines is not None and method.baselines != "none":
            more["baselines"] = read_baselines(options, model, rows)
        if "layer" in more:
            more["layer"] = layer_named(model, str(more["layer"]))
        case = Case.of(model, rows.values, name, target, more)
        peers, note = captum_calls(case) if options.against else ({}, "")
        found.append(dataclasses.replace(measure(case, options.seconds, peers, fixed), note=note))
    if options.json:
        listed = [dataclasses.asdict(each) for each in found]
        print(json.dumps({**_machine(rows), "methods": listed}))
    else:
        print("\n".join(_table(found, rows)))


def _question(options: argparse.Namespace, methods: list[registry.Method]) -> tuple[Any, Rows]:
    """Return the model and rows of the command, or such as show what the machine can do."""
    if options.model is not None and options.inputs is not None:
        inside = next((each for each in methods if each.needs == "module"), methods[0])
        model = read_model(options, inside)
        return model, read_rows(options, model)
    if options.model is not None:
        raise ValueError("inputs must be given for a model, got none")
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(_WIDTHS):
            layers += [nn.Linear(before, after), nn.ReLU()]
        rows = torch.rand(_EXAMPLES, _WIDTHS[0])
    return nn.Sequential(*layers[:-1]).eval(), Rows(rows, None)


def _machine(rows: Rows) -> dict[str, Any]:
    return {
        "pyxai": pyxai.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "rows": len(rows.values),
        "shape": list(rows.values.shape[1:]),
    }


def _table(found: list[Measured], rows: Rows) -> list[str]:
    machine = _machine(rows)
    peers = list(dict.fromkeys(name for each in found for name in each.of_peer))
    heads = [
        "method",
        "ms",
        "outputs",
        "gradients",
        "peak MB",
        "/ bare",
        *(f"/ {n}" for n in peers),
    ]
    cells = [heads]
    for each in found:
        traced = each.outputs is None
        peak = "" if each.peak_bytes is None else f"{each.peak_bytes / 2**20:.1f}"
        ratios = [f"{each.of_peer[name]:.2f}" if name in each.of_peer else "" for name in peers]
        counts = ["traced", ""] if traced else [str(each.outputs), str(each.gradients)]
        time = f"{1e3 * each.seconds:.3g}"
        cells.append([each.method, time, *counts, peak, f"{each.of_the_bare_model:.2f}", *ratios])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        f"{machine['rows']} rows of {machine['shape']}, torch {machine['torch']}, "
        f"{machine['threads']} thread(s), {machine['machine']}"
    ]
    for row in cells:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *rest]).rstrip())
    return lines + [f"{each.method}: {each.note}" for each in found if each.note]


def _positive(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"must be positive, got {text}")
    return seconds
