"""How edge weights reach a model: as an argument, as an adjacency, or on its messages."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_model
from pyxai.graphs.edge_weights.adjacency import (
    DEGREES,
    NORMALISATIONS,
    check_base,
    check_not_negative,
    plan_adjacency,
)
from pyxai.graphs.edge_weights.messages import masked_messages
from pyxai.graphs.edge_weights.normalisation import Normalisation
from pyxai.graphs.edge_weights.sparse import SparseProducts
from pyxai.runner.state import find_modules

__all__ = ["Wiring"]

WEIGHTS_AS = ("edge_weight", "dense", "sparse", "messages")


@dataclass(frozen=True)
class Wiring:
    """How the weights of the entries of a graph are given to a model.

    Parameters
    ----------
    weights_as : str
        ``"edge_weight"``: ``model(x, edge_index, edge_weight)``, the signature of torch_geometric's
        convolutions. ``"dense"`` or ``"sparse"``: ``model(x, adjacency)``. ``"messages"``:
        ``model(x, edge_index)`` of torch_geometric modules, whose messages are multiplied.
    degrees : str, optional
        ``"renormalise"`` or ``"frozen"``, see `normalised_weights`. ``"model"``: the model gets the
        weights as they are, and its own normalisation sees them; the default for
        ``"edge_weight"``. The default for an adjacency is ``"renormalise"``; messages are those of
        the whole graph, so there ``"frozen"`` is the only rule.
    normalise : str
        ``"symmetric"``, ``"row"`` or ``"none"``, where ``degrees`` is not ``"model"``.
    self_loops : bool
        Whether nodes get self loops, where ``degrees`` is not ``"model"``.

    Raises
    ------
    ValueError
        If the choices do not go together.
    TypeError
        If ``self_loops`` is not a bool.
    """

    weights_as: str = "edge_weight"
    degrees: str | None = None
    normalise: str = "symmetric"
    self_loops: bool = True
    rule: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Check the choices and settle the degree rule."""
        check_choice("weights_as", self.weights_as, WEIGHTS_AS)
        check_choice("normalise", self.normalise, NORMALISATIONS)
        check_bool("self_loops", self.self_loops)
        defaults = {"edge_weight": "model", "messages": "frozen"}
        rule = self.degrees or defaults.get(self.weights_as, "renormalise")
        check_choice("degrees", rule, (*DEGREES, "model"))
        if self.weights_as == "messages" and rule != "frozen":
            raise ValueError(
                "degrees must be 'frozen' where weights_as is 'messages': a model normalises "
                f"before its messages are weighted, got {rule!r}; for graph convolutions that take "
                "edge weights, weights_as='edge_weight' renormalises"
            )
        if self.weights_as in ("dense", "sparse") and rule == "model":
            raise ValueError(
                "degrees must be 'renormalise' or 'frozen' for a model that takes an adjacency, "
                "got 'model'; normalise='none' gives it the weights as they are"
            )
        object.__setattr__(self, "rule", rule)

    @property
    def plans(self) -> bool:
        """Whether the model gets an adjacency that is made here."""
        return self.rule != "model" and self.weights_as != "messages"

    def check_base(self, base: Tensor, edge_index: Tensor) -> None:
        """Raise if a graph's own edge weights ``edge_weight`` do not fit."""
        check_base("edge_weight", base, edge_index)
        if self.plans and self.normalise != "none":
            check_not_negative("edge_weight", base)

    def check(self, model: Callable[..., Any]) -> None:
        """Raise if it shows before a run that weights cannot reach ``model``."""
        check_model("model", model)
        if self.weights_as != "edge_weight":
            return
        _check_signature(model)
        modules = find_modules(model)
        cached = [type(m).__name__ for m in modules if getattr(m, "cached", False) is True]
        if cached:
            raise ValueError(
                "model must not cache its normalised graph, which edge weights change, got "
                f"{cached[0]}(cached=True)"
            )
        twice = [
            type(m).__name__
            for m in modules
            if hasattr(m, "add_self_loops") and getattr(m, "normalize", False) is True
        ]
        if self.rule != "model" and twice:
            raise ValueError(
                f"degrees must be 'model' for a model that normalises by itself, got {self.rule!r} "
                f"for {twice[0]}(normalize=True); its frozen rule is weights_as='messages'"
            )

    def plan(
        self, edge_index: Tensor, weights: Tensor, base: Tensor | None, n_nodes: int
    ) -> Normalisation | None:
        """Work out once what weights of the form of ``weights`` [n_entries] do not change."""
        if not self.plans:
            return None
        return plan_adjacency(
            edge_index, weights, n_nodes, base, self.rule, self.normalise, self.self_loops
        )

    def call(
        self,
        model: Callable[..., Any],
        x: Any,
        edge_index: Tensor,  # [2, n_entries]
        weights: Tensor,  # [n_entries]
        base: Tensor | None,  # [n_entries]
        plan: Normalisation | None,
        more: Mapping[str, Any],
    ) -> Any:
        """Return what ``model`` makes of the graph with these weights."""
        if self.weights_as == "messages":
            given = {} if base is None else {"edge_weight": base}
            with masked_messages(model, weights, edge_index):
                return model(x, edge_index, **given, **more)
        if plan is None:
            weights = weights if base is None else weights * base
        else:
            edge_index, weights = plan.edge_index, plan.values(weights)
        if plan is not None and self.weights_as == "dense":
            return model(x, plan.dense(weights), **more)
        if plan is not None and self.weights_as == "sparse":
            values = plan.summed(weights)
            matrix = plan.pattern.matrix(values)
            with SparseProducts(matrix, values, plan.pattern):
                return model(x, matrix, **more)
        if _names_weight(model):
            return model(x, edge_index, edge_weight=weights, **more)
        return model(x, edge_index, weights, **more)


def _parameters(model: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """Return the arguments of a model, or None where they cannot be seen."""
    function = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None


def _names_weight(model: Callable[..., Any]) -> bool:
    return "edge_weight" in (_parameters(model) or {})


def _check_signature(model: Callable[..., Any]) -> None:
    parameters = _parameters(model)
    if parameters is None or "edge_weight" in parameters:
        return
    kinds = [p.kind for p in parameters.values()]
    places = sum(
        kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for kind in kinds
    )
    if places < 3 and inspect.Parameter.VAR_POSITIONAL not in kinds:
        raise TypeError(
            "model must take edge weights, as model(x, edge_index, edge_weight), got one that "
            f"takes ({', '.join(parameters)}); for torch_geometric modules without them pass "
            "weights_as='messages', for models of an adjacency weights_as='dense' or 'sparse'"
        )
