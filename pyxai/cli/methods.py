"""`pyxai methods`: what each method computes, what it costs and when to use it."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from pyxai import registry
from pyxai._signatures import option_parameters
from pyxai.cli.docstrings import parameters_of, sources_of
from pyxai.methods.store import takes_target
from pyxai.registry import Method

__all__ = ["add"]

_HELP = "what each method computes, what it costs and when to use it"
_EPILOG = """\
examples:
  pyxai methods
  pyxai methods --family coalitions
  pyxai methods --family neurons
  pyxai methods integrated_gradients
  pyxai methods kernel_shap --json

An output is a forward pass of one row, a gradient a forward and a backward pass. Names in a cost
are options of the method, but for n_features (features, or groups of a feature_mask), n_units
(values of the layer, or groups of a layer_mask) and n_background (rows of the baselines). Traced
methods run a graph, which is made once per model and input shape.

The families layers and neurons look inside a model: --layer says where, --neuron which one.
"""
_OF = {
    "inputs": "an output, by the inputs or places of them",
    "layer": "an output, by the values of a layer",
    "neuron": "neurons of a layer, by the inputs",
}
_BASELINES = {
    "none": "takes none",
    "optional": "0 where none are given",
    "required": "must be given",
    "distribution": "rows that all examples share must be given",
}
_COMMANDS = {"distribution": " --baselines background.npy", "required": " --baselines 0"}
# For examples: what must be given to some methods.
_SHELL = {
    "layer": "--layer 0",
    "neuron_selector": "--neuron 0",
    "sliding_window_shapes": "--option sliding_window_shapes=2,",
}
_PYTHON = {"layer": '"0"', "neuron_selector": "0", "sliding_window_shapes": "(2,)"}
# Arguments that the command line gives in other ways, or that only Python can.
_GIVEN = frozenset(
    (
        *("inputs", "target", "baselines", "additional_forward_args", "show_progress"),
        *("return_convergence_delta", "return_error", "device_ids"),
    )
)
_NARROW, _WIDE = 60, 110  # characters of a line


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    methods = verbs.add_parser("methods", help=_HELP, description=f"{_HELP}.", epilog=_EPILOG)
    methods.add_argument(
        "name", nargs="?", help="tell all about one method: options, axioms, source"
    )
    methods.add_argument(
        "--family", metavar="NAME", help="list those of one family: gradients, paths, ..."
    )
    methods.add_argument("--json", action="store_true", help="for programs")
    methods.set_defaults(run=_methods)


def _methods(options: argparse.Namespace) -> None:
    entries = [_named(options.name)] if options.name else _of_family(options.family)
    if options.json:
        found = [_facts(entry) for entry in entries]
        print(json.dumps(found[0] if options.name else found, indent=2, ensure_ascii=False))
    elif options.name:
        print("\n".join(_page(entries[0])))
    else:
        print("\n".join(_table(entries)))


def _named(name: str) -> Method:
    """Return a method, or name those that may be meant."""
    known = _names()
    if name in known:
        return registry.get(name)
    word = name.lower().replace("-", "_")
    near = [each for each in known if word in each]
    near += [
        each for each in difflib.get_close_matches(word, known, n=3, cutoff=0.5) if each not in near
    ]
    hint = f"; nearest: {', '.join(near[:5])}" if near else ""
    raise ValueError(f"name must be one of those that `pyxai methods` lists, got {name!r}{hint}")


def _names() -> list[str]:
    return [name for of in registry.ABOUT for name in registry.names(of)]


def _of_family(family: str | None) -> list[Method]:
    entries = sorted(map(registry.get, _names()), key=lambda each: (each.family, each.name))
    families = sorted({each.family for each in entries})
    if family is not None and family not in families:
        raise ValueError(f"--family must be one of {', '.join(families)}, got {family!r}")
    return [each for each in entries if family in (None, each.family)]


def _table(entries: list[Method]) -> Iterator[str]:
    """Yield a block for each method: name and cost, what it computes, when to use it."""
    width, family = _width(), None
    for entry in entries:
        if entry.family != family:
            family = entry.family
            yield f"{family}:"
        yield from _wrapped(entry.cost, width, " " * 31, f"  {entry.name:<29}")
        yield from _wrapped(entry.summary, width, "      ")
        yield from _wrapped(f"use: {entry.use}", width, "      ")
    yield "pyxai methods NAME tells the options, axioms and source of one."


def _page(entry: Method) -> Iterator[str]:
    width = _width()
    yield f"{entry.name} ({entry.cls.__module__}.{entry.cls.__qualname__})"
    yield from _wrapped(entry.summary, width, "  ")
    axioms = ", ".join(entry.axioms).replace("_", " ") or "none"
    whole = "an nn.Module that can be traced: module:function or .pt2, no TorchScript"
    adds_up = "yes, to the output less that of the baselines"
    adds_up += ", if all of the model passes the layer" if entry.of == "layer" else ""
    facts = {
        "of": _OF[entry.of],
        "use": entry.use,
        "cost": entry.cost,
        "adds up": adds_up if entry.complete else "no",
        "axioms": axioms,
        "baselines": _BASELINES[entry.baselines],
        "random": "yes, by seed" if entry.stochastic else "no",
        "model": whole if entry.needs == "module" else "any function of tensors",
    }
    for name, text in facts.items():
        yield from _wrapped(text, width, " " * 13, f"  {name:<11}")
    for source in sources_of(entry.cls):
        yield from _wrapped(source, width, " " * 13, "  source     ")
    yield "  options, for --option NAME=VALUE (layer: --layer, neuron_selector: --neuron):"
    for name, (default, text) in _options(entry).items():
        shown = name if default is inspect.Parameter.empty else f"{name}={default}"
        yield from _wrapped(f"{shown}: {text}" if text else shown, width, " " * 8, "    ")
    yield "  examples:"
    yield from _examples(entry)


def _examples(entry: Method) -> Iterator[str]:
    """Yield a call for the shell and one for Python, with what must be given."""
    empty = inspect.Parameter.empty
    needed = [name for name, (default, _) in _options(entry).items() if default is empty]
    inside = entry.family in ("layers", "neurons")
    model = "nets:make" if inside else "model.pt2"  # which has no layers
    more = " --target 0" if takes_target(entry.cls) else ""
    more += "".join(f" {_SHELL.get(name, f'--option {name}=...')}" for name in needed)
    more += _COMMANDS.get(entry.baselines, "")
    yield f"    pyxai explain {model} inputs.npy --method {entry.name}{more}"
    named = ", target=0" if takes_target(entry.cls) else ""
    named += "".join(f", {name}={_PYTHON.get(name, '...')}" for name in needed)
    named += ", baselines=background" if entry.baselines == "distribution" else ""
    yield f'    pyxai.explain(model, inputs, method="{entry.name}"{named})'


def _options(entry: Method) -> dict[str, tuple[Any, str]]:
    """Return default and meaning of what a method takes beside inputs, target and baselines."""
    known: dict[str, str] = {}
    for cls in reversed(entry.cls.__mro__):
        known |= parameters_of(cls) | parameters_of(vars(cls).get("attribute"))
    own = (*option_parameters(entry.factory), *option_parameters(entry.cls.attribute))
    found = {
        each.name: (each.default, known.get(each.name, ""))
        for each in own
        if each.kind is not each.VAR_KEYWORD and each.name not in _GIVEN
    }
    return found | ({"feature_mask": (None, _SUMS)} if entry.cls.sums_groups else {})


_SUMS = (
    "Integers that broadcast to the inputs, or to the attributions to a layer: features of the "
    "same number get the sum over their group."
)


def _facts(entry: Method) -> dict[str, Any]:
    return {
        "name": entry.name,
        "class": f"{entry.cls.__module__}.{entry.cls.__qualname__}",
        "family": entry.family,
        "of": entry.of,
        "summary": entry.summary,
        "cost": entry.cost,
        "use": entry.use,
        "adds_up": entry.complete,
        "axioms": list(entry.axioms),
        "baselines": entry.baselines,
        "random": entry.stochastic,
        "needs": entry.needs,
        "sources": sources_of(entry.cls),
        "options": [
            {
                "name": name,
                "required": default is inspect.Parameter.empty,
                "default": None if default is inspect.Parameter.empty else _plain(default),
                "meaning": text,
            }
            for name, (default, text) in _options(entry).items()
        ],
    }


def _plain(value: Any) -> Any:
    """Return a default as JSON can hold it."""
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, _NARROW), _WIDE)


def _wrapped(text: str, width: int, indent: str, first: str | None = None) -> list[str]:
    start = indent if first is None else first
    return textwrap.wrap(
        text, width, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False
    )
