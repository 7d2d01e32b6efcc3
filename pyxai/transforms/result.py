"""What `trim` returns: an explanation whose features are coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai.explanation import Explanation
from pyxai.transforms.model import TransformedModel
from pyxai.transforms.transform import Transform

__all__ = ["TransformedExplanation"]


@dataclass(frozen=True, eq=False, repr=False)
class TransformedExplanation:
    """Attributions to the coefficients of a transform.

    Attributes
    ----------
    explanation : Explanation
        In the transformed domain: its inputs, baselines and attributions are coefficients.
    model : TransformedModel
        What was explained, to give to metrics with ``explanation.inputs`` and ``arguments``.
    arguments : tuple
        The residuals, and the further arguments of the model.
    groups : Tensor or None
        Which group each coefficient belongs to.
    whole_groups : bool
        Whether the method removed each group as a whole, so that its members all have its score.
    """

    explanation: Explanation
    model: TransformedModel
    arguments: tuple[Any, ...]
    groups: Tensor | None = None
    whole_groups: bool = False

    @property
    def attributions(self) -> Tensor:
        """One value for each number of the coefficients, [batch, *coefficients], signed."""
        found = self.explanation.attributions
        assert isinstance(found, Tensor)  # one input tensor
        return found

    @property
    def coefficients(self) -> Tensor:
        """What was explained, [batch, *coefficients]."""
        found = self.explanation.inputs
        assert isinstance(found, Tensor)
        return found

    @property
    def transform(self) -> Transform:
        """How the coefficients came from the inputs."""
        return self.model.transform

    def signed(self) -> Tensor:
        """Return one signed score for each coefficient, the sum over the parts of a complex one.

        Returns
        -------
        Tensor, shape [batch, *coefficients] without the pairs
            In the units of the attributions.

        Raises
        ------
        ValueError
            If the scores are those of whole groups, or not of coefficients.
        """
        found = self._by_coefficient("signed")
        return found.sum(-1) if self.transform.pairs else found

    def magnitude(self) -> Tensor:
        """Return the absolute score of each coefficient; of a complex one, that of the pair.

        ``sqrt(a_re**2 + a_im**2)``, in which the signs are lost.

        Returns
        -------
        Tensor, shape [batch, *coefficients] without the pairs
            In the units of the attributions.

        Raises
        ------
        ValueError
            If the scores are those of whole groups, or not of coefficients.
        """
        found = self._by_coefficient("magnitude")
        return torch.linalg.vector_norm(found, dim=-1) if self.transform.pairs else found.abs()

    def group_scores(self) -> Tensor:
        """Return one signed score for each group.

        The score of the group where the method removed it as a whole, else the sum over its
        members.

        Returns
        -------
        Tensor, shape [batch, n_groups], or [batch, n_outputs, n_groups]
            In the units of the attributions, groups in ascending order of their numbers.

        Raises
        ------
        ValueError
            If there are no groups, or the scores are not of coefficients.
        """
        if self.groups is None:
            raise ValueError("groups must be given to trim for scores of groups, got None")
        self._check_shape()
        found = self.explanation
        return (found if self.whole_groups else found.grouped(self.groups)).group_scores()

    def _by_coefficient(self, name: str) -> Tensor:
        if self.whole_groups:
            raise ValueError(
                f"groups must be None for {name} scores of coefficients, got groups that "
                f"{self.explanation.method} removed as wholes; see group_scores()"
            )
        self._check_shape()
        return self.attributions

    def _check_shape(self) -> None:
        features = list(self.coefficients.shape[1:])
        shape = list(self.attributions.shape)
        if shape[len(shape) - len(features) :] != features:
            raise ValueError(
                f"attributions must be those of coefficients, of shape [batch, ..., "
                f"{', '.join(map(str, features))}], got {shape} by {self.explanation.method}"
            )

    def __repr__(self) -> str:
        """Say in one line what this is."""
        return f"{type(self).__name__}({type(self.transform).__name__}, {self.explanation!r})"

    def __str__(self) -> str:
        """Say in a few lines what was done and what came out."""
        return f"coefficients of {type(self.transform).__name__}\n{self.explanation}"
