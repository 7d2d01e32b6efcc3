"""What the registry says that a method computes, costs and is for: said of all, the costs counted.

Costs are those of one more example: a batch of 8 and one of 16 are explained, and what is shared by
all rows of a call drops out.
"""

from __future__ import annotations

import inspect
import math
import re

import pytest
import torch
from contract_cases import N_FEATURES, example_of, make_background, make_inputs, make_net
from contract_runs import NAMES, having, method_of
from counted import Arithmetic, Counting, one_more
from torch import nn

from pyxai import registry

TERM = re.compile(r"(.+?) (output|gradient|backward passe|runs of the other method)s?")
OTHER = "1 gradient"  # of the method that a noise tunnel wraps by default


def deep_net(example):
    """Return a net of which the first layer, whose rule may be another, is a small part."""
    torch.manual_seed(0)
    hidden = [part for _ in range(6) for part in (nn.Linear(12, 12), example.activation())]
    first, last = nn.Linear(N_FEATURES, 12), nn.Linear(12, 3)
    return nn.Sequential(first, example.activation(), *hidden, last).double().eval()


def claimed(name):
    """Return the numbers of outputs, gradients and backward passes that a method claims."""
    entry, example = registry.get(name), example_of(name)
    found = {"output": 0, "gradient": 0, "backward passe": 0}
    terms = entry.cost.removesuffix(", traced")
    for number, unit in TERM.findall(terms):
        count = evaluated(number.removeprefix(" + "), entry, example)
        if unit.startswith("runs"):
            number, unit = OTHER.split()
            count *= int(number)
        found[unit] += count
    assert TERM.sub("", terms) == ""
    return found


def evaluated(formula, entry, example):
    options = inspect.signature(entry.cls.attribute).parameters
    names = {name: option.default for name, option in options.items()}
    names |= {"n_features": N_FEATURES, "n_background": len(make_background(example))}
    names |= {"n_windows": N_FEATURES - 1}  # of two features, in steps of one
    names |= {name: option for name, option in example.options.items() if not callable(option)}
    names |= {"log2": math.log2, "ceil": math.ceil}
    return eval(formula.replace("^", "**"), {"__builtins__": {}}, names)  # of our own text


@pytest.mark.parametrize("name", NAMES)
def test_every_method_says_what_it_computes_costs_and_is_for(name):
    entry = registry.get(name)
    for text in (entry.summary, entry.cost, entry.use):
        assert 8 <= len(text) <= 130
        assert text == " ".join(text.split())
        assert "|" not in text  # they are cells of a table
        assert not text.endswith(".")
    assert sum(claimed(name).values()) > 0


@pytest.mark.parametrize("name", having(lambda method: "traced" not in method.cost))
def test_rows_that_the_model_runs_are_those_claimed(name):
    example = example_of(name)
    model = Counting(make_net(example))
    explainer, options = method_of(name, model)

    explainer.attribute(make_inputs(example, 16), target=0, **options)  # measures its memory

    def rows(batch):
        model.forwards = model.backwards = 0
        explainer.attribute(make_inputs(example, batch), target=0, **options)
        return torch.tensor([model.forwards, model.backwards])

    forwards, backwards = one_more(rows).tolist()
    claim = claimed(name)
    assert backwards == claim["gradient"]
    budget = claim["output"] + claim["gradient"]
    if registry.get(name).cost == "n_samples outputs":  # in pairs, so one may be left
        assert budget - 1 <= forwards <= budget
    else:
        assert forwards == budget


@pytest.mark.parametrize("name", having(lambda method: "traced" in method.cost))
def test_work_on_the_traced_graph_is_that_claimed(name):
    example = example_of(name)
    model = deep_net(example)
    explainer, options = method_of(name, model)

    def work(call):
        with Arithmetic() as count:
            call()
        return count.total

    def explain(batch):
        inputs = make_inputs(example, batch)
        explainer.attribute(inputs, target=0, **options)  # traces
        return work(lambda: explainer.attribute(inputs, target=0, **options))

    one = one_more(lambda batch: work(lambda: model(make_inputs(example, batch))))
    claim = claimed(name)
    passes = claim["output"] + 2 * claim["gradient"] + claim["backward passe"]
    # The layer that reads the inputs may have a rule of its own.
    assert one_more(explain) / one == pytest.approx(passes, rel=0.06)
