"""Any simple model of the output, fitted to samples that functions of the user's own make."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._errors import warn
from pyxai._inputs import format_inputs
from pyxai.attribution.coalitions.lime_parts import (
    check_functions,
    check_model_of_samples,
    fitted,
    samples_of,
)
from pyxai.methods.base import PerturbationAttribution, TensorOrTuple
from pyxai.runner import Runner
from pyxai.runner.memory import check_fits

__all__ = ["LimeBase"]


class LimeBase(PerturbationAttribution):
    """LIME with all of its parts given: what it samples, how samples weigh, what is fitted.

    `Lime` has parts of its own for features that are there or not, and runs without a loop over
    samples. This is for other samples: of a neighbourhood of the input, of sentences.

    Parameters
    ----------
    forward_func : callable
        The model. With more than one example it must return one scalar for all of them.
    interpretable_model : object
        ``fit(dataloader)`` is given one batch (interpretable samples, outputs, weights), float32,
        and ``representation()`` returns what ``attribute`` does; captum's models fit.
    similarity_func : callable
        ``similarity_func(inputs, perturbed_inputs, interpretable_sample, **options)`` returns the
        weight of a sample.
    perturb_func : callable
        ``perturb_func(inputs, **options)`` returns one sample, or is a generator of samples.
    perturb_interpretable_space : bool
        Whether samples are interpretable, [1, n_features]; otherwise they have the form of the
        inputs.
    from_interp_rep_transform : callable or None
        ``from_interp_rep_transform(sample, inputs, **options)`` returns perturbed inputs; needed
        for samples that are interpretable.
    to_interp_rep_transform : callable or None
        ``to_interp_rep_transform(sample, inputs, **options)`` returns an interpretable sample;
        needed for the others.

    Raises
    ------
    TypeError
        If a part is not of its kind, or the one that is needed is missing.

    Notes
    -----
    Functions that draw random numbers draw them from where they like; the model's passes do not
    depend on it.

    References
    ----------
    .. [1] M. T. Ribeiro, S. Singh, C. Guestrin, "Why Should I Trust You?: Explaining the
       Predictions of Any Classifier", KDD 2016, eq. 1.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LimeBase
    >>> class Line:
    ...     def fit(self, loader):
    ...         samples, outputs, weights = next(iter(loader))
    ...         root = weights.sqrt()[:, None]
    ...         found = torch.linalg.lstsq(root * samples, root * outputs[:, None])
    ...         self.slopes = found.solution[:, 0]
    ...
    ...     def representation(self):
    ...         return self.slopes
    >>> generator = torch.Generator().manual_seed(0)
    >>> explainer = LimeBase(
    ...     lambda x: x @ torch.tensor([1.0, -2.0]),
    ...     Line(),
    ...     similarity_func=lambda x, near, sample: (-(x - near).square().sum()).exp(),
    ...     perturb_func=lambda x: x + torch.randn(x.shape, generator=generator),
    ...     perturb_interpretable_space=False,
    ...     from_interp_rep_transform=None,
    ...     to_interp_rep_transform=lambda near, x: near,
    ... )
    >>> explainer.attribute(torch.ones(1, 2)).round(decimals=3)
    tensor([ 1., -2.])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        interpretable_model: Any,
        similarity_func: Callable[..., Any],
        perturb_func: Callable[..., Any],
        perturb_interpretable_space: bool,
        from_interp_rep_transform: Callable[..., Any] | None,
        to_interp_rep_transform: Callable[..., Any] | None,
    ) -> None:
        super().__init__(forward_func)
        check_model_of_samples(interpretable_model)
        functions = {
            "similarity_func": similarity_func,
            "perturb_func": perturb_func,
            "from_interp_rep_transform": from_interp_rep_transform,
            "to_interp_rep_transform": to_interp_rep_transform,
        }
        check_functions(**functions)
        way = "from" if perturb_interpretable_space else "to"
        for name in ("similarity_func", "perturb_func", f"{way}_interp_rep_transform"):
            if functions[name] is None:
                given = f"perturb_interpretable_space={perturb_interpretable_space}"
                raise TypeError(f"{name} must be given with {given}, got None")
        self.interpretable_model = interpretable_model
        self.similarity_func = similarity_func
        self.perturb_func = perturb_func
        self.perturb_interpretable_space = perturb_interpretable_space
        self.from_interp_rep_transform = from_interp_rep_transform
        self.to_interp_rep_transform = to_interp_rep_transform

    @property
    def multiplies_by_inputs(self) -> bool:
        """False, as in captum: what is fitted says what it means."""
        return False

    def attribute(
        self,
        inputs: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
        n_samples: int = 50,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Fit the interpretable model and return what it says of itself.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain; one example, or several for a model with one scalar for all.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        n_samples : int
            Samples, each of them one evaluation of the model.
        perturbations_per_eval : int
            Above 1: upper bound of the samples in one pass. 1: chosen by memory.
        show_progress : bool
            Whether to show a progress bar.
        **kwargs
            Options that all functions are given.

        Returns
        -------
        Any
            What ``representation()`` of the fitted model returns.

        Raises
        ------
        ValueError
            If a sample has another shape than it must, there is none, or the model has an output
            for each of several examples.
        TypeError
            If a function returns something else than tensors.

        Warns
        -----
        PyxaiWarning
            If the generator of ``perturb_func`` ends before there are ``n_samples``.
        """
        check_int("n_samples", n_samples, minimum=1)
        check_int("perturbations_per_eval", perturbations_per_eval, minimum=1)
        tensors, _ = format_inputs(inputs)
        size = sum(value.numel() * value.element_size() for value in tensors)
        check_fits("n_samples", n_samples, float(n_samples * size))
        with torch.no_grad():
            rows, features, weights = self._samples(inputs, tensors, n_samples, kwargs)

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            parts = zip(*rows[repeats], strict=True)
            return tuple(
                torch.stack([p[examples] for p in part], 1).flatten(0, 1) for part in parts
            )

        batch = len(tensors[0])
        runner = Runner(
            self.forward_func,
            target=target,
            additional_forward_args=additional_forward_args,
            max_rows=None if perturbations_per_eval == 1 else perturbations_per_eval * batch,
            progress=show_progress,
        )
        outputs = runner.values(build, batch, len(rows))
        if len(outputs) > 1:
            raise ValueError(
                f"model must return one scalar for {batch} examples to be explained together, got "
                "an output for each; explain one at a time"
            )
        return fitted(self.interpretable_model, features, outputs[0], weights)

    def _samples(
        self, inputs: Any, tensors: tuple[Tensor, ...], n_samples: int, options: dict[str, Any]
    ) -> tuple[list[tuple[Tensor, ...]], Tensor, Tensor]:
        """Return perturbed inputs, interpretable samples [n, n_features] and weights [n]."""
        rows: list[tuple[Tensor, ...]] = []
        features: list[Tensor] = []
        weights: list[float] = []
        for sample in islice(samples_of(self.perturb_func, inputs, options), n_samples):
            interpretable, perturbed = sample, sample
            if self.from_interp_rep_transform is not None and self.perturb_interpretable_space:
                perturbed = self.from_interp_rep_transform(sample, inputs, **options)
            elif self.to_interp_rep_transform is not None:
                interpretable = self.to_interp_rep_transform(sample, inputs, **options)
            rows.append(_checked_rows(perturbed, tensors))
            features.append(_checked_features(interpretable, features))
            weights.append(float(self.similarity_func(inputs, perturbed, interpretable, **options)))
        if not rows:
            raise ValueError("perturb_func must make a sample, got a generator without any")
        if len(rows) < n_samples:
            warn(f"perturb_func ended after {len(rows)} of {n_samples} samples; these are fitted")
        device = tensors[0].device
        return rows, torch.cat(features).to(device), torch.tensor(weights, device=device)


def _checked_rows(perturbed: Any, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return perturbed inputs as a tuple of tensors of the inputs' shapes."""
    given = perturbed if isinstance(perturbed, (tuple, list)) else (perturbed,)
    wanted = [list(value.shape) for value in tensors]
    if not all(isinstance(value, Tensor) for value in given):
        raise TypeError(f"perturbed inputs must be tensors, got {describe(perturbed)}")
    found = [list(value.shape) for value in given]
    if found != wanted:
        raise ValueError(f"perturbed inputs must have the shapes of inputs, {wanted}, got {found}")
    return tuple(value.detach().to(like.device) for value, like in zip(given, tensors, strict=True))


def _checked_features(sample: Any, before: list[Tensor]) -> Tensor:
    """Return an interpretable sample, which must have the shape of those before."""
    if not isinstance(sample, Tensor):
        raise TypeError(f"interpretable samples must be tensors, got {describe(sample)}")
    like = before[0].shape if before else sample.shape
    if sample.dim() != 2 or sample.shape[0] != 1 or sample.shape != like:
        wanted = f"[1, {before[0].shape[1] if before else 'n_features'}]"
        raise ValueError(
            f"interpretable samples must have shape {wanted}, got {list(sample.shape)}"
        )
    return sample
