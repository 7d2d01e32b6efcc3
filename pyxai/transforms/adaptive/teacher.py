"""What a model makes of coefficients, as a function of the filter that they are made with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pyxai.explain import explain
from pyxai.ops import dwt, idwt, idwt_transpose
from pyxai.runner import Runner
from pyxai.runner.differentiable import differentiable
from pyxai.transforms.adaptive.piecewise import is_piecewise_linear

__all__ = ["ATTRIBUTIONS", "GRADIENTS", "Coefficients", "Teacher", "Waves"]

ATTRIBUTIONS = ("saliency", "input_x_gradient", "integrated_gradients")
GRADIENTS = ("auto", "closed_form", "second_order")
_IG_STEPS = 10

# (which rows, inputs, coefficients, bank) -> attributions
Coefficients = Callable[[slice, Tensor, Tensor, Tensor], Tensor]


class Waves:
    """Both directions of a transform of given levels and mode, as functions of the bank."""

    def __init__(self, sizes: tuple[int, ...], level: int, mode: str) -> None:
        self.sizes, self.level, self.mode = sizes, level, mode

    def analyse(self, inputs: Tensor, bank: Tensor) -> Tensor:
        """Return coefficients [batch, ..., n_coefficients]."""
        return dwt(inputs, bank, level=self.level, mode=self.mode, n_dims=len(self.sizes))

    def synthesise(self, coefficients: Tensor, bank: Tensor) -> Tensor:
        """Return signals [batch, ..., *sizes]."""
        return idwt(coefficients, bank, sizes=self.sizes, level=self.level, mode=self.mode)

    def take(self, gradients: Tensor, bank: Tensor) -> Tensor:
        """Return gradients with respect to coefficients of gradients with respect to signals."""
        return idwt_transpose(
            gradients, bank, level=self.level, mode=self.mode, n_dims=len(self.sizes)
        )


class Teacher:
    """A model, asked about the coefficients of its inputs.

    The residual ``r = x - T^-1(T(x))`` goes with the coefficients and is held constant, so the
    model always sees x, and the gradient with respect to the coefficients is
    ``(T^-1)'`` transposed times ``u = df/dx``: a transform of u, which does not depend on the
    filter. That is the closed form. Its derivative with respect to the filter leaves out that the
    filter moves the point at which the model is differentiated along the constant residual, which
    has no effect between the kinks of a piecewise-linear model and has one where a second
    derivative is not 0.

    Parameters
    ----------
    model : callable
        The model.
    inputs : Tensor, shape [batch, *features]
        What it is asked about.
    target : int or Tensor, optional
        Which output.
    attribution : str
        One of `ATTRIBUTIONS`.
    gradients : str
        One of `GRADIENTS`.
    waves : Waves
        The transform.

    Raises
    ------
    ValueError
        If integrated gradients are asked for in closed form.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        inputs: Tensor,
        target: Any,
        attribution: str,
        gradients: str,
        waves: Waves,
    ) -> None:
        self.model, self.inputs, self.target = model, inputs, target
        self.attribution, self.waves = attribution, waves
        along_a_path = attribution == "integrated_gradients"
        if along_a_path and gradients == "closed_form":
            raise ValueError(
                "gradients must be 'second_order' for integrated gradients, whose path leaves the "
                "input, got 'closed_form'"
            )
        if gradients == "auto":
            exact = not along_a_path and is_piecewise_linear(model, inputs)
            gradients = "closed_form" if exact else "second_order"
        self.gradients = gradients
        self._slopes: Tensor | None = None
        if gradients == "closed_form":
            self._slopes = self.slopes()

    def slopes(self) -> Tensor:
        """Return the gradient of the output with respect to each input."""
        found = explain(self.model, self.inputs, method="saliency", target=self.target, abs=False)
        slopes = found.attributions
        assert isinstance(slopes, Tensor)  # as the inputs are
        return slopes.to(self.inputs.dtype)

    @contextmanager
    def rows(self, order: Tensor) -> Iterator[Coefficients]:
        """Give attributions as a function, for the rows of an epoch in their order.

        Parameters
        ----------
        order : Tensor, shape [batch]
            int64 permutation of the rows.

        Yields
        ------
        callable
            ``(rows, inputs, coefficients, bank) -> attributions``: a slice of the order, the inputs
            there, their coefficients, and the bank.
        """
        if self._slopes is not None:
            slopes = self._slopes[order]
            yield lambda rows, _, coefficients, bank: self._closed(slopes[rows], coefficients, bank)
            return
        target = self.target[order] if isinstance(self.target, Tensor) else self.target
        with differentiable(Runner(self.model, target=target), len(order)) as function:
            yield lambda rows, inputs, coefficients, bank: self._through(
                function, rows, inputs, coefficients, bank
            )

    def _closed(self, slopes: Tensor, coefficients: Tensor, bank: Tensor) -> Tensor:
        found = self.waves.take(slopes, bank)
        return found if self.attribution == "saliency" else coefficients * found

    def _through(
        self, function: Any, rows: slice, inputs: Tensor, coefficients: Tensor, bank: Tensor
    ) -> Tensor:
        """Differentiate the model at points made of coefficients, to be differentiated again."""
        with torch.enable_grad():
            residual = (inputs - self.waves.synthesise(coefficients, bank)).detach()
            points = coefficients[:, None]
            if self.attribution == "integrated_gradients":
                nodes = (torch.arange(_IG_STEPS).to(inputs) + 0.5) / _IG_STEPS
                points = nodes.view(1, -1, *(1,) * (coefficients.dim() - 1)) * points
            seen = self.waves.synthesise(points, bank) + residual[:, None]
            values = function((seen.flatten(0, 1),), rows, points.shape[1])
            (found,) = torch.autograd.grad(values.sum(), points, create_graph=True)
            found = found.mean(1)
            return found if self.attribution == "saliency" else coefficients * found
