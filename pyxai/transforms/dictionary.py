"""Transforms to the weights of components that are learned from data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_int, check_real, check_shape, describe
from pyxai.transforms.transform import Transform

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["DictionaryTransform"]


class DictionaryTransform(Transform):
    """Weights ``s`` of components: ``inverse(s) = s @ components + offset``.

    Parameters
    ----------
    n_components : int, optional
        How many components to fit; default: as scikit-learn has it.
    seed : int
        Of what scikit-learn draws.
    **options
        Further arguments of scikit-learn's estimator.
    """

    components: Tensor | None
    """float64 [n_components, features], once there are some."""
    offset: Tensor | None

    def __init__(self, n_components: int | None = None, *, seed: int = 0, **options: Any) -> None:
        super().__init__()
        if n_components is not None:
            check_int("n_components", n_components, minimum=1)
        self.n_components = n_components
        self.seed = check_int("seed", seed, minimum=0)
        self.options = options
        self.register_buffer("components", None)
        self.register_buffer("offset", None)

    @classmethod
    def from_components(cls, components: Tensor, offset: Tensor | None = None) -> Self:
        """Return a transform to the weights of given components.

        Parameters
        ----------
        components : Tensor, shape [n_components, *features]
            In input units; linearly independent.
        offset : Tensor, shape [*features], optional
            What is there without any component, in input units; default 0.

        Returns
        -------
        DictionaryTransform
            Of this class, fitted.

        Raises
        ------
        ValueError
            If the components depend on one another, a shape does not fit, or a value is NaN or
            infinite.
        TypeError
            If an argument is not a tensor of real numbers.
        """
        made = cls(len(_data("components", components)))
        made._set(components, offset)
        return made

    def fit(self, data: Any) -> Self:
        """Learn the components from examples.

        Parameters
        ----------
        data : Tensor or array, shape [rows, *features]
            In input units.

        Returns
        -------
        DictionaryTransform
            This object.

        Raises
        ------
        ImportError
            If scikit-learn is not installed.
        ValueError
            If there are no examples, or a value is NaN, infinite or not fit for the method.
        TypeError
            If ``data`` are not real numbers.
        """
        rows = _data("data", data)
        components, offset = self._fit(rows.flatten(1))
        sizes = rows.shape[1:]
        self._set(components.view(-1, *sizes), None if offset is None else offset.view(sizes))
        return self

    def _fit(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return components and offset of examples [rows, features]."""
        raise NotImplementedError

    def _set(self, components: Tensor, offset: Tensor | None) -> None:
        given = _data("components", components)
        sizes = given.shape[1:]
        flat = given.flatten(1)
        rank = int(torch.linalg.matrix_rank(flat))
        if rank < len(flat):
            raise ValueError(
                f"components must be linearly independent, got {len(flat)} of rank {rank}"
            )
        if offset is not None:
            check_shape("offset", _data("offset", offset), list(sizes))
            offset = _data("offset", offset).flatten()
        self.components, self.offset = flat, offset
        self.input_sizes, self.coefficient_sizes = tuple(sizes), (len(flat),)

    def fitted(self) -> Tensor:
        """Return the components, float64 [n_components, features].

        Raises
        ------
        ValueError
            If there are none yet.
        """
        if self.components is None:
            name = type(self).__name__
            raise ValueError(f"transform must be fitted, got a {name} before fit()")
        return self.components

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the weights of the components; see `Transform.forward`."""
        self.fitted()
        return super().forward(inputs)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Return the sum of the weighted components; see `Transform.inverse`."""
        self.fitted()
        return super().inverse(coefficients)

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Return the inputs [batch, ..., *features]."""
        found = coefficients @ self.fitted().to(coefficients)
        if self.offset is not None:
            found = found + self.offset.to(coefficients)
        return found.reshape(*found.shape[:-1], *self.input_sizes)

    def _centred(self, inputs: Tensor) -> Tensor:
        """Return inputs without the offset, [batch, ..., features]."""
        flat = inputs.flatten(inputs.dim() - len(self.input_sizes))
        return flat if self.offset is None else flat - self.offset.to(flat)


def _data(name: str, value: Any) -> Tensor:
    """Return numbers as a float64 tensor of examples with features."""
    if not isinstance(value, Tensor):
        try:
            value = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{name} must be numbers, got {describe(value)}") from error
    check_real(name, value)
    if value.numel() == 0 or value.dim() < 1 + (name != "offset"):
        raise ValueError(f"{name} must hold rows of features, got shape {list(value.shape)}")
    check_finite(name, value)
    numbers: Tensor = value.detach().to(torch.float64)
    return numbers
