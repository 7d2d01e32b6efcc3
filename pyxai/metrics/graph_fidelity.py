"""How much of what a model says of a graph survives when only some edges, or nodes, stay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_finite, check_real, check_tensor, describe
from pyxai.explanation.curve import Curve
from pyxai.graphs import GraphExplanation, GraphGame
from pyxai.graphs.question_checks import check_targets
from pyxai.graphs.questions import in_unit, predictions
from pyxai.metrics.attributions import rank_players
from pyxai.metrics.curves.ranked_game import curve_sizes, top_masks
from pyxai.metrics.options import check_fractions
from pyxai.runner import one_scope

__all__ = ["graph_fidelity"]

MEASURES = ("agreement", "log_probability", "accuracy")


@one_scope
def graph_fidelity(
    game: GraphGame | GraphExplanation,
    attributions: Tensor | None = None,
    *,
    measure: str = "agreement",
    labels: Tensor | None = None,
    fractions: Any = None,
    n_points: int | None = None,
    absolute: bool = False,
) -> Curve:
    """Keep the best players of a graph, more and more of them, and watch the predictions.

    Parameters
    ----------
    game : GraphGame or GraphExplanation
        The model, the graph and the nodes that are looked at.
    attributions : Tensor, shape [n_entries] or [batch, n_entries], optional
        Scores of the entries of ``edge_index`` (of nodes, where nodes play, or of the players), of
        any method; one row or one for each question. Ties go to the lower number. An explanation
        has its own order.
    measure : str
        ``"agreement"``: share of the nodes whose prediction is that of the whole graph.
        ``"log_probability"``: mean log-probability of ``labels``, or of those predictions.
        ``"accuracy"``: share of the nodes whose prediction is the label.
    labels : Tensor, shape [n_nodes], optional
        int64 classes, or one for each node that is looked at.
    fractions : float or sequence of float, optional
        Fractions of the players to keep, in [0, 1].
    n_points : int, optional
        Number of evenly spaced fractions otherwise; default: all sizes up to 256 players, else 101.
    absolute : bool
        Whether ``attributions`` are ranked by absolute value.

    Returns
    -------
    Curve
        ``x`` the fraction of the players that are kept, ``y`` of shape [batch, n_points].

    Raises
    ------
    ValueError
        If a shape or a choice does not fit, or ``"accuracy"`` is asked without labels.
    TypeError
        If an argument is of another kind.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023:
       graph compression.

    Examples
    --------
    >>> import torch
    >>> from pyxai.graphs import GraphGame
    >>> from pyxai.metrics import graph_fidelity
    >>> def model(x, adjacency):
    ...     return adjacency @ x
    >>> x = torch.tensor([[0.0, 1.0], [0.0, 4.0], [9.0, 0.0]])
    >>> game = GraphGame(
    ...     model, x, torch.tensor([[1, 2], [0, 0]]), node=0, weights_as="dense", normalise="none"
    ... )
    >>> graph_fidelity(game, torch.tensor([1.0, 2.0])).y  # with the second edge it says class 0
    tensor([[0., 1., 1.]], dtype=torch.float64)
    """
    check_bool("absolute", absolute)
    check_choice("measure", measure, MEASURES)
    order, game = _order(game, attributions, absolute)
    sizes = _sizes(order.shape[1], game.n_players, fractions, n_points)
    head = _Measure(game, measure, labels)
    values = game.ask(head, top_masks(order, sizes, game.n_players))
    x = (sizes.double() / game.n_players).to(values.device)
    name = {"agreement": "predictions kept", "log_probability": "mean log-probability"}
    kind = game.players.kind
    y = values.double().reshape(game.n_examples, -1)
    return Curve(x, y, name.get(measure, measure), f"fraction of {kind} kept")


class _Measure:
    """A head of `GraphForward`: one number about the nodes of a question."""

    def __init__(self, game: GraphGame, measure: str, labels: Tensor | None) -> None:
        if measure == "accuracy" and labels is None:
            raise ValueError("labels must be given for accuracy, got None")
        self.measure, self.nodes = measure, game.questions.nodes
        wanted = None if measure == "agreement" else labels
        asked = torch.cat(self.nodes)
        targets = check_targets(wanted, asked, game.questions.full, "log_probability")
        assert targets is not None  # there always are classes in this unit
        self.targets = torch.split(targets, [len(nodes) for nodes in self.nodes])

    def __call__(self, outputs: Tensor, example: int) -> Tensor:
        nodes, targets = self.nodes[example], self.targets[example]
        if self.measure == "log_probability":
            return in_unit("log_probability", outputs[nodes]).gather(1, targets[:, None]).mean()
        kept: Tensor = predictions(outputs)[nodes] == targets
        return kept.double().mean()


def _order(game: Any, attributions: Tensor | None, absolute: bool) -> tuple[Tensor, GraphGame]:
    """Return players from best to worst, [batch, n_ordered]."""
    if isinstance(game, GraphExplanation):
        if attributions is None:
            return game.order, game.game
        game = game.game
    if not isinstance(game, GraphGame):
        raise TypeError(f"game must be a GraphGame or a GraphExplanation, got {describe(game)}")
    values = check_tensor("attributions", attributions)
    check_finite("attributions", values)
    table = values.reshape(1, -1) if values.dim() == 1 else values
    width, players = table.shape[-1], game.players
    if (
        table.dim() != 2
        or len(table) not in (1, game.n_examples)
        or width
        not in (
            len(players.owners),
            players.n_players,
        )
    ):
        raise ValueError(
            f"attributions must have shape [{len(players.owners)}] or [{game.n_examples}, "
            f"{len(players.owners)}], one for each entry or node, or [{players.n_players}], got "
            f"{list(values.shape)}"
        )
    check_real("attributions", table)
    table = table.detach().to(game.device).double()
    table = table.abs() if absolute else table
    if width == len(players.owners):
        table = players.to_players(table)
    return rank_players(table.expand(game.n_examples, -1)), game


def _sizes(n_ordered: int, n_players: int, fractions: Any, n_points: int | None) -> Tensor:
    """Return how many players are kept at each point."""
    if fractions is None:
        sizes = curve_sizes(n_players, n_points)
        return sizes[sizes <= n_ordered]
    shares = check_fractions("fractions", fractions, zero=True)
    sizes = (shares.sort().values * n_players).round().long()
    if int(sizes[-1]) > n_ordered:
        raise ValueError(
            f"fractions must be at most {n_ordered / n_players:.4g} where {n_ordered} of "
            f"{n_players} players are ordered, got {float(shares.max()):.4g}"
        )
    return sizes
