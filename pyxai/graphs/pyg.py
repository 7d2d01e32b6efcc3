"""`GraphExplainer` as an algorithm of ``torch_geometric.explain.Explainer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai.graphs.edge_weights.messages import need_torch_geometric
from pyxai.graphs.explainer import GraphExplainer

__all__ = ["pyg_algorithm"]

if TYPE_CHECKING:
    from torch_geometric.explain import ExplainerAlgorithm


def pyg_algorithm(**options: Any) -> ExplainerAlgorithm:
    """Make an algorithm for ``torch_geometric.explain.Explainer``.

    Parameters
    ----------
    **options
        Of `GraphExplainer`, but ``players`` and ``output``, which the explainer decides. By default
        ``weights_as="messages"``, which every torch_geometric module understands;
        ``"edge_weight"`` lets graph convolutions renormalise.

    Returns
    -------
    torch_geometric.explain.ExplainerAlgorithm
        Gives an edge mask (``edge_mask_type="object"``) or node mask (``node_mask_type="object"``),
        one number for each edge or node: the scores of `GraphExplainer`. One node is asked as
        by `GraphExplainer.explain_node`, which always keeps it where nodes play; of several the
        question is the mean over them.

    Raises
    ------
    ImportError
        If torch_geometric is not installed.
    TypeError, ValueError
        If an option is not one of `GraphExplainer`, or does not fit.

    Notes
    -----
    ::

        explainer = torch_geometric.explain.Explainer(
            model, algorithm=pyg_algorithm(), explanation_type="model", edge_mask_type="object",
            model_config=dict(mode="multiclass_classification", task_level="node",
                              return_type="raw"),
        )
        explainer(x, edge_index, index=7).edge_mask
    """
    for name in ("players", "output"):
        if name in options:
            raise TypeError(f"options must not hold {name}, which the Explainer decides")
    base: Any = need_torch_geometric("torch_geometric.explain").ExplainerAlgorithm
    options = {"weights_as": "messages", **options}
    GraphExplainer(_nothing, **options)  # complain now about options that do not fit

    class GreedyPIG(base):  # type: ignore[misc]  # known at run time only
        """Greedy PIG on the edges or nodes of a graph, see `pyxai.graphs.GraphExplainer`."""

        def forward(
            self,
            model: nn.Module,
            x: Tensor,
            edge_index: Tensor,
            *,
            target: Tensor,
            index: int | Tensor | None = None,
            **kwargs: Any,
        ) -> Any:
            return _explain(self, options, model, x, edge_index, target, index, kwargs)

        def supports(self) -> bool:
            return _supports(self)

    return GreedyPIG()


def _nothing(*_: Any) -> Tensor:
    raise NotImplementedError


def _supports(algorithm: Any) -> bool:
    """Whether the masks are for whole edges or whole nodes, and the outputs are understood."""
    masks = [algorithm.explainer_config.edge_mask_type, algorithm.explainer_config.node_mask_type]
    given = [mask.value for mask in masks if mask is not None]
    config = algorithm.model_config
    if config.mode.value == "binary_classification" and config.return_type.value != "raw":
        return False  # one column of probabilities does not say that it is one
    return given == ["object"] and config.task_level.value in ("node", "graph")


def _output(algorithm: Any) -> Any:
    """Return the unit of what is explained, from what the model is said to return."""
    config = algorithm.model_config
    if config.mode.value == "regression":
        return "logit"
    units = {"raw": "log_probability", "log_probs": "logit", "probs": torch.log}
    return units[config.return_type.value]


def _numbers(index: int | Tensor) -> Tensor:
    """Return the asked nodes or graphs as numbers, of a mask too."""
    asked = torch.as_tensor(index).reshape(-1)
    return asked.nonzero()[:, 0] if asked.dtype == torch.bool else asked


def _explain(
    algorithm: Any,
    options: dict[str, Any],
    model: nn.Module,
    x: Any,
    edge_index: Any,
    target: Tensor,
    index: int | Tensor | None,
    kwargs: dict[str, Any],
) -> Any:
    if not isinstance(x, Tensor) or not isinstance(edge_index, Tensor):
        raise ValueError(
            f"x and edge_index must be tensors, a graph of one kind, got {describe(x)}"
        )
    edges = algorithm.explainer_config.edge_mask_type is not None
    explainer = GraphExplainer(
        model, players="edges" if edges else "nodes", output=_output(algorithm), **options
    )
    more = dict(kwargs)
    weight = more.pop("edge_weight", None)
    regression = algorithm.model_config.mode.value == "regression"
    target_of = None if regression else target.reshape(-1)
    call = {"target": target_of, "edge_weight": weight, "model_kwargs": more}
    nodes = None if index is None else _numbers(index)
    if nodes is not None and len(nodes) == 1 and algorithm.model_config.task_level.value == "node":
        result = explainer.explain_node(x, edge_index, nodes, **call)
    else:
        result = explainer.compress(x, edge_index, nodes=nodes, **call)
    made = need_torch_geometric("torch_geometric.explain").Explanation
    mask = result.scores[0].to(x.dtype)
    return made(edge_mask=mask) if edges else made(node_mask=mask[:, None])
