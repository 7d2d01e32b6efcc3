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

__all__ = ["AXIOMS", "Method", "find", "get", "load_with", "names", "register", "snake_case"]

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
        is reported.
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

    @property
    def family(self) -> str:
        """The folder that it is defined in: gradients, paths, coalitions; of others the module."""
        place = self.cls.__module__.split(".")
        return place[2] if place[:2] == ["pyxai", "attribution"] else place[:2][-1]

    def __post_init__(self) -> None:
        """Raise ValueError if a trait is not one of those that exist."""
        unknown = sorted(set(self.axioms) - set(AXIOMS))
        if unknown:
            raise ValueError(f"axioms must be among {', '.join(AXIOMS)}, got {', '.join(unknown)}")
        check_choice("baselines", self.baselines, ("none", "optional", "required", "distribution"))
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
        )
        return _METHODS[name]

    def decorate(cls: type[Any]) -> type[Any]:
        return enter(cls).cls

    return decorate if cls is None else enter(cls)


def names() -> tuple[str, ...]:
    """Return the names of all methods, sorted."""
    for load in _loaders:
        load(None)
    return tuple(sorted(_METHODS))


def get(name: str) -> Method:
    """Return the method called ``name``.

    Raises
    ------
    TypeError
        If ``name`` is not a string.
    ValueError
        If there is no such method; the message lists those that there are.
    """
    if not isinstance(name, str):
        raise TypeError(f"method must be a name, got {describe(name)}")
    if name not in _METHODS:
        for load in _loaders:
            load(name)
    if name not in _METHODS:
        known = names()  # from all rooms
    if name not in _METHODS:
        close = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"method must be one of {', '.join(known)}, got {name!r}{hint}")
    return _METHODS[name]


def find(method: Any) -> Method | None:
    """Return the entry of a method given by name, class or object, ``None`` if it has none."""
    if isinstance(method, str):
        return get(method)
    cls = method if isinstance(method, type) else type(method)
    return next((known for known in _METHODS.values() if known.cls is cls), None)


def snake_case(name: str) -> str:
    """Return the name of a class in the form of the registry's: LayerLRP is layer_lrp."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
