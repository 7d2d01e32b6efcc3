"""Gradient SHAP at a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import flat_features, format_background
from pyxai._random import example_ids as name_examples
from pyxai.attribution.layers.cuts.cut import Cut, cut_at, one_or_tuple
from pyxai.attribution.layers.cuts.layer_runs import Values
from pyxai.attribution.sampled.gradient_shap import format_stdevs, rows_to_draw_from
from pyxai.attribution.sampled.sampled_gradients import SampledGradients
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register
from pyxai.runner import Runner
from pyxai.runner.mixing import per_output

__all__ = ["LayerGradientShap"]


@register(
    "layer_gradient_shap",
    summary="gradients at random points between values of a layer at inputs and at a background",
    cost="n_samples gradients + n_samples + 1 outputs",
    use="a cheap, noisy estimate against many baselines; its error falls with n_samples",
    of="layer",
    baselines="distribution",
    stochastic=True,
)
class LayerGradientShap(LayerAttribution):
    """Average gradients between a layer's values at drawn baselines and at the (noisy) inputs.

    ``a = mean over draws of (z(x + noise) - z(b)) * dF/dz at z(b) + t (z(x + noise) - z(b))``,
    with b, t and noise drawn as by `GradientShap`.

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module or str
        A module or its name.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.
    multiply_by_inputs : bool
        Whether to multiply by the difference of the values.

    Notes
    -----
    Draws depend on the seed, the example and the number of the draw only. With noise, or with
    further arguments that have a row for each example, each draw costs two outputs more.

    References
    ----------
    .. [1] G. Erion, J. D. Janizek, P. Sturmfels, S. Lundberg, S.-I. Lee, "Improving performance of
       deep learning models with axiomatic attribution priors and expected gradients", Nature
       Machine Intelligence 3, 2021, eq. 3, at a layer.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerGradientShap
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> background = torch.zeros(2, 3)
    >>> LayerGradientShap(net, "0").attribute(torch.ones(4, 3), background, target=1).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        super().__init__(forward_func, layer, device_ids)
        self._multiply_by_inputs = multiply_by_inputs

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than per unit of the layer."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Tell that a delta can be returned: True, one per draw."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any,
        n_samples: int = 5,
        stdevs: float | tuple[float, ...] = 0.0,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        *,
        internal_batch_size: int | None = None,
        seed: int = 0,
        example_ids: Any = None,
    ) -> Any:
        """Attribute the output to the values of the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain; floating point where there is noise.
        baselines : Tensor, tuple of Tensor, or callable, shape [n_baselines, *features]
            Rows to draw from, independent of the batch; a callable is given the inputs (or
            nothing) and returns them.
        n_samples : int
            Draws per example.
        stdevs : float or tuple of float
            Standard deviation of the noise, in input units; one for all or one per input tensor.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        return_convergence_delta : bool
            Whether to return the delta of each draw.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.
        seed : int
            Fixes all draws; from 0 to 2**64 - 1.
        example_ids : sequence of int or Tensor, shape [batch], optional
            Names of the examples, which key their draws; default: their content.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, ...]
            Like the layer's values, in output units; a tuple if the layer has several tensors.
        delta : Tensor, shape [batch * n_samples]
            If asked for: of each draw the sum of the products minus ``f(x + noise) - f(b)``, the
            draws of an example side by side.

        Raises
        ------
        ValueError
            If an argument does not fit, or the model does not run the layer exactly once.
        TypeError
            If the layer gives no floating point tensors, or inputs with noise are none.
        """
        cut = cut_at(
            self.forward_func,
            self.layers,
            attribute_to_layer_input,
            inputs,
            additional_forward_args,
            internal_batch_size,
        )
        rows = rows_to_draw_from(baselines, inputs)
        sampled = SampledGradients(
            cut.inputs,
            format_background(rows, cut.inputs, name="baselines"),
            n_samples,
            format_stdevs(stdevs, len(cut.inputs)),
            seed,
            name_examples(example_ids, cut.inputs),
        )
        if any(sampled.stdevs) and not all(each.is_floating_point() for each in cut.inputs):
            raise TypeError(
                "inputs must be floating point for noise to be added, got whole numbers"
            )
        draws = _Draws(cut, sampled)
        rest = Runner(
            cut.rest,
            target=target,
            additional_forward_args=cut.given,
            max_rows=internal_batch_size,
        )
        whole = Runner(
            self.forward_func,
            target=target,
            additional_forward_args=additional_forward_args,
            max_rows=internal_batch_size,
        )
        wide = [torch.promote_types(value.dtype, torch.float32) for value in cut.values]
        totals = [v.new_zeros(v.shape, dtype=d) for v, d in zip(cut.values, wide, strict=True)]
        deltas: list[Tensor] = []
        for draw in range(n_samples):
            ends, starts, nodes = draws.values(draw)
            products: list[Tensor] = []
            for total, gradient, end, start in zip(
                totals, _gradients(rest, ends, starts, nodes), ends, starts, strict=True
            ):
                step = end.to(total.dtype) - start.to(total.dtype)
                products.append(flat_features(step * gradient).sum(1))
                total += step * gradient if self._multiply_by_inputs else gradient
            if return_convergence_delta:
                x, b, _ = sampled.pair(draw)
                change = whole.outputs(x) - whole.outputs(b)
                deltas.append(per_output(torch.stack(products).sum(0), change) - change)
        result = one_or_tuple([total / n_samples for total in totals])
        return (result, torch.stack(deltas, 1).flatten()) if return_convergence_delta else result


class _Draws:
    """Values of a layer at both ends of the paths that are drawn."""

    def __init__(self, cut: Cut, sampled: SampledGradients) -> None:
        self.cut, self.sampled = cut, sampled
        # Those of the background once for all, where they depend on nothing else.
        self.alone = not cut.arguments_follow
        self.table = cut.at(sampled.background) if self.alone else ()

    def values(self, draw: int) -> tuple[Values, Values, Tensor]:
        """Return ends and starts, [batch, ...] each, and t, [batch]."""
        x, b, nodes = self.sampled.pair(draw)
        ends = self.cut.at(x) if any(self.sampled.stdevs) else self.cut.values
        if not self.alone:
            return ends, self.cut.at(b), nodes
        chosen = self.sampled.chosen[:, draw]
        return ends, tuple(each[chosen] for each in self.table), nodes


def _gradients(runner: Runner, ends: Values, starts: Values, nodes: Tensor) -> list[Tensor]:
    """Return gradients at ``starts + nodes * (ends - starts)``, [batch, ...] each."""
    parts: list[tuple[Tensor, ...]] = []

    def build(examples: slice, _: slice) -> tuple[Tensor, ...]:
        points = []
        for end, start in zip(ends, starts, strict=True):
            share = nodes[examples].to(end.device, torch.promote_types(end.dtype, torch.float32))
            step = share.view(-1, *[1] * (end.dim() - 1)) * (end[examples] - start[examples])
            points.append((start[examples] + step).to(end.dtype))
        return tuple(points)

    def consume(_: slice, __: slice, grads: tuple[Tensor, ...]) -> None:
        parts.append(grads)

    runner.gradients(build, len(nodes), 1, consume, like=ends)
    return [torch.cat(each) for each in zip(*parts, strict=True)]
