"""Where the attributions of each example begin and end: base value, what is missing, output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from pyxai.explanation.groups import adds_up, flat_attributions, groups_of, scores_of_groups

if TYPE_CHECKING:
    from pyxai.explanation.result import Explanation

__all__ = ["Balance", "balance_of", "is_of_all_outputs", "of_each_output", "player_values"]


class Balance(NamedTuple):
    """``base + sum(attributions) + missing = output`` for each example, float64 on the CPU."""

    base: Tensor
    """[batch]: the output at the baseline."""
    missing: Tensor
    """[batch]: what the attributions leave unexplained, minus the convergence delta."""
    output: Tensor
    """[batch]: the explained output at the inputs."""


def player_values(explanation: Explanation) -> Tensor:
    """Return the attribution of each player once, float64 [batch, n_players], on the CPU."""
    return flat_attributions(explanation)[:, groups_of(explanation).first]


def balance_of(explanation: Explanation) -> Balance | None:
    """Return the balance of one output, or nothing where outputs or deltas are not known.

    A delta for each draw of an example is averaged, as the attributions were.
    """
    outputs, delta, rows = explanation.outputs, explanation.convergence_delta, len(explanation)
    if outputs is None or delta is None or not adds_up(explanation) or not rows:
        return None
    if outputs.shape != (rows,) or delta.dim() != 1 or len(delta) % rows:
        return None
    output, missed = (part.detach().double().cpu() for part in (outputs, delta))
    missing = -missed.reshape(rows, -1).mean(1)
    total = scores_of_groups(explanation, explanation.attributions).double().cpu().sum(1)
    return Balance(output - total - missing, missing, output)


def is_of_all_outputs(explanation: Explanation) -> bool:
    """Tell whether all outputs were explained, each by attributions of its own.

    What explains a neuron, or the values of a layer whatever the target, has none of an output.
    """
    outputs, values = explanation.outputs, explanation.attributions
    if outputs is None or outputs.dim() < 2 or explanation.of_layer:
        return False
    first, given = (
        part[0] if isinstance(part, tuple) else part for part in (values, explanation.inputs)
    )
    side_by_side = first.dim() > given.dim() and first.shape[1] == outputs.shape[1]
    return side_by_side or "layer" not in explanation.options


def of_each_output(explanation: Explanation) -> list[Explanation]:
    """Return one explanation for each output; the explanation itself where it is of one."""
    outputs, delta = explanation.outputs, explanation.convergence_delta
    if outputs is None or not is_of_all_outputs(explanation):
        return [explanation]
    return [
        replace(
            explanation,
            attributions=_column(explanation.attributions, at),
            error=None if explanation.error is None else _column(explanation.error, at),
            outputs=outputs[:, at],
            target=at,
            convergence_delta=delta[:, at] if delta is not None and delta.dim() == 2 else None,
            feature_names=_names(explanation.feature_names, at, outputs.shape[1]),
        )
        for at in range(outputs.shape[1])
    ]


def _column(value: Any, at: int) -> Any:
    if isinstance(value, tuple):
        return tuple(part[:, at] for part in value)
    return value[:, at]


def _names(names: Any, at: int, outputs: int) -> Any:
    """Take the names of an output; they follow one another, output by output."""
    if not names:
        return names
    if isinstance(names[0], list):
        return [_names(row, at, outputs) for row in names]
    count = len(names) // outputs
    return names[at * count : (at + 1) * count]
