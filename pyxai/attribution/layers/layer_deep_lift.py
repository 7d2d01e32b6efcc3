"""DeepLIFT at a layer."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._inputs import flat_features, format_baselines
from pyxai.attribution.layers.cuts.cut import one_or_tuple
from pyxai.attribution.layers.cuts.grad_kwargs import check_grad_kwargs
from pyxai.attribution.layers.cuts.traced_cut import TracedCuts, beside
from pyxai.attribution.propagated.deep_lift import Custom, DeepLift
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register
from pyxai.runner.mixing import per_output

__all__ = ["LayerDeepLift"]


@register(
    "layer_deep_lift",
    summary="DeepLIFT of the values of a layer",
    cost="1 output + 1 output from the layer + 1 gradient from the layer, traced",
    use="saturated nets, in one pass and adding up; needs a module all of whose ops have rules",
    of="layer",
    complete=True,
    baselines="optional",
    needs="module",
)
class LayerDeepLift(LayerAttribution):
    """DeepLIFT from the output back to a layer: ``a_j = (z_j(x) - z_j(b)) M_j``.

    Parameters
    ----------
    model : nn.Module
        Returns one tensor, a row per example; it runs ``layer`` exactly once.
    layer : nn.Module or str
        One of its modules, or its name.
    multiply_by_inputs : bool
        Whether to multiply by the difference; else the multipliers are returned.
    rule, eps, strict
        As of `DeepLift`.

    Notes
    -----
    The attributions sum to ``f(x) - f(b)`` where the whole model passes through the layer; what
    passes it by has its share too, which the convergence delta shows. Costs a forward pass for
    inputs and one for baselines besides `DeepLift` of the rest.

    References
    ----------
    .. [1] A. Shrikumar, P. Greenside, A. Kundaje, "Learning Important Features Through Propagating
       Activation Differences", ICML 2017, eqs. 1 to 3.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerDeepLift
    >>> layers = [torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)]
    >>> net = torch.nn.Sequential(*layers).eval()
    >>> LayerDeepLift(net, "0").attribute(torch.ones(5, 3), target=1).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        model: nn.Module,
        layer: Any,
        multiply_by_inputs: bool = True,
        *,
        rule: str = "rescale",
        eps: float = 1e-10,
        strict: bool = True,
    ) -> None:
        super().__init__(model, layer)
        DeepLift(model, multiply_by_inputs, eps, rule=rule, strict=strict)  # refuses what is wrong
        self.model = model
        self._multiply_by_inputs = multiply_by_inputs
        self._options: dict[str, Any] = {"eps": eps, "rule": rule, "strict": strict}
        self._cuts = TracedCuts(model, self.layer)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than per unit of the layer."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Tell that the attributions sum to the difference of two outputs."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        custom_attribution_func: Custom | None = None,
        grad_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Attribute the difference from the baseline to the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            Inputs that the model is compared with; default 0.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model, the same for inputs and baselines. A tensor whose first
            size is that of the batch is taken to hold a row for each example; `pyxai.Shared` says
            that all rows share it.
        return_convergence_delta : bool
            Whether to return the delta as well.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        custom_attribution_func : callable, optional
            Takes tuples of multipliers, values and their baselines (the first one, two or all) of
            the layer, and returns the tuple of attributions.
        grad_kwargs : dict, optional
            captum's arguments for ``torch.autograd.grad``; those that change results are refused.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, ...]
            Like the layer's values, in output units; a tuple if the layer has several tensors.
        delta : Tensor, shape [batch]
            Only with ``return_convergence_delta``: ``sum(a) - (f(x) - f(b))``, in output units.

        Raises
        ------
        UnsupportedOperationError
            If an op of the model has no rule and ``strict``, or the model cannot be traced.
        ValueError, TypeError
            If an argument does not fit, or the model does not run the layer exactly once.
        """
        check_grad_kwargs(grad_kwargs)
        cut = self._cuts.at(inputs, additional_forward_args, attribute_to_layer_input)
        values, others = cut.values, beside(cut)
        starts = format_baselines(baselines, cut.inputs)
        method = DeepLift(self._cuts.rest(cut), self._multiply_by_inputs, **self._options)
        custom = custom_attribution_func
        found, delta = method.attribute(
            (*values, *others),
            (*cut.at_baselines(baselines), *starts[: len(others)]),
            target,
            cut.given[len(others) :],
            True,
            None if custom is None else on_first(custom, len(values)),
        )
        parts, rest = found[: len(values)], found[len(values) :]
        result = one_or_tuple(parts)
        if not return_convergence_delta:
            return result
        for part in rest:
            delta = delta - per_output(flat_features(part).sum(1), delta)
        return result, delta


def on_first(custom: Custom, count: int) -> Custom:
    """Let a user's function see the layer alone; what is beside it gets no attributions."""
    n_taken = min(len(signature(custom).parameters), 3)

    def call(
        multipliers: tuple[Tensor, ...], inputs: tuple[Tensor, ...], baselines: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        given = (multipliers[:count], inputs[:count], baselines[:count])
        found = custom(*given[:n_taken])
        parts = found if isinstance(found, tuple) else (found,)
        return (*parts, *(torch.zeros_like(each) for each in multipliers[count:]))

    return call
