"""The contract of an attribution method; captum's, so that its users find what they know."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_model, check_shape, check_tensor, describe
from pyxai._errors import warn
from pyxai._inputs import flat_features, format_baselines, format_inputs
from pyxai._signatures import option_names
from pyxai.methods.flags import checked_flags
from pyxai.runner import Runner, one_scope, takes_arrays
from pyxai.runner.mixing import per_output

__all__ = [
    "Attribution",
    "GradientAttribution",
    "PerturbationAttribution",
    "convergence_delta",
    "endpoint_outputs",
    "warn_if_infinite",
]

TensorOrTuple = Tensor | tuple[Tensor, ...]


class Attribution:
    """A way to tell how much each input feature adds to an output.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors: called with the inputs and then the additional
        arguments, it returns one row per example.

    Raises
    ------
    TypeError
        If ``forward_func`` cannot be called.
    """

    attribute: Callable[..., Any]
    sums_groups: bool = False
    """Whether `pyxai.explain` takes a ``feature_mask`` for it, and sums over groups in the end.

    So it does for methods that ask for gradients, unless ``attribute`` has groups of its own.
    """
    _explains_inputs = True  # rather than the values of a layer

    def __init_subclass__(cls, **options: Any) -> None:
        """Let a method check its flags first, and all that ``attribute`` runs share a scope."""
        super().__init_subclass__(**options)
        for name in ("__init__", "attribute"):
            if name in vars(cls):
                setattr(cls, name, checked_flags(vars(cls)[name]))
        if "attribute" in vars(cls):
            if not {"feature_mask", "layer_mask"}.isdisjoint(signature(cls.attribute).parameters):
                cls.sums_groups = False
            cls.attribute = takes_arrays(one_scope(_answering_nothing(cls.attribute)))

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        if not callable(forward_func):
            # captum has two names for this argument.
            name = "model" if "model" in signature(type(self)).parameters else "forward_func"
            check_model(name, forward_func)
        self.forward_func = forward_func

    def option_names(self) -> tuple[str, ...]:
        """Return the names of the arguments of ``attribute`` besides the inputs."""
        return option_names(self.attribute)

    def attribute_future(self, *args: Any, **kwargs: Any) -> torch.futures.Future[Any]:
        """Refuse: this method has no form for models that return futures."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than output units per input unit."""
        return False

    @property
    def explains_every_output(self) -> bool:
        """Whether ``target=None`` explains all outputs, as [batch, n_outputs, *features]."""
        return False

    def takes_targets(self, options: Mapping[str, Any]) -> bool:
        """Tell whether ``attribute`` takes several targets together, as `pyxai.runner.Targets`.

        Attributions then are [batch, n_targets, *features], as those of every output are, or
        [batch * n_targets, *features], and each equal to those of its target alone: so the
        questions to the model must not depend on answers.
        """
        return False

    def has_convergence_delta(self) -> bool:
        """Tell whether the attributions sum to the difference of two outputs."""
        return False

    @property
    def delta_is_remainder(self) -> bool:
        """Whether deltas are the output minus the attributions, as captum's of relevance are."""
        return False

    def gives_delta(self, options: Mapping[str, Any]) -> bool:
        """Tell whether there is a delta for what ``attribute`` returns with these options."""
        return self.has_convergence_delta()

    def estimates_error(self, options: Mapping[str, Any]) -> bool:
        """Tell whether ``attribute`` samples with these options and can say its standard error."""
        return "return_error" in self.option_names()

    @takes_arrays
    @one_scope
    def compute_convergence_delta(
        self,
        attributions: TensorOrTuple,
        start_point: Any,
        end_point: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:
        """Say how far the attributions are from summing to the difference of the outputs.

        ``delta = sum(attributions) - (f(end_point) - f(start_point))``

        Parameters
        ----------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In output units.
        start_point : float, Tensor, tuple of those or None
            Baselines; ``None`` is 0.
        end_point : Tensor or tuple of Tensor, shape [batch, *features]
            The inputs.
        target : int, tuple, list or Tensor, optional
            Which output, in any form that ``attribute`` takes.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.

        Returns
        -------
        Tensor, shape [batch]
            In output units.

        Raises
        ------
        ValueError
            If shapes do not match.
        TypeError
            If an argument is not a tensor of a floating dtype.
        """
        inputs, _ = format_inputs(end_point)
        baselines = format_baselines(start_point, inputs)
        parts = attributions if isinstance(attributions, tuple) else (attributions,)
        if len(parts) != len(inputs):
            raise ValueError(
                f"attributions must have {len(inputs)} tensor(s), as end_point does, "
                f"got {len(parts)}"
            )
        for part, tensor in zip(parts, inputs, strict=True):
            check_shape("attributions", check_tensor("attributions", part), list(tensor.shape))
        runner = Runner(
            self.forward_func, target=target, additional_forward_args=additional_forward_args
        )
        return convergence_delta(runner, parts, inputs, baselines)

    @classmethod
    def get_name(cls) -> str:
        """Return the name of the class with spaces between its words."""
        first, rest = cls.__name__[:1], cls.__name__[1:]
        return first + "".join(char if char.islower() else f" {char}" for char in rest)


def _answering_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method answer for inputs without any feature, to which nothing is attributed."""

    @functools.wraps(function)
    def answer(self: Attribution, inputs: Any, *given: Any, **named: Any) -> Any:
        tensors = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
        if not (self._explains_inputs and tensors and all(map(_is_featureless, tensors))):
            return function(self, inputs, *given, **named)
        options = signature(function).bind(self, inputs, *given, **named).arguments
        options.update(options.pop("kwargs", {}))
        parts = tuple(tensor.new_zeros(tensor.shape, dtype=_wide(tensor)) for tensor in tensors)
        found: list[Any] = [parts if len(tensors) > 1 or tensors is inputs else parts[0]]
        if options.get("return_convergence_delta"):
            found.append(parts[0].new_zeros(len(tensors[0])))
        if options.get("return_error"):
            found.append(found[0])
        return found[0] if len(found) == 1 else tuple(found)

    return answer


def _is_featureless(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.numel() and value.dim() > 1 and len(value) > 0


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def endpoint_outputs(
    runner: Runner, inputs: tuple[Tensor, ...], baselines: tuple[Tensor | float, ...]
) -> tuple[Tensor, Tensor]:
    """Return the explained outputs at the baselines and at the inputs, each ``[batch]``."""
    end = runner.known_outputs(inputs)
    end = runner.outputs(inputs) if end is None else end
    return runner.outputs(tuple(map(baseline_rows, baselines, inputs))), end


def baseline_rows(baseline: Tensor | float, tensor: Tensor) -> Tensor:
    """Return a baseline as a tensor of the shape and dtype of the inputs, without copying it."""
    if not isinstance(baseline, Tensor):
        baseline = torch.tensor(baseline, dtype=tensor.dtype, device=tensor.device)
    return baseline.expand_as(tensor)


def convergence_delta(
    runner: Runner,
    attributions: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    baselines: tuple[Tensor | float, ...],
) -> Tensor:
    """Return ``sum(attributions) - (f(inputs) - f(baselines))`` of each example, ``[batch]``."""
    start, end = endpoint_outputs(runner, inputs, baselines)
    total = torch.stack([flat_features(part).double().sum(1) for part in attributions]).sum(0)
    return (per_output(total, end) - (end.double() - start.double())).to(attributions[0].dtype)


def warn_if_infinite(errors: Tensor | Iterable[Tensor], cause: str, remedy: str) -> None:
    """Warn if there are standard errors that say nothing, why, and what to do about it."""
    parts = (errors,) if isinstance(errors, Tensor) else errors
    if any(bool(part.isinf().any()) for part in parts):
        warn(f"{cause} leaves standard errors infinite: {remedy}")


class GradientAttribution(Attribution):
    """A method that asks the model for gradients with respect to its inputs."""

    sums_groups = True


class PerturbationAttribution(Attribution):
    """A method that asks the model for outputs at changed inputs only."""

    def attribute_future(self, *args: Any, **kwargs: Any) -> torch.futures.Future[Any]:
        """Return a future of what ``attribute`` returns, for a model that returns futures.

        Takes the arguments of ``attribute``. The calls of the model are waited for one by one, so
        the future that comes back is done.

        Raises
        ------
        TypeError
            If the model returns something else.
        """
        model, waiting = self.forward_func, copy.copy(self)

        def waited(*rows: Any) -> Any:
            outputs = model(*rows)
            if not isinstance(outputs, torch.futures.Future):
                raise TypeError(
                    "forward_func must return a future for attribute_future, "
                    f"got {describe(outputs)}"
                )
            return outputs.wait()

        waiting.forward_func = waited
        future: torch.futures.Future[Any] = torch.futures.Future()
        future.set_result(waiting.attribute(*args, **kwargs))
        return future

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: differences of outputs are in output units."""
        return True
