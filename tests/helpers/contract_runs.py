"""Run every method of the registry on the example that the table of cases has for it."""

import inspect

import torch
from contract_cases import example_of, make_background, make_net, make_options

import pyxai
from pyxai import registry

NAMES = registry.names()


def having(trait):
    """Return the names of the methods with a trait."""
    return [name for name in NAMES if trait(registry.get(name))]


def with_option(option):
    """Return the names of the methods whose `attribute` takes an option."""
    found = []
    for name in NAMES:
        example = example_of(name)
        if example.image or callable(example.options.get("layer")):
            continue
        if option in registry.get(name).factory(make_net(example)).option_names():
            found.append(name)
    return found


def summing(images=False):
    """Return the names of the methods whose attributions `explain` sums over groups."""
    return [name for name in NAMES if example_of(name).image <= images and makes(name).sums_groups]


def run(name, model, inputs, target=0, **changes):
    """Explain with the options of the table; baselines where the method needs some."""
    example = example_of(name)
    options = make_options(example, model)
    kind = registry.get(name).baselines
    if kind in ("required", "distribution"):
        like = parts(inputs)[0]
        background = make_background(example)
        background = background.to(like) if isinstance(like, torch.Tensor) else background
        options["baselines"] = background if kind == "distribution" else background[:1]
    return pyxai.explain(model, inputs, method=name, target=target, **{**options, **changes})


def method_of(name, model):
    """Return the object of a method made for a model, and the other options of its example."""
    example, entry = example_of(name), registry.get(name)
    options = make_options(example, model)
    known = inspect.signature(entry.factory).parameters
    first = {key: options.pop(key) for key in list(options) if key in known}
    if entry.baselines in ("required", "distribution"):
        background = make_background(example)
        options["baselines"] = background if entry.baselines == "distribution" else background[:1]
    return entry.factory(model, **first), options


def makes(name):
    """Return the object that a name stands for, made for the net of its example."""
    return method_of(name, make_net(example_of(name)))[0]


def parts(value):
    return value if isinstance(value, tuple) else (value,)


def assert_close(left, right, tolerance=1e-10):
    """Compare float64 results that differ by rounding only."""
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)
