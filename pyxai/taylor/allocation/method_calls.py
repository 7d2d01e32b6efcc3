"""Call any attribution method, pyxai's, captum's or a plain function, in one way."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai._inputs import flat_features
from pyxai.methods.store import get
from pyxai.taylor.allocation.method_names import canonical_name

__all__ = ["Attribute", "bind_method", "is_factory", "name_method"]

# inputs and baselines (a tensor of one row) -> attributions
Attribute = Callable[[Tensor, Tensor], Tensor]


def is_factory(method: Any) -> bool:
    """Tell whether ``method``, a class, a partial or a name, makes an attribution object."""
    if isinstance(method, str):
        return True
    if isinstance(method, functools.partial):
        return is_factory(method.func)
    return inspect.isclass(method)


def name_method(method: Any) -> str:
    """Return a name for printing: of the class, or of the function."""
    if isinstance(method, str):
        method = get(method).cls
    while isinstance(method, functools.partial):
        method = method.func
    if inspect.isclass(method) or inspect.isroutine(method):
        return str(method.__name__)
    return type(method).__name__


def bind_method(
    method: Any, model: Callable[..., Any], target: Any, options: Mapping[str, Any]
) -> Attribute:
    """Return a function of inputs and baselines.

    Parameters
    ----------
    method : str, class, partial of a class, object with ``attribute``, or callable
        A name is one of `pyxai.registry`. A class is built with ``model``; a callable without
        ``attribute`` takes the inputs only.
    model : callable
        What a class is built with.
    target : int, optional
        Given to ``attribute`` where it has such an argument.
    options : mapping
        Further arguments of ``attribute``; "baselines" among them replaces the baselines.

    Returns
    -------
    callable
        ``(inputs [rows, *feat], baselines [1, *feat]) -> attributions [rows, *feat]``, detached.

    Raises
    ------
    TypeError
        If ``method`` is none of these, or does not return a tensor.
    """
    if isinstance(method, str):
        bound: Any = get(method).made_alone(model, "method")
    else:
        bound = method(model) if is_factory(method) else method
    attribute = getattr(bound, "attribute", None)
    if attribute is None and not callable(bound):
        raise TypeError(
            "method must be a name, a class, an object with attribute() or a function of the "
            f"inputs, got {describe(method)}"
        )
    accepted = () if attribute is None else inspect.signature(attribute).parameters

    def call(inputs: Tensor, baselines: Tensor) -> Tensor:
        if attribute is None:
            found = bound(inputs)
        else:
            offered = {"baselines": baselines, "target": target}
            given = {k: v for k, v in offered.items() if k in accepted and v is not None}
            found = attribute(inputs, **{**given, **options})
        if not isinstance(found, Tensor):
            raise TypeError(f"method must return a tensor of attributions, got {describe(found)}")
        return found.detach()

    return call


def uses_first_order_only(name: str) -> bool:
    """Tell whether a method explains the first-order surrogate only, by its name."""
    try:
        return canonical_name(name) in ("gradient_x_input", "grad_cam")
    except ValueError:
        return False


def player_sums(attributions: Tensor, players: Tensor, n_players: int) -> Tensor:
    """Sum attributions ``[rows, *feat]`` to ``[rows, n_players]`` in float64.

    Raises
    ------
    ValueError
        If a row has not one attribution for each feature.
    """
    flat = flat_features(attributions).double().cpu()
    if flat.shape[1] != players.numel():
        raise ValueError(
            f"attributions must have {players.numel()} values in each row, one per feature, "
            f"got shape {list(attributions.shape)}"
        )
    return torch.zeros(len(flat), n_players, dtype=torch.float64).index_add_(1, players, flat)
