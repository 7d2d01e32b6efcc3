"""Options and results are frozen: what was checked or found does not change under its reader."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import pyxai

# What grows while it is made, or is made to be written to.
GROWING = {
    *(
        "SampledGradients",
        "audit.job.Job",
        "ClassMaps",
        "Growth",
        "TrainingResult",
        "_Place",
        "Split",
    ),
    *("LineKinks", "_Node", "_Meeting", "Node", "Pieces"),
    "VisualizationDataRecord",  # as in captum
}
# Compared as objects: by tensors they cannot be, and by value they would share what is cached.
OBJECTS = {
    *("Hierarchy", "agglomeration.units.Units", "RelevantInputs", "Explanation"),
    *("LanguageExplanation", "Normalisation", "Pattern"),
    *("GraphPlayers", "Questions", "GraphExplanation", "Shared", "Program"),
    *("LinearPrefix", "PartedModel", "LinearPaths", "Ends"),
    *("DistilledLinearModel", "TransformedExplanation", "Node", "Tree"),
}
LEFT_OUT = {"__main__", "_C", "demo", "plot", "report", "cli"}


def dataclasses_of_the_package():
    names = [each.name for each in pkgutil.walk_packages(pyxai.__path__, "pyxai.")]
    modules = [importlib.import_module(n) for n in names if n.split(".")[1] not in LEFT_OUT]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and dataclasses.is_dataclass(value)
        and value.__module__ == module.__name__
    }


FOUND = dataclasses_of_the_package()


def listed(name, among):
    return any(name.endswith(f".{each}") for each in among)


@pytest.mark.parametrize("name", FOUND)
def test_what_is_not_known_to_grow_is_frozen(name):
    assert FOUND[name].__dataclass_params__.frozen == (not listed(name, GROWING))


@pytest.mark.parametrize("name", FOUND)
def test_what_is_compared_as_an_object_is_listed(name):
    assert FOUND[name].__dataclass_params__.eq == (not listed(name, OBJECTS))
    if not FOUND[name].__dataclass_params__.eq:
        assert FOUND[name].__hash__ is object.__hash__  # they can be keys
