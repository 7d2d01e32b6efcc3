"""A graph as a cooperative game: v(S) is the model's output when only the edges in S are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_tensor, describe
from pyxai._errors import warn
from pyxai.game import Game
from pyxai.graphs.edge_weights.messages import layers_without_weights
from pyxai.graphs.edge_weights.wiring import Wiring
from pyxai.graphs.forward import GraphForward, Head
from pyxai.graphs.options import GameOptions
from pyxai.graphs.players import graph_players
from pyxai.graphs.question_checks import check_nodes, check_targets
from pyxai.graphs.questions import Output, Questions
from pyxai.runner import EveryOutput

__all__ = ["GraphGame"]


class GraphGame:
    """A model and a graph whose edges, or nodes, play.

    ``v(w)``, w in [0, 1]^n, is the mean output of some nodes when each edge weighs ``w``: at 0 it
    is absent, at 1 it is as in the graph. Everything that asks a `pyxai.Game` can be asked of
    `game`, Shapley values of edges included.

    Parameters
    ----------
    model : callable
        Returns ``[n_nodes, n_classes]``, or ``[n_graphs, n_classes]``, or one column; see
        ``weights_as`` for what it takes.
    x : Tensor, shape [n_nodes, n_features]
        Node features, given to the model as they are.
    edge_index : Tensor, shape [2, n_entries]
        int64 sources and targets of directed entries.
    node : int, list or Tensor, optional
        Nodes to explain: one question for each of them.
    nodes : list, Tensor or bool Tensor, optional
        Nodes of a single question, the mean over them. Without ``node`` and ``nodes`` all of them.
    target : int, list or Tensor, optional
        Class, or one for each asked node or each node of the graph. Default: what the model says of
        the whole graph.
    edge_weight : Tensor, shape [n_entries], optional
        The graph's own edge weights, which those of the players multiply; finite, and not negative
        where degrees are summed of them.
    players : str
        ``"edges"``: every edge but self loops, which are always kept. ``"nodes"``: without a node
        all its edges are absent; an explained node is always kept, so there can be only one.
    undirected : bool, optional
        Whether the two directed entries of an edge are one player. Default: if each has its
        reverse.
    weights_as : str
        How weights reach the model. ``"edge_weight"``: ``model(x, edge_index, edge_weight)``, as
        torch_geometric's convolutions have it. ``"dense"``, ``"sparse"``: ``model(x, adjacency)``.
        ``"messages"``: ``model(x, edge_index)`` of torch_geometric modules, whose messages are
        multiplied.
    degrees : str, optional
        ``"renormalise"``: degrees are those of the weighted graph. ``"frozen"``: of the whole
        graph. ``"model"``: weights are given as they are, and the model normalises. Default:
        ``"model"`` for ``"edge_weight"``, ``"frozen"`` (the only rule) for ``"messages"``, else
        ``"renormalise"``. A choice other than ``"model"`` hands over normalised weights, so the
        model must not normalise again.
    normalise : str
        ``"symmetric"``, ``"row"`` or ``"none"``, see `weighted_adjacency`.
    self_loops : bool
        Whether nodes get self loops, where the normalisation is ours.
    output : str or callable
        ``"log_probability"``, ``"probability"``, ``"logit"``, ``"kl"`` (minus the divergence
        ``KL(p_full || p)``), ``"reverse_kl"`` (``-KL(p || p_full)``), or a function of the outputs.
    model_kwargs : mapping, optional
        Further keyword arguments of the model.
    max_rows : int, optional
        Upper bound of graphs in one pass; default: automatic.

    Attributes
    ----------
    players : GraphPlayers
        Who plays.
    game : Game
        The game itself, one example for each question.
    questions : Questions
        Nodes and classes.
    full : Tensor, shape [n_rows, ...]
        What the model says of the whole graph.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as said above, or the model does not look at the edge weights.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023.

    Examples
    --------
    Node 0 hears from node 1 only:

    >>> def model(x, adjacency):
    ...     return adjacency @ x
    >>> game = GraphGame(
    ...     model, torch.tensor([[0.0], [3.0], [5.0]]), torch.tensor([[1, 2], [0, 1]]), node=0,
    ...     weights_as="dense", normalise="none", output="logit",
    ... )
    >>> game.values(torch.tensor([[True, True], [True, False], [False, True]]))
    tensor([[3., 3., 0.]])
    """

    def __init__(
        self,
        model: Callable[..., Any],
        x: Any,
        edge_index: Tensor,
        *,
        node: Any = None,
        nodes: Any = None,
        target: Any = None,
        edge_weight: Tensor | None = None,
        players: str = "edges",
        undirected: bool | None = None,
        weights_as: str = "edge_weight",
        degrees: str | None = None,
        normalise: str = "symmetric",
        self_loops: bool = True,
        output: Output = "log_probability",
        model_kwargs: Mapping[str, Any] | None = None,
        max_rows: int | None = None,
    ) -> None:
        if node is not None and nodes is not None:
            raise ValueError("nodes must be None where node is given, got both")
        options = GameOptions(
            players=players,
            undirected=undirected,
            weights_as=weights_as,
            degrees=degrees,
            normalise=normalise,
            self_loops=self_loops,
            output=output,
            max_rows=max_rows,
        )
        wiring = options.wiring()
        wiring.check(model)
        if model_kwargs is not None and not isinstance(model_kwargs, Mapping):
            raise TypeError(f"model_kwargs must be a mapping, got {describe(model_kwargs)}")
        check_tensor("x", x)
        check_finite("x", x)
        n_nodes = x.shape[0] if x.dim() else 0
        kept = None if node is None else check_nodes("node", node, n_nodes, x.device)
        if players == "nodes" and kept is not None and len(kept) > 1:
            raise ValueError(  # each is always kept, so others would play for each
                f"node must be a single one where nodes play, got {len(kept)}; ask one by one"
            )
        self.players = graph_players(
            edge_index,
            n_nodes,
            kind=players,
            undirected=undirected,
            always=kept,
        )
        if edge_weight is not None:
            wiring.check_base(edge_weight, edge_index)
        self.max_rows = max_rows
        self._dtype = x.dtype if x.is_floating_point() else torch.float32
        graph = GraphForward(
            model, x, self.players, wiring, edge_weight, dict(model_kwargs or {}), _as_is
        )
        self.full = self._look(graph)
        rows = (nodes if nodes is not None else range(len(self.full))) if node is None else node
        chosen = check_nodes(
            "nodes" if node is None else "node",
            list(rows) if isinstance(rows, range) else rows,
            len(self.full),
            self.full.device,
        )
        targets = check_targets(target, chosen, self.full, output)
        groups = (chosen,) if node is None else torch.split(chosen, 1)
        classes: tuple[Tensor | None, ...] = (None,) * len(groups)
        if targets is not None:
            classes = (targets,) if node is None else torch.split(targets, 1)
        self.questions = Questions(groups, classes, output, self.full)
        self._forward = graph.with_head(self.questions)
        self.game = self._game(self._forward, torch.arange(len(groups)))

    @property
    def n_players(self) -> int:
        """Number of players."""
        return self.players.n_players

    @property
    def n_examples(self) -> int:
        """Number of questions."""
        return len(self.questions.nodes)

    @property
    def device(self) -> torch.device:
        """Where the graph is."""
        return self.players.edge_index.device

    def values(self, masks: Tensor, examples: Tensor | None = None) -> Tensor:
        """Return v(S).

        Parameters
        ----------
        masks : Tensor, shape [n_masks, n_players] or [n_examples, n_masks, n_players]
            bool, or packed int32; see `pyxai.Game.values`.
        examples : Tensor, optional
            int64 questions that are asked, [n_examples]; default: all.

        Returns
        -------
        Tensor, shape [n_examples, n_masks]
        """
        return self._game_of(examples).values(masks)

    def gradients(self, weights: Tensor, examples: Tensor | None = None) -> Tensor:
        """Return dv/dw.

        Parameters
        ----------
        weights : Tensor, shape [n_points, n_players] or [n_examples, n_points, n_players]
            In [0, 1].
        examples : Tensor, optional
            int64 questions that are asked, [n_examples]; default: all.

        Returns
        -------
        Tensor, shape [n_examples, n_points, n_players]
        """
        return self._game_of(examples).gradients(weights)

    def ask(self, head: Head, masks: Tensor) -> Tensor:
        """Return other answers about masked graphs.

        Parameters
        ----------
        head : callable
            ``head(outputs, example)`` returns a scalar or [n_answers].
        masks : Tensor, shape [n_masks, n_players] or [n_examples, n_masks, n_players]
            bool, or packed int32.

        Returns
        -------
        Tensor, shape [n_examples, n_masks, ...]
        """
        examples = torch.arange(self.n_examples)
        return self._game(self._forward.with_head(head), examples).values(masks)

    def _game_of(self, examples: Tensor | None) -> Game:
        if examples is None or len(examples) == self.n_examples:
            return self.game
        return self._game(self._forward, examples)

    def _game(self, forward: GraphForward, examples: Tensor) -> Game:
        device = self.device
        return Game(
            forward,
            torch.ones(len(examples), self.n_players, dtype=self._dtype, device=device),
            baselines=0.0,
            additional_forward_args=(examples.to(device),),
            target=EveryOutput(),
            max_rows=self.max_rows,
        )

    def _look(self, graph: GraphForward) -> Tensor:
        """Return the outputs at the whole graph; complain if the model does not see weights."""
        shapes: list[torch.Size] = []

        def flat(outputs: Tensor, example: int) -> Tensor:
            shapes.append(outputs.shape)
            return outputs.flatten()

        ends = torch.tensor([[True], [False]], device=self.device).expand(2, self.n_players)
        game = self._game(graph.with_head(flat), torch.arange(1))
        with layers_without_weights(graph.run) as deaf:
            full = game.values(ends[:1])[0, 0]
        empty = game.values(ends[1:])[0, 0]
        if torch.equal(full, empty):
            raise ValueError(
                "model must look at the edge weights, got the same outputs with all edges and with "
                "none; " + _advice(graph.wiring)
            )
        if graph.wiring.weights_as == "edge_weight" and deaf:
            names = ", ".join(dict.fromkeys(deaf))
            warn(
                "these layers run without edge weights, so that no edge is ever absent for them: "
                f"{names}; weights_as='messages' weighs the messages of all layers"
            )
        return full.reshape(shapes[0])


def _as_is(outputs: Tensor, example: int) -> Tensor:
    return outputs


def _advice(wiring: Wiring) -> str:
    if wiring.weights_as == "edge_weight":
        return (
            "its layers may take no edge_weight: for torch_geometric modules pass "
            "weights_as='messages'"
        )
    return "does it use what it is given?"
