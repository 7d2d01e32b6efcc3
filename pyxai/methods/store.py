"""The store of methods: what is known by name, and what each entry promises.

A method enters where it is defined::

    @register(
        "saliency",
        summary="gradient of the output, absolute by default",
        cost="1 gradient",
        use="a first look at what the output reacts to; not for amounts",
        axioms=("null_player", "symmetry"),
    )
    class Saliency(GradientAttribution): ...
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from pyxai._checks import check_choice, describe
from pyxai._signatures import option_parameters, required_names

__all__ = [
    "ABOUT",
    "AXIOMS",
    "Method",
    "find",
    "get",
    "load_with",
    "names",
    "register",
    "snake_case",
    "takes_target",
]

ABOUT = (
    "inputs",  # what the inputs, or the places of an image, say of an output
    "layer",  # what the values of a layer say of an output
    "neuron",  # what the inputs say of neurons of a layer, or of an output through them
)

AXIOMS = (
    "completeness",  # the attributions sum to f(inputs) - f(baselines)
    "null_player",  # a feature that the model does not read gets 0
    "symmetry",  # features that the model cannot tell apart, of equal values, get the same
    "linearity",  # the attributions of a * f + b * g are a * those of f + b * those of g
    "implementation_invariance",  # models that compute the same function get the same
)


@dataclass(frozen=True)
class Method:
    """What the package knows about a method.

    Attributes
    ----------
    name : str
        Name to call the method by, snake_case.
    cls : type
        Its class.
    complete : bool
        Whether the attributions sum to ``f(inputs) - f(baselines)``, so that a convergence delta
        is reported; those to a layer where the whole model passes through it.
    baselines : str
        ``"none"``: takes none; ``"optional"``: 0 when not given; ``"required"``: one per example or
        for all must be given; ``"distribution"``: the rows are a background set.
    stochastic : bool
        Whether the result depends on ``seed``.
    axioms : tuple of str
        Which of `AXIOMS` hold; each is tested on closed forms.
    needs : str
        What the explained function must be: ``"callable"``, or ``"module"`` for methods that look
        inside an ``nn.Module``.
    factory : callable
        ``factory(model, **constructor_options)`` makes the object; by default the class.
    whole_batch : bool
        Whether the other rows of a batch are part of the method by definition, so that a row alone
        is another question.
    summary : str
        What it computes, in one line.
    cost : str
        What one example costs with the default options, as a formula of outputs (forward passes of
        a row), gradients (forward and backward) and backward passes. ``n_features`` are features,
        or groups where they are grouped, ``n_background`` the rows of ``baselines``; other names
        are options of the method. "traced" is said of methods that run the traced graph, which is
        made once per model and input shape.
    use : str
        When to use it, and after a semicolon when not, or what to know then.
    of : str
        One of `ABOUT`: whose values are explained, or explain. The others than ``"inputs"`` take a
        ``layer``, those of neurons a ``neuron_selector``.
    """

    name: str
    cls: type[Any]
    complete: bool
    baselines: str
    stochastic: bool
    axioms: tuple[str, ...]
    needs: str
    factory: Callable[..., Any]
    whole_batch: bool = False
    summary: str = ""
    cost: str = ""
    use: str = ""
    of: str = "inputs"

    @property
    def family(self) -> str:
        """The folder that it is defined in: gradients, paths, coalitions; of others the module."""
        if self.of == "neuron":
            return "neurons"
        place = self.cls.__module__.split(".")
        return place[2] if place[:2] == ["pyxai", "attribution"] else place[:2][-1]

    def made_alone(self, model: Callable[..., Any], argument: str) -> Any:
        """Return the method made for a model without any option; ``argument`` is what named it.

        Raises
        ------
        ValueError
            If it cannot be made so, as those of a layer cannot.
        """
        needed = required_names(self.factory)
        if needed:
            raise ValueError(
                f"{argument} must name a method that is made from the model alone, got "
                f"{self.name!r}, which takes {' and '.join(needed)}; give the object"
            )
        return self.factory(model)

    def __post_init__(self) -> None:
        """Raise ValueError if a trait is not one of those that exist."""
        unknown = sorted(set(self.axioms) - set(AXIOMS))
        if unknown:
            raise ValueError(f"axioms must be among {', '.join(AXIOMS)}, got {', '.join(unknown)}")
        check_choice("baselines", self.baselines, ("none", "optional", "required", "distribution"))
        check_choice("of", self.of, ABOUT)
        if self.needs not in ("callable", "module"):
            raise ValueError(f"needs must be 'callable' or 'module', got {self.needs!r}")


_METHODS: dict[str, Method] = {}
_loaders: list[Callable[[str | None], None]] = []

Cls = TypeVar("Cls", bound="type[Any]")


def load_with(load: Callable[[str | None], None]) -> None:
    """Have ``load(name)`` called for a name that is not known yet, and ``load(None)`` for all.

    `pyxai.registry` gives what imports the rooms that nobody has used yet.
    """
    _loaders[:] = [load]


@overload
def register(
    name: str,
    cls: None = None,
    *,
    complete: bool = False,
    baselines: str = "none",
    stochastic: bool = False,
    axioms: Collection[str] = (),
    needs: str = "callable",
    factory: Callable[..., Any] | None = None,
    whole_batch: bool = False,
    summary: str = "",
    cost: str = "",
    use: str = "",
    of: str = "inputs",
) -> Callable[[Cls], Cls]: ...


@overload
def register(
    name: str,
    cls: type[Any],
    *,
    complete: bool = False,
    baselines: str = "none",
    stochastic: bool = False,
    axioms: Collection[str] = (),
    needs: str = "callable",
    factory: Callable[..., Any] | None = None,
    whole_batch: bool = False,
    summary: str = "",
    cost: str = "",
    use: str = "",
    of: str = "inputs",
) -> Method: ...


def register(
    name: str,
    cls: type[Any] | None = None,
    *,
    complete: bool = False,
    baselines: str = "none",
    stochastic: bool = False,
    axioms: Collection[str] = (),
    needs: str = "callable",
    factory: Callable[..., Any] | None = None,
    whole_batch: bool = False,
    summary: str = "",
    cost: str = "",
    use: str = "",
    of: str = "inputs",
) -> Any:
    """Make a method known by name, with what it promises: see `Method`.

    Without a class it returns a decorator for one.

    Returns
    -------
    Method or callable
        The new entry; as a decorator, what gives the class back as it is.

    Raises
    ------
    ValueError
        If the name is taken or a trait is not one of those that exist.
    """

    def enter(cls: type[Any]) -> Method:
        if name in _METHODS:
            taken = _METHODS[name].cls.__name__
            raise ValueError(f"name must be new, got {name!r}, which is {taken}")
        _METHODS[name] = Method(
            name,
            cls,
            complete,
            baselines,
            stochastic,
            tuple(axioms),
            needs,
            factory or cls,
            whole_batch,
            summary,
            cost,
            use,
            of,
        )
        return _METHODS[name]

    def decorate(cls: type[Any]) -> type[Any]:
        return enter(cls).cls

    return decorate if cls is None else enter(cls)


def names(of: str = "inputs") -> tuple[str, ...]:
    """Return the names of all methods of a kind, sorted.

    Parameters
    ----------
    of : str
        ``"inputs"``: those that say what the inputs, or the places of an image, add to an output.
        ``"layer"``: what the values of a layer do. ``"neuron"``: what the inputs add to neurons of
        a layer, or to an output through them.

    Raises
    ------
    ValueError
        If ``of`` is another word.
    """
    check_choice("of", of, ABOUT)
    for load in _loaders:
        load(None)
    return tuple(sorted(name for name, method in _METHODS.items() if method.of == of))


def get(name: str) -> Method:
    """Return the method called ``name``.

    Raises
    ------
    TypeError
        If ``name`` is not a string.
    ValueError
        If there is no such method; the message lists those of inputs, and names the nearest of
        all.
    """
    if not isinstance(name, str):
        raise TypeError(f"method must be a name, got {describe(name)}")
    if name not in _METHODS:
        for load in _loaders:
            load(name)
    if name not in _METHODS:
        known = names()  # from all rooms
    if name not in _METHODS:
        close = difflib.get_close_matches(name.lower().replace("-", "_"), _METHODS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"method must be one of {', '.join(known)}, or one of a layer or of neurons, got "
            f"{name!r}{hint}"
        )
    return _METHODS[name]


def find(method: Any) -> Method | None:
    """Return the entry of a method given by name, class or object, ``None`` if it has none."""
    if isinstance(method, str):
        return get(method)
    cls = method if isinstance(method, type) else type(method)
    return next((known for known in _METHODS.values() if known.cls is cls), None)


def takes_target(cls: type[Any]) -> bool:
    """Tell whether a method is told which output; values of a layer and neurons are of none."""
    own = option_parameters(cls.attribute)
    return any(each.name == "target" or each.kind is each.VAR_KEYWORD for each in own)


def snake_case(name: str) -> str:
    """Return the name of a class in the form of the registry's: LayerLRP is layer_lrp."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
