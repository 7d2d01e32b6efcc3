"""Adaptive wavelet distillation: a wavelet that says briefly what a model makes of its inputs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_int, check_model, check_number, describe
from pyxai._lazy import above
from pyxai.ops import WAVELET_MODES, filter_bank, wavelet_bands
from pyxai.runner import ProgressOption
from pyxai.runner.progress import Progress, check_progress
from pyxai.transforms.adaptive.distilled import DistilledLinearModel, fit_distilled, labels_of
from pyxai.transforms.adaptive.functions import WaveletFunctions, wavelet_functions
from pyxai.transforms.adaptive.history import History, not_finite
from pyxai.transforms.adaptive.lattice import angles_of_filter, filter_of_angles
from pyxai.transforms.adaptive.losses import (
    CONSTRAINTS,
    coefficient_l1,
    reconstruction_loss,
    wavelet_constraints,
)
from pyxai.transforms.adaptive.teacher import ATTRIBUTIONS, GRADIENTS, Teacher, Waves
from pyxai.transforms.wavelet import WaveletTransform, scaling_filter

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AWD", "AdaptiveWavelet"]


class AdaptiveWavelet:
    """A wavelet learnt so that few coefficients tell a signal, and few of them a model's output.

    The low-pass filter h of an orthogonal bank is trained by Adam on ``reconstruction + constraints
    + sparsity * L1(coefficients) + interpretation * L1(attributions)`` (AWD), each a mean over
    examples; see `wavelet_constraints`, `reconstruction_loss` and `coefficient_l1`. The
    attributions are those of the model to the coefficients, with the residual of the transform
    added to what the model sees (TRIM).

    Parameters
    ----------
    wavelet : str or sequence of float
        The filter to begin with, as for `WaveletTransform`; an even number of taps.
    level : int
        How often the approximation is divided.
    mode : str
        What stands beyond the ends, as for `WaveletTransform`.
    n_dims : int
        1 for signals ``[batch, ..., length]``, 2 for images ``[batch, ..., height, width]``.
    sparsity : float
        Weight of the absolute coefficients, lambda of the paper.
    interpretation : float
        Weight of the absolute attributions, gamma of the paper; needs a model.
    reconstruction : float
        Weight of the squared error of the reconstruction.
    constraints : float or mapping of str to float
        Weight of the five constraints, or one for each by its name; those left out weigh 1.
    attribution : "saliency", "input_x_gradient" or "integrated_gradients"
        What is said of a coefficient: the signed derivative, that times the coefficient, or the
        mean derivative from zero coefficients on, times the coefficient.
    gradients : "auto", "closed_form" or "second_order"
        How attributions depend on the filter. In closed form the model is differentiated once for
        each example and left alone from then on; that is exact for models that are linear between
        kinks, and "auto" takes it where the traced graph shows such a model. Otherwise the model is
        differentiated twice in every step. For other models the closed form has the same values,
        and a gradient without the second derivative of the model.
    parametrisation : "filter" or "lattice"
        Whether the taps are trained, or the angles of a lattice, which is orthogonal whatever they
        are.
    noise : float
        Standard deviation of the normal noise added to the filter at the beginning.
    epochs, batch_size : int
        Passes over the data, and examples in a step.
    learning_rate : float
        Of Adam.
    seed : int
        Of the noise and the order of examples.
    progress : bool or callable, optional
        True shows a bar; a function is called with the steps done and the steps in all.

    Attributes
    ----------
    start_, filter_ : Tensor, shape [n_taps]
        The filter before and after `fit`, float64.
    wavelet_ : WaveletTransform
        The transform of the learnt filter, for `trim` and what takes a transform.
    history_ : dict of str to list of float
        Mean of each term, unweighted, for each epoch; "loss" is the weighted sum.
    gradients_ : str or None
        Which form the attributions took; None without a model.

    Notes
    -----
    Cost: a step takes a transform there and back, one more for the closed form, and their
    gradients; the second-order form adds two differentiations of the model.

    References
    ----------
    .. [1] W. Ha, C. Singh, F. Lanusse, S. Upadhyayula, B. Yu, "Adaptive Wavelet Distillation from
       Neural Networks through Interpretations", NeurIPS 2021.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import AdaptiveWavelet
    >>> signals = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    >>> awd = AdaptiveWavelet("db3", level=2, epochs=2).fit(signals)
    >>> awd.transform(signals).shape[0], len(awd.history_["loss"])
    (64, 2)
    """

    start_: Tensor
    filter_: Tensor
    history_: dict[str, list[float]]
    gradients_: str | None

    def __init__(
        self,
        wavelet: str | Sequence[float] = "db5",
        *,
        level: int = 4,
        mode: str = "zero",
        n_dims: int = 1,
        sparsity: float = 1e-4,
        interpretation: float = 1.0,
        reconstruction: float = 1.0,
        constraints: float | Mapping[str, float] = 1.0,
        attribution: str = "saliency",
        gradients: str = "auto",
        parametrisation: str = "filter",
        noise: float = 0.0,
        epochs: int = 20,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        seed: int = 0,
        progress: ProgressOption = None,
    ) -> None:
        self.wavelet = wavelet
        self.level = level
        self.mode = mode
        self.n_dims = n_dims
        self.sparsity = sparsity
        self.interpretation = interpretation
        self.reconstruction = reconstruction
        self.constraints = constraints
        self.attribution = attribution
        self.gradients = gradients
        self.parametrisation = parametrisation
        self.noise = noise
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed
        self.progress = progress
        self._check()

    def _check(self) -> None:
        scaling_filter(self.wavelet)
        for name in ("level", "epochs", "batch_size"):
            check_int(name, getattr(self, name), minimum=1)
        if check_int("n_dims", self.n_dims, minimum=1) > 2:
            raise ValueError(f"n_dims must be 1 or 2, got {self.n_dims}")
        check_int("seed", self.seed, minimum=0)
        check_choice("mode", self.mode, WAVELET_MODES)
        check_choice("attribution", self.attribution, ATTRIBUTIONS)
        check_choice("gradients", self.gradients, GRADIENTS)
        check_choice("parametrisation", self.parametrisation, ("filter", "lattice"))
        check_progress("progress", self.progress)
        for name in ("sparsity", "interpretation", "reconstruction", "noise", "learning_rate"):
            if check_number(name, getattr(self, name)) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name, weight in self._constraint_weights().items():
            check_choice("constraints", name, CONSTRAINTS)
            if check_number("constraints", weight) < 0:
                raise ValueError(f"constraints must be at least 0, got {weight}")

    def _constraint_weights(self) -> dict[str, float]:
        if isinstance(self.constraints, Mapping):
            return {**dict.fromkeys(CONSTRAINTS, 1.0), **self.constraints}
        return dict.fromkeys(CONSTRAINTS, self.constraints)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments that this object was made with; scikit-learn clones by them."""
        return {name: getattr(self, name) for name in _names()}

    def set_params(self, **params: Any) -> Self:
        """Change arguments by name, and return this object.

        Raises
        ------
        ValueError
            If a name is not known or a value does not fit.
        """
        for name, value in params.items():
            check_choice("params", name, _names())
            setattr(self, name, value)
        self._check()
        return self

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        model: Callable[..., Any] | None = None,
        target: int | Tensor | None = None,
    ) -> Self:
        """Learn the filter.

        Parameters
        ----------
        X : Tensor or array, shape [batch, ..., *sizes]
            Signals or images, float32 or float64, as the model takes them.
        y : any
            Not read; scikit-learn's pipelines give one.
        model : callable, optional
            Whose output is distilled; it is left as found. Without one, the filter is learnt from
            the signals alone.
        target : int or Tensor of shape [batch], optional
            Which of the model's outputs.

        Returns
        -------
        AdaptiveWavelet
            This object.

        Raises
        ------
        ValueError
            If there are no signals, they hold a NaN or are shorter than the filter at a level, or
            the attributions have no closed form.
        TypeError
            If an argument is of another kind.
        FloatingPointError
            If a term of the loss is not finite. The error names it and the step; ``filter_`` and
            ``history_`` then hold what was reached before.
        """
        values = self._data(X)
        teacher = self._teacher(values, model, target)
        self._fit(values, teacher, self._start(values))
        return self

    def fit_grid(
        self,
        X: Any,
        y: Any = None,
        *,
        sparsity: Sequence[float],
        interpretation: Sequence[float],
        model: Callable[..., Any],
        target: int | Tensor | None = None,
    ) -> list[AdaptiveWavelet]:
        """Learn a filter for every pair of weights, each from its neighbour's.

        For each ``sparsity`` the weights of ``interpretation`` are taken in ascending order; every
        run but the first begins with the filter of the run before.

        Parameters
        ----------
        X, y, model, target
            As for `fit`.
        sparsity, interpretation : sequence of float
            The weights.

        Returns
        -------
        list of AdaptiveWavelet
            Fitted copies, sparsity by sparsity; this object is not changed.
        """
        values = self._data(X)
        teacher = self._teacher(values, model, target)
        found = []
        for outer in sparsity:
            start = self._start(values)
            for inner in sorted(interpretation):
                made = type(self)(**self.get_params())
                made.set_params(sparsity=outer, interpretation=inner)
                made._fit(values, teacher, start)
                start = made.filter_.to(values)
                found.append(made)
        return found

    def _data(self, X: Any) -> Tensor:
        values = _numbers("X", X)
        if values.dim() < 1 + self.n_dims or values.numel() == 0:
            sizes = "length" if self.n_dims == 1 else "height, width"
            raise ValueError(f"X must have shape [batch, ..., {sizes}], got {list(values.shape)}")
        return values

    def _waves(self, values: Tensor) -> Waves:
        return Waves(tuple(values.shape[-self.n_dims :]), self.level, self.mode)

    def _teacher(self, values: Tensor, model: Any, target: Any) -> Teacher | None:
        # Tells of signals that are too short before the model runs.
        sizes = tuple(values.shape[-self.n_dims :])
        wavelet_bands(sizes, len(scaling_filter(self.wavelet)), self.level, self.mode, "sizes of X")
        if model is None:
            return None
        check_model("model", model)
        if isinstance(target, Tensor) and target.shape != values.shape[:1]:
            raise ValueError(f"target must have shape [{len(values)}], got {list(target.shape)}")
        return Teacher(model, values, target, self.attribution, self.gradients, self._waves(values))

    def _start(self, values: Tensor) -> Tensor:
        scaling = scaling_filter(self.wavelet)
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(scaling.shape, generator=generator, dtype=scaling.dtype)
        return (scaling + self.noise * noise).to(values)

    def _fit(self, values: Tensor, teacher: Teacher | None, start: Tensor) -> None:
        lattice = self.parametrisation == "lattice"
        trained = (angles_of_filter(start) if lattice else start).clone().requires_grad_()
        form = filter_of_angles if lattice else _as_it_is
        self.start_ = form(trained).detach().to("cpu", torch.float64, copy=True)
        self.gradients_ = None if teacher is None else teacher.gradients
        history = History()
        optimizer = torch.optim.Adam([trained], self.learning_rate)
        generator = torch.Generator().manual_seed(self.seed)
        steps = math.ceil(len(values) / self.batch_size)
        finite, weights = trained.detach().clone(), self._weights()
        try:
            with Progress(self.progress, self.epochs * steps) as progress:
                for epoch in range(self.epochs):
                    order = torch.randperm(len(values), generator=generator).to(values.device)
                    with _rows(teacher, order) as attributions:
                        for step, rows in enumerate(self._batches(len(values))):
                            with torch.enable_grad():
                                inputs = values[order[rows]]
                                terms = self._terms(form(trained), inputs, rows, attributions)
                                loss = torch.stack(
                                    [weights[name] * term for name, term in terms.items()]
                                ).sum()
                            if not bool(loss.detach().isfinite()):
                                raise not_finite(terms, epoch, step)
                            finite.copy_(trained.detach())
                            # Set by hand: a module of the caller's must not get a gradient.
                            (trained.grad,) = torch.autograd.grad(loss, trained)
                            optimizer.step()
                            history.add(epoch, len(inputs), loss, terms)
                            progress.advance(1)
            if bool(trained.detach().isfinite().all()):
                finite.copy_(trained.detach())
        finally:
            self.filter_ = form(finite).to("cpu", torch.float64, copy=True)
            self._sizes = tuple(values.shape[-self.n_dims :])
            self.history_ = history.means()

    def _batches(self, n: int) -> Iterator[slice]:
        for begin in range(0, n, self.batch_size):
            yield slice(begin, min(begin + self.batch_size, n))

    def _terms(
        self, scaling: Tensor, inputs: Tensor, rows: slice, attributions: Any
    ) -> dict[str, Tensor]:
        waves, bank = self._waves(inputs), filter_bank(scaling)
        coefficients = waves.analyse(inputs, bank)
        terms = {
            "reconstruction": reconstruction_loss(inputs, waves.synthesise(coefficients, bank)),
            **wavelet_constraints(scaling),
            "sparsity": coefficient_l1(coefficients, self.level),
        }
        if attributions is not None:
            scores = attributions(rows, inputs, coefficients, bank)
            terms["interpretation"] = coefficient_l1(scores, self.level)
        return terms

    def _weights(self) -> dict[str, float]:
        return {
            **self._constraint_weights(),
            "reconstruction": self.reconstruction,
            "sparsity": self.sparsity,
            "interpretation": self.interpretation,
        }

    def transform(self, X: Any) -> Tensor:
        """Return the coefficients of signals, [batch, ..., n_coefficients].

        Raises
        ------
        ValueError
            If there is no filter yet, or the sizes are not those of `fit`.
        """
        found: Tensor = self.wavelet_(_numbers("X", X))
        return found

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        *,
        model: Callable[..., Any] | None = None,
        target: int | Tensor | None = None,
    ) -> Tensor:
        """Learn the filter, and return the coefficients of the same signals.

        Parameters
        ----------
        X, y, model, target
            As for `fit`.

        Returns
        -------
        Tensor, shape [batch, ..., n_coefficients]
        """
        return self.fit(X, y, model=model, target=target).transform(X)

    def inverse_transform(self, coefficients: Any) -> Tensor:
        """Return the signals of coefficients, [batch, ..., *sizes]."""
        return self.wavelet_.inverse(_numbers("coefficients", coefficients))

    @property
    def wavelet_(self) -> WaveletTransform:
        """The transform of the learnt filter.

        Raises
        ------
        ValueError
            Before `fit`.
        """
        if not hasattr(self, "filter_"):
            raise ValueError("AdaptiveWavelet must be fitted, got one before fit()")
        return WaveletTransform(
            self._sizes, self.filter_.tolist(), level=self.level, mode=self.mode
        )

    def psi(self, level: int = 8) -> WaveletFunctions:
        """Return scaling function and wavelet of the learnt filter; see `wavelet_functions`."""
        assert self.wavelet_.n_taps  # says so before fit
        return wavelet_functions(self.filter_, level)

    def plot(self, **options: Any) -> Any:
        """Draw the learnt wavelet beside that of the beginning; see `pyxai.plot.wavelet`."""
        return above("plot").wavelet(self, **options)

    def compression(
        self,
        X: Any,
        *,
        model: Callable[..., Any],
        target: int | Tensor | None = None,
        threshold: float = 1e-3,
    ) -> float:
        """Return the share of coefficients that are large, and matter to a model.

        Parameters
        ----------
        X, model, target
            As for `fit`.
        threshold : float
            Coefficients count whose absolute value and whose absolute derivative of the output are
            both larger.

        Returns
        -------
        float
            Between 0 and 1; less is a shorter account.

        Raises
        ------
        ValueError
            If there is no filter yet, or an argument does not fit.
        """
        values = self._data(X)
        bank = self.wavelet_.bank.to(values)
        waves = self._waves(values)
        teacher = Teacher(model, values, target, "saliency", "closed_form", waves)
        scores = waves.take(teacher.slopes(), bank)
        large = waves.analyse(values, bank).abs() > threshold
        return float((large & (scores.abs() > threshold)).double().mean())

    def distil(self, X: Any, y: Any, *, n_largest: int = 6) -> DistilledLinearModel:
        """Fit a linear model of the largest coefficients of each scale.

        Parameters
        ----------
        X : Tensor or array, shape [batch, ..., *sizes]
            Signals of the sizes of `fit`.
        y : Tensor or array, shape [batch]
            What to predict: labels, or a model's outputs.
        n_largest : int
            How many coefficients of each scale; not more than a scale has.

        Returns
        -------
        DistilledLinearModel
            With ``predict`` and ``score``.

        Raises
        ------
        ValueError
            If there is no filter yet, or the numbers do not fit together.
        """
        values = self._data(X)
        wanted = labels_of(y, len(values))
        most = int(self.wavelet_.levels().bincount().min())
        if check_int("n_largest", n_largest, minimum=1) > most:
            raise ValueError(
                f"n_largest must be at most {most}, the coefficients of the smallest scale, "
                f"got {n_largest}"
            )
        return fit_distilled(self.wavelet_, values, wanted, n_largest)


AWD = AdaptiveWavelet


def _names() -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(AdaptiveWavelet).parameters)


def _as_it_is(trained: Tensor) -> Tensor:
    return trained


def _rows(teacher: Teacher | None, order: Tensor) -> Any:
    return nullcontext() if teacher is None else teacher.rows(order)


def _numbers(name: str, given: Any) -> Tensor:
    """Return a finite tensor in float64 if it is, and in float32 otherwise."""
    try:
        values = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be numbers, got {describe(given)}") from error
    if values.is_complex() or values.dtype == torch.bool:
        raise TypeError(f"{name} must be real numbers, got {values.dtype}")
    values = values.detach() if values.dtype == torch.float64 else values.detach().float()
    check_finite(name, values)
    return values
