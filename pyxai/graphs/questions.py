"""What is asked of a graph's outputs: which nodes, which classes, in which unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from pyxai.greedy.divergence import DIVERGENCES, binary_logits, divergence
from pyxai.runner.target import apply_output

__all__ = ["OUTPUTS", "Output", "Questions", "in_unit", "is_single", "predictions"]

OUTPUTS = ("logit", "probability", "log_probability", *DIVERGENCES)

Output = str | Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Questions:
    """One or several questions about one graph; a head of `GraphForward`.

    Attributes
    ----------
    nodes : tuple of Tensor, each of shape [n_asked]
        int64 nodes (rows of the output) of each question.
    targets : tuple of Tensor or None, each of shape [n_asked]
        int64 classes; None where the model has one output for each node.
    output : str or callable
        ``"logit"``, ``"probability"``, ``"log_probability"``, ``"kl"``, ``"reverse_kl"``, or a
        function of the outputs.
    full : Tensor, shape [n_rows, n_classes]
        Outputs at the whole graph.
    """

    nodes: tuple[Tensor, ...]
    targets: tuple[Tensor | None, ...]
    output: Output
    full: Tensor

    def __call__(self, outputs: Tensor, example: int) -> Tensor:
        """Return the mean of the asked outputs of one question, a scalar."""
        nodes, targets = self.nodes[example], self.targets[example]
        if isinstance(self.output, str) and self.output in DIVERGENCES:
            there, here = (in_unit("log_probability", o[nodes]) for o in (self.full, outputs))
            return -divergence(self.output, there, here).mean()
        values = in_unit(self.output, outputs[nodes])
        if targets is None:
            return values.reshape(len(nodes), -1)[:, 0].mean()
        return values.gather(1, targets[:, None]).mean()


def in_unit(output: Output, outputs: Tensor) -> Tensor:
    """Return outputs [n, n_classes] in a unit; one column counts as the logit of class 1 of two.

    That is for probabilities; other outputs of one column stay as they are.
    """
    if output in ("probability", "log_probability") and is_single(outputs):
        outputs = binary_logits(outputs.reshape(-1, 1))
    return apply_output(output, outputs)


def predictions(outputs: Tensor) -> Tensor:
    """Return the class of each row, int64 [n_rows]; one column is a logit."""
    if is_single(outputs):
        return (outputs.reshape(-1) > 0).long()
    return outputs.argmax(1)


def is_single(outputs: Tensor) -> bool:
    """Whether a model gives one number for each row."""
    return outputs.dim() == 1 or (outputs.dim() == 2 and outputs.shape[1] == 1)
