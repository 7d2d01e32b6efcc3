"""What the registry says that methods of layers and of neurons compute, cost and are for.

Costs are those of one more example, as of the other methods. "up to the layer" is the part of the
model that comes before it and itself, "from the layer" what comes behind.
"""

from __future__ import annotations

import inspect
import re

import pytest
import torch
from counted import Arithmetic, Counting, one_more
from layer_contract_cases import EVERY, N_UNITS, NEURONS, options_of, rows
from torch import nn

from pyxai import registry

TERM = re.compile(
    r"(.+?) (output|gradient|backward passe)s?( up to the layer| from the layer)?(?: \+ |$)"
)
N_FEATURES, PARTS = 4, ("", " up to the layer", " from the layer")


def claimed(name):
    """Return outputs, gradients and backward passes that a method claims, by part of the model."""
    entry = registry.get(name)
    parameters = inspect.signature(entry.cls.attribute).parameters
    names = {key: parameter.default for key, parameter in parameters.items()}
    names |= {**options_of(name), "n_features": N_FEATURES, "n_units": N_UNITS}
    names["n_background"] = len(options_of(name).get("baselines", ()))
    found = {part: {"output": 0, "gradient": 0, "backward passe": 0} for part in PARTS}
    terms = entry.cost.removesuffix(", traced")
    for number, unit, part in TERM.findall(terms):
        count = eval(number, {"__builtins__": {}}, names)  # of our own text
        found[part][unit] += count
    assert TERM.sub("", terms) == ""
    return found


@pytest.mark.parametrize("name", EVERY)
def test_every_method_says_what_it_computes_costs_and_is_for(name):
    entry = registry.get(name)
    for text in (entry.summary, entry.cost, entry.use):
        assert 8 <= len(text) <= 130
        assert text == " ".join(text.split())
        assert not text.endswith(".")
    assert sum(sum(each.values()) for each in claimed(name).values()) > 0


def method_of(name, model, layer):
    options = options_of(name) | {"internal_batch_size": None}
    explainer = registry.get(name).factory(model, layer=layer)
    known = explainer.option_names()
    return explainer, {key: value for key, value in options.items() if key in known}


@pytest.mark.parametrize("name", [n for n in EVERY if "traced" not in registry.get(n).cost])
def test_rows_that_the_model_and_the_layer_run_are_those_claimed(name):
    before = [nn.Linear(N_FEATURES, 6), nn.ReLU()]
    layer = Counting(nn.Linear(6, N_UNITS))
    model = Counting(nn.Sequential(*before, layer, nn.ReLU(), nn.Linear(N_UNITS, 3)))
    model.double().eval()
    explainer, options = method_of(name, model, "net.2")
    explainer.attribute(rows(16), **options)  # measures its memory

    def counts(batch):
        for each in (model, layer):
            each.forwards = each.backwards = 0
        explainer.attribute(rows(batch), **options)
        return torch.tensor([layer.forwards, model.backwards, layer.backwards])

    forwards, of_output, at_layer = one_more(counts).tolist()
    claim = claimed(name)
    whole, up = claim[""], claim[" up to the layer"]
    assert claim[" from the layer"] == dict.fromkeys(up, 0)
    assert forwards == sum(each["output"] + each["gradient"] for each in (whole, up))
    assert of_output == whole["gradient"]
    if name in NEURONS:  # of others the gradient ends at the layer
        assert at_layer == up["gradient"]


@pytest.mark.parametrize("name", [n for n in EVERY if "traced" in registry.get(n).cost])
@pytest.mark.parametrize("before", [2, 4])
def test_work_on_the_traced_graph_is_that_claimed(name, before):
    torch.manual_seed(0)
    layers = [part for _ in range(7) for part in (nn.Linear(12, 12), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(12, 3)).double().eval()
    explainer, options = method_of(name, model, str(2 * before))
    options |= {"baselines": torch.zeros(3, 12).double()} if "baselines" in options else {}

    def inputs(batch):
        return torch.randn(batch, 12, generator=torch.Generator().manual_seed(0)).double()

    def work(call):
        with Arithmetic() as count:
            call()
        return count.total

    def explain(batch):
        explainer.attribute(inputs(batch), **options)  # traces
        return work(lambda: explainer.attribute(inputs(batch), **options))

    whole = one_more(lambda batch: work(lambda: model(inputs(batch))))
    up = one_more(lambda batch: work(lambda: model[: 2 * before + 1](inputs(batch))))
    expected = sum(
        size * (claim["output"] + 2 * claim["gradient"] + claim["backward passe"])
        for size, claim in zip((whole, up, whole - up), claimed(name).values(), strict=True)
    )
    assert one_more(explain) == pytest.approx(expected, rel=0.02)
