"""Any method, averaged over noise added to the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int, check_number, describe
from pyxai._inputs import format_background, format_baselines, format_inputs, restore_form
from pyxai._random import example_ids as name_examples
from pyxai._signatures import option_names
from pyxai.explanation.rows import take_baselines, take_segments, take_target
from pyxai.methods.base import Attribution, TensorOrTuple
from pyxai.methods.store import get, register
from pyxai.ops import philox_normal, philox_uniform
from pyxai.ops.path_moments import path_moments
from pyxai.runner import Target, in_rounds
from pyxai.runner.arguments import take_copies

__all__ = ["NoiseTunnel"]

# The noisy copies of one round, unless the caller bounds the samples.
_ROUND_BYTES = 64 * 2**20
_BASELINE_STREAM = 2**30  # apart from the streams of the noise, one for each input tensor


def _of_method(
    model: Callable[..., Any],
    attribution_method: Any = "saliency",
) -> NoiseTunnel:
    """Wrap a method given by name, by class or ready made."""
    if isinstance(attribution_method, str):
        attribution_method = get(attribution_method).made_alone(model, "attribution_method")
    elif isinstance(attribution_method, type):
        attribution_method = attribution_method(model)
    return NoiseTunnel(attribution_method)


@register(
    "noise_tunnel",
    summary=("mean, square or variance of another method over noisy inputs (SmoothGrad, VarGrad)"),
    cost="nt_samples runs of the other method",
    use=(
        "gradients that jump from pixel to pixel; the noise is part of the question, and says "
        "nothing of inputs that are not numbers"
    ),
    stochastic=True,
    factory=_of_method,
)
class NoiseTunnel(Attribution):
    """SmoothGrad and its relatives: statistics of a method's result under noise.

    With ``a_s = method(x + e_s)`` and ``e_s`` normal with mean 0 and the given standard deviation:
    ``smoothgrad`` is ``mean a_s``, ``smoothgrad_sq`` is ``mean a_s**2``, ``vargrad`` is
    ``mean a_s**2 - (mean a_s)**2``.

    Parameters
    ----------
    attribution_method : Attribution
        The method to be averaged; it keeps its own model. One of captum's does too, of which each
        copy is explained as that method does.

    References
    ----------
    .. [1] D. Smilkov, N. Thorat, B. Kim, F. Viegas, M. Wattenberg, "SmoothGrad: removing noise by
       adding noise", 2017, section 3.
    .. [2] J. Adebayo et al., "Local Explanation Methods for Deep Neural Networks Lack Sensitivity
       to Parameter Values", ICLR 2018 workshop (VarGrad).

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NoiseTunnel, Saliency
    >>> model = lambda x: x @ torch.tensor([3.0, -2.0])
    >>> NoiseTunnel(Saliency(model)).attribute(torch.ones(1, 2), nt_samples=10)
    tensor([[3., 2.]])
    """

    sums_groups = True  # where those of the wrapped method are

    def __init__(self, attribution_method: Attribution) -> None:
        like = hasattr(attribution_method, "attribute") and hasattr(
            attribution_method, "forward_func"
        )
        if not isinstance(attribution_method, Attribution) and (
            not like or isinstance(attribution_method, type)
        ):
            raise TypeError(
                f"attribution_method must be an Attribution, got {describe(attribution_method)}"
            )
        super().__init__(attribution_method.forward_func)
        self.attribution_method = attribution_method
        self.sums_groups = getattr(attribution_method, "sums_groups", False)

    @property
    def multiplies_by_inputs(self) -> bool:
        """That of the wrapped method."""
        return self.attribution_method.multiplies_by_inputs

    def has_convergence_delta(self) -> bool:
        """Tell whether the wrapped method has one."""
        return self.attribution_method.has_convergence_delta()

    def option_names(self) -> tuple[str, ...]:
        """Return the names of all arguments of `attribute`, those of the wrapped method too."""
        own = super().option_names()
        return own + tuple(name for name in self._known_options() if name not in own)

    def _known_options(self) -> tuple[str, ...]:
        """Return the names of the options of the wrapped method, which may be one of captum's."""
        if isinstance(self.attribution_method, Attribution):
            return self.attribution_method.option_names()
        return option_names(self.attribution_method.attribute)

    def estimates_error(self, options: Mapping[str, Any]) -> bool:
        """Tell whether standard errors can be returned: those of one copy are not known."""
        return bool(options.get("nt_samples", 2) != 1)

    def attribute(
        self,
        inputs: TensorOrTuple,
        nt_type: str = "smoothgrad",
        nt_samples: int = 5,
        nt_samples_batch_size: int | None = None,
        stdevs: float | tuple[float, ...] = 1.0,
        draw_baseline_from_distrib: bool = False,
        *,
        seed: int = 0,
        example_ids: Any = None,
        return_error: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the statistic for each example.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        nt_type : str
            ``"smoothgrad"``, ``"smoothgrad_sq"`` or ``"vargrad"``.
        nt_samples : int
            Noisy copies of every example.
        nt_samples_batch_size : int, optional
            Upper bound of the copies of every example that are handled together; default: what
            fits into 64 MiB.
        stdevs : float or tuple of float
            Standard deviation of the noise, in input units, for all inputs or for each.
        draw_baseline_from_distrib : bool
            Whether the rows of ``baselines`` are a distribution from which every copy draws one
            row, the same one for all tensors of a tuple.
        seed : int
            What the noise depends on, beside the example.
        example_ids : sequence of int or Tensor, shape [batch], optional
            Names of the examples: the noise of a row depends on its name and the seed only. By
            default a row's content is its name, so its result is the same in any batch.
        return_error : bool
            Whether to return the standard error of the result as well.
        **kwargs
            Arguments of the wrapped method: ``target``, ``baselines``, ``feature_mask``,
            ``segments``, ... Those with one row for each example follow the copies.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs`` and the units of the wrapped method, or their square.
        delta : Tensor, shape [batch * nt_samples]
            Only with ``return_convergence_delta=True``: that of every copy, example by example.
        error : like ``attributions``
            Only with ``return_error``: the standard error of the statistic.

        Raises
        ------
        ValueError
            If a shape or a value does not fit.
        TypeError
            If an argument is not of the kind asked for, or the wrapped method does not take it.

        Notes
        -----
        Cost: ``nt_samples`` times the wrapped method. Noise is made in float32 at least and
        rounded to the dtype of the inputs. The global random state is not used.
        """
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        check_choice("nt_type", nt_type, ("smoothgrad", "smoothgrad_sq", "vargrad"))
        check_int("nt_samples", nt_samples, minimum=2 if return_error else 1)
        if nt_samples_batch_size is not None:
            check_int("nt_samples_batch_size", nt_samples_batch_size, minimum=1)
        self._check_options(kwargs)
        Target(kwargs.get("target")).check_examples(len(tensors[0]), sums=True)
        noise = _Noise(tensors, _stdevs(stdevs, tensors), seed, name_examples(example_ids, tensors))
        with_delta = bool(kwargs.get("return_convergence_delta")) and self.has_convergence_delta()
        moments, deltas = _Moments(nt_type, return_error), []
        batch = len(tensors[0])

        def work(start: int, size: int) -> Any:
            copies = noise.copies(start, size)
            if not isinstance(self.attribution_method, Attribution):
                copies = tuple(copy.requires_grad_() for copy in copies)  # captum warns if it must
            options = _expand(kwargs, noise, start, size, draw_baseline_from_distrib)
            return self.attribution_method.attribute(restore_form(copies, is_tuple), **options)

        at_most = nt_samples_batch_size or max(1, _ROUND_BYTES // sum(t.nbytes for t in tensors))
        for _, size, result in in_rounds(nt_samples, at_most, work):
            if with_delta:
                result, delta = result
                # One row if the model has one output for the whole batch.
                deltas.append(delta.view(batch if len(delta) % batch == 0 else 1, -1))
            parts = result if isinstance(result, tuple) else (result,)
            moments.add(tuple(part.detach() for part in parts), size)
        found: list[Any] = [restore_form(moments.statistic(), is_tuple)]
        if with_delta:
            found.append(torch.cat(deltas, 1).flatten())
        if return_error:
            found.append(restore_form(moments.error(), is_tuple))
        return tuple(found) if len(found) > 1 else found[0]

    def _check_options(self, options: dict[str, Any]) -> None:
        known = self._known_options()
        for name in options:
            if name not in known:
                raise TypeError(
                    f"options must be among {', '.join(known)}, those of "
                    f"{type(self.attribution_method).__name__}, got {name!r}"
                )


class _Noise(NamedTuple):
    """Where the noise of a call comes from."""

    inputs: tuple[Tensor, ...]
    stdevs: tuple[float, ...]
    seed: int
    names: Tensor

    def copies(self, start: int, size: int) -> tuple[Tensor, ...]:
        """Return ``size`` noisy copies of every example side by side, [batch * size, *features]."""
        result = []
        for stream, (tensor, stdev) in enumerate(zip(self.inputs, self.stdevs, strict=True)):
            dtype = torch.float64 if tensor.dtype == torch.float64 else torch.float32
            drawn = philox_normal(
                tensor.shape[1:],
                size,
                seed=self.seed,
                example_ids=self.names,
                start=start,
                stream=stream,
                dtype=dtype,
            )
            copies = drawn.mul_(stdev).add_(tensor.unsqueeze(1))
            result.append(copies.flatten(0, 1).to(tensor.dtype))
        return tuple(result)

    def choices(self, start: int, size: int, count: int) -> Tensor:
        """Draw one of ``count`` rows for every copy, int64 [batch * size]."""
        drawn = philox_uniform(
            (),
            size,
            seed=self.seed,
            example_ids=self.names,
            start=start,
            stream=_BASELINE_STREAM,
            dtype=torch.float64,
        )
        rows: Tensor = (drawn.flatten() * count).long()
        return rows


def _stdevs(stdevs: Any, inputs: tuple[Tensor, ...]) -> tuple[float, ...]:
    given = stdevs if isinstance(stdevs, (tuple, list)) else (stdevs,) * len(inputs)
    if len(given) != len(inputs):
        raise ValueError(
            f"stdevs must have {len(inputs)} entries, one per input tensor, got {len(given)}"
        )
    for each in given:
        if check_number("stdevs", each) < 0:
            raise ValueError(f"stdevs must be at least 0, got {each}")
    return tuple(float(each) for each in given)


def _expand(
    options: dict[str, Any], noise: _Noise, start: int, size: int, draw: bool
) -> dict[str, Any]:
    """Give every copy the arguments of its example."""
    batch, device = len(noise.inputs[0]), noise.inputs[0].device
    rows = torch.arange(batch, device=device).repeat_interleave(size)
    result = dict(options)
    if "target" in result:
        result["target"] = take_target(result["target"], rows, batch)
    if "additional_forward_args" in result:
        arguments = result["additional_forward_args"]
        result["additional_forward_args"] = take_copies(arguments, rows, batch)
    if result.get("feature_mask") is not None:
        masks = result["feature_mask"]
        given = masks if isinstance(masks, (tuple, list)) else (masks,)
        expanded = take_baselines(given, noise.inputs, rows)
        result["feature_mask"] = expanded
    if result.get("segments") is not None:
        result["segments"] = take_segments(result["segments"], rows, batch)
    if result.get("baselines") is None:
        return result
    if draw:
        background = format_background(result["baselines"], noise.inputs, name="baselines")
        chosen = noise.choices(start, size, len(background[0]))
        expanded = tuple(part[chosen] for part in background)
    else:
        starts = format_baselines(result["baselines"], noise.inputs)
        expanded = take_baselines(starts, noise.inputs, rows)
    result["baselines"] = expanded
    return result


class _Moments:
    """Sums of powers of ``y - y_0``, with y a result or its square and y_0 the first of them.

    Taking differences to the first keeps the variance exact where it is small beside the mean.
    """

    def __init__(self, nt_type: str, with_error: bool) -> None:
        self.squared = nt_type == "smoothgrad_sq"
        self.variance = nt_type == "vargrad"
        self.n_powers = (1 + self.variance) * (1 + with_error)
        self.count = 0
        self.first: tuple[Tensor, ...] = ()
        self.sums: tuple[Tensor, ...] = ()  # [n_powers, batch, *features] each

    def add(self, results: tuple[Tensor, ...], size: int) -> None:
        values = [result.view(len(result) // size, size, *result.shape[1:]) for result in results]
        values = [value.square() for value in values] if self.squared else values
        if not self.first:
            wide = [torch.promote_types(value.dtype, torch.float32) for value in values]
            pairs = zip(values, wide, strict=True)
            self.first = tuple(value[:, 0].to(dtype, copy=True) for value, dtype in pairs)
            self.sums = tuple(first.new_zeros(self.n_powers, *first.shape) for first in self.first)
        self.count += size
        weights = torch.ones(size, dtype=torch.float64, device=self.first[0].device)
        for value, first, sums in zip(values, self.first, self.sums, strict=True):
            path_moments(
                value, weights, origin=first, order=self.n_powers, example_major=True, out=sums
            )

    def statistic(self) -> tuple[Tensor, ...]:
        if self.variance:
            return tuple(self._central(sums, 2) for sums in self.sums)
        return tuple(
            first + sums[0] / self.count for first, sums in zip(self.first, self.sums, strict=True)
        )

    def error(self) -> tuple[Tensor, ...]:
        errors = []
        for sums in self.sums:
            square = self._central(sums, 2) / (self.count - 1)
            if self.variance:
                # The variance of a sample variance, to first order in 1 / count.
                second, fourth = self._central(sums, 2), self._central(sums, 4)
                square = (fourth - second.square()).clamp(min=0) / self.count
            errors.append(square.sqrt())
        return tuple(errors)

    def _central(self, sums: Tensor, order: int) -> Tensor:
        """Return a central moment, from those about y_0."""
        moments = sums / self.count
        mean = moments[0]
        if order == 2:
            return (moments[1] - mean.square()).clamp(min=0)
        return (
            moments[3]
            - 4 * moments[2] * mean
            + 6 * moments[1] * mean.square()
            - 3 * mean.square().square()
        )
