"""What is asked of each example: attribution methods."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from pyxai._checks import describe
from pyxai._inputs import format_baselines
from pyxai._signatures import option_names, option_parameters, required_names
from pyxai.explain import explain
from pyxai.explanation import Explanation
from pyxai.methods import Attribution, LayerAttribution
from pyxai.methods.base import baseline_rows
from pyxai.methods.layer import find_layer, name_of_layer
from pyxai.methods.neuron import NeuronAttribution
from pyxai.methods.store import takes_target
from pyxai.registry import find
from pyxai.runner import EveryOutput, Runner

__all__ = [
    "MethodAsked",
    "at_layers",
    "check_labels",
    "listed",
    "methods_asked",
    "outputs_at_baselines",
    "outputs_seen",
]

# What an audit gives to every method itself.
_OWN = ("target", "targets", "seed", "example_ids")


@dataclass(frozen=True)
class MethodAsked:
    """A method with its options, under a name of its own."""

    label: str
    method: Any
    options: dict[str, Any] = field(default_factory=dict)
    takes: frozenset[str] = frozenset()
    """Names of the arguments of its constructor and of `attribute`."""
    background: bool = False
    """Whether its baselines are rows that all examples share, rather than one that stands for
    what is absent."""
    of: str = "inputs"
    """What it is about, one of `pyxai.registry.ABOUT`."""
    takes_target: bool = True
    """Whether it is told which output is explained."""

    def explain(
        self,
        model: Callable[..., Any],
        inputs: tuple[Tensor, ...],
        target: Any,
        baselines: Any,
        seed: int,
        ids: Tensor,
    ) -> Explanation:
        """Explain some examples, with random numbers by seed and number alone."""
        more = dict(self.options)
        for name, value in (("seed", seed), ("example_ids", ids), ("baselines", baselines)):
            if name in self.takes and name not in more and value is not None:
                more[name] = value
        given = inputs if len(inputs) > 1 else inputs[0]
        target = target if self.takes_target else None
        found: Explanation = explain(model, given, method=self.method, target=target, **more)
        return found

    def multiplies_by_inputs(self, model: Callable[..., Any]) -> bool:
        """Tell whether attributions are in output units, rather than per unit of input."""
        if isinstance(self.method, Attribution):
            return self.method.multiplies_by_inputs
        entry = find(self.method)
        factory = self.method if entry is None else entry.factory
        names = {parameter.name for parameter in option_parameters(factory)}
        own = {name: value for name, value in self.options.items() if name in names}
        return bool(factory(model, **own).multiplies_by_inputs)


def methods_asked(methods: Any) -> tuple[MethodAsked, ...]:
    """Read the argument ``methods`` of an audit.

    Raises
    ------
    TypeError
        If one is neither a name, a class, an object, nor such a thing with options.
    ValueError
        If there is none, one is unknown, two have one label, or one cannot be asked by rows.
    """
    asked = tuple(_method(*each) for each in listed("methods", methods))
    if not asked:
        raise ValueError("methods must name at least one method, got none")
    check_labels("methods", [each.label for each in asked])
    return asked


def at_layers(asked: tuple[MethodAsked, ...], model: Callable[..., Any]) -> tuple[MethodAsked, ...]:
    """Return methods whose layer is given by name, as each process finds it in a model of its own.

    Raises
    ------
    ValueError
        If a layer or a neuron must be given and is not, or the model has no such layer.
    TypeError
        If a layer is no layer.
    """
    found = []
    for each in asked:
        options = dict(each.options)
        if not isinstance(each.method, Attribution):
            entry = find(each.method)
            factory = each.method if entry is None else entry.factory
            needed = ("layer",) * ("layer" in required_names(factory))
            needed += ("neuron_selector",) * ("neuron_selector" in each.takes)
            for name in needed:
                if name not in options:
                    raise ValueError(f"options of {each.label} must have {name}, got none")
            if options.get("layer") is not None and "layer" in option_names(factory):
                argument, given = f"layer of {each.label}", options["layer"]
                if isinstance(given, (list, tuple)):
                    raise ValueError(
                        f"{argument} must be a single layer in an audit, got {len(given)}; ask "
                        "the method once for each"
                    )
                layer = find_layer(model, given, argument)
                if isinstance(model, nn.Module):
                    options["layer"] = name_of_layer(model, layer, argument) or layer
        found.append(replace(each, options=options))
    return tuple(found)


def outputs_seen(target: Any) -> Any:
    """Return which outputs are asked for: all, but for one among several dimensions that alone."""
    return target if isinstance(target, tuple) and len(target) > 1 else EveryOutput()


def outputs_at_baselines(
    model: Callable[..., Any], method: MethodAsked, found: Explanation, target: Any
) -> Tensor | None:
    """Return a model's outputs at the baselines of an explanation, [1, *outputs], on the CPU.

    They serve all examples: a row, or a set of rows, whose mean it is. None where a method has no
    baselines, or draws them elsewhere.
    """
    if "baselines" not in method.takes:
        return None
    inputs = found.inputs if isinstance(found.inputs, tuple) else (found.inputs,)
    if found.shared_baselines:
        given = found.baselines
        rows = given if isinstance(given, tuple) else (given,)
        if not all(isinstance(part, Tensor) for part in rows):
            return None
    else:
        first = tuple(part[:1] for part in inputs)
        starts = format_baselines(found.baselines, first)
        rows = tuple(map(baseline_rows, starts, first))
    outputs = Runner(model, target=outputs_seen(target)).outputs(rows)
    return outputs.cpu().double().mean(0, keepdim=True)


def listed(name: str, given: Any) -> list[tuple[str | None, Any, dict[str, Any]]]:
    """Return label, what and options of each thing that is asked for."""
    single = isinstance(given, (str, type)) or not isinstance(given, (Mapping, Sequence))
    if single or (len(given) == 2 and isinstance(given, tuple) and isinstance(given[1], dict)):
        given = (given,)
    pairs = given.items() if isinstance(given, Mapping) else ((None, each) for each in given)
    listed = []
    for label, each in pairs:
        what, options = each if isinstance(each, (tuple, list)) and len(each) == 2 else (each, {})
        if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
            raise TypeError(
                f"{name} must be names, or pairs of a name and a dict of options, got "
                f"{describe(each)}"
            )
        listed.append((label, what, dict(options)))
    return listed


def _method(label: str | None, method: Any, options: dict[str, Any]) -> MethodAsked:
    entry = find(method)  # an unknown name is refused here
    if entry is None and not (
        isinstance(method, Attribution)
        or (isinstance(method, type) and issubclass(method, Attribution))
    ):
        raise TypeError(
            f"methods must be names, Attribution classes or such objects, got {describe(method)}"
        )
    cls: Any = method if isinstance(method, type) else type(method)
    cls = cls if entry is None else entry.cls
    label = label or (cls.__name__ if entry is None else entry.name)
    if entry is not None and entry.whole_batch:
        raise ValueError(
            f"methods must explain each example by itself, got {label}, whose answers depend on "
            "the other rows of a batch"
        )
    for name in (*_OWN, "additional_forward_args"):
        if name in options:
            where = "the audit gives it" if name in _OWN else "a function around the model can"
            raise ValueError(f"options of {label} must not have {name}, got it; {where}")
    takes = {parameter.name for parameter in option_parameters(cls.attribute)}
    if not isinstance(method, Attribution):
        takes |= {p.name for p in option_parameters(cls if entry is None else entry.factory)}
    background = entry is not None and entry.baselines == "distribution"
    of = _kind(cls) if entry is None else entry.of
    targeted = takes_target(cls)
    return MethodAsked(label, method, options, frozenset(takes), background, of, targeted)


def _kind(cls: type[Any]) -> str:
    """Return what a method is about that is not registered."""
    if issubclass(cls, LayerAttribution):
        return "layer"
    return "neuron" if issubclass(cls, NeuronAttribution) else "inputs"


def check_labels(name: str, labels: Sequence[str], taken: Collection[str] = ()) -> None:
    """Raise unless names can be those of columns, each once, and none is taken."""
    for label in labels:
        if not isinstance(label, str) or not label:
            raise TypeError(f"{name} must be named by texts, got {describe(label)}")
        if labels.count(label) > 1:
            raise ValueError(
                f"{name} must have names of their own, got {label!r} twice; give a dict of names"
            )
        if not all(char.isalnum() or char in "_-+ " for char in label):
            raise ValueError(f"{name} must be named by letters, numbers and _-+, got {label!r}")
        if label in taken:
            raise ValueError(f"{name} must have names that rows do not have yet, got {label!r}")
