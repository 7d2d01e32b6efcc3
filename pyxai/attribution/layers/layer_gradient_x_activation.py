"""Gradient times value, at a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import format_inputs
from pyxai.attribution.layers.cuts.cut import one_or_tuple
from pyxai.attribution.layers.cuts.grad_kwargs import check_grad_kwargs
from pyxai.attribution.layers.cuts.layer_probe import LayerProbe
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register
from pyxai.runner import Runner
from pyxai.runner.arguments import as_arguments

__all__ = ["LayerGradientXActivation"]


@register(
    "layer_gradient_x_activation",
    summary="gradient times value, of a layer",
    cost="1 gradient",
    use=(
        "quick contributions of units, or of words at their embedding; exact where the rest "
        "is linear"
    ),
    of="layer",
)
class LayerGradientXActivation(LayerAttribution):
    """Multiply a layer's values by the gradients with respect to them: ``z * dF/dz``.

    Parameters
    ----------
    forward_func : callable
        The model; it must run each layer exactly once.
    layer : nn.Module, str, or list of these
        A module or its name; a list gives a list of results, one pass for each.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.
    multiply_by_inputs : bool
        Whether to multiply by the values; else the gradients are returned.
    memory_efficient : bool
        captum's argument; memory is bounded in any case.

    References
    ----------
    .. [1] A. Shrikumar, P. Greenside, A. Kundaje, "Learning Important Features Through Propagating
       Activation Differences", ICML 2017, section 2.2, at a layer.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerGradientXActivation
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> LayerGradientXActivation(net, "0").attribute(torch.ones(4, 3), target=1).shape
    torch.Size([4, 2])
    """

    _takes_lists = True

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__(forward_func, layer, device_ids)
        self._multiply_by_inputs = multiply_by_inputs
        self.memory_efficient = memory_efficient

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than per unit of the layer."""
        return self._multiply_by_inputs

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        internal_batch_size: int | None = None,
    ) -> Any:
        """Attribute the output to the values of the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        grad_kwargs : dict, optional
            captum's arguments for ``torch.autograd.grad``; those that change results are refused.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.

        Returns
        -------
        Tensor, tuple of Tensor, or list of these, shape [batch, ...]
            In output units; float64 for float64 layers and float32 otherwise.

        Raises
        ------
        ValueError
            If an argument does not fit, or the model does not run a layer exactly once.
        TypeError
            If a layer gives no floating point tensors.
        NotImplementedError
            If ``grad_kwargs`` ask for something else than gradients.
        """
        zeros_if_unused = check_grad_kwargs(grad_kwargs)
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        tensors, _ = format_inputs(inputs)
        arguments = (*tensors, *as_arguments(additional_forward_args))
        found = []
        for layer in self.layers:
            probe = LayerProbe(
                self.forward_func, layer, attribute_to_layer_input, len(tensors), zeros_if_unused
            )
            runner = Runner(
                probe,
                target=target,
                additional_forward_args=arguments,
                max_rows=internal_batch_size,
            )
            parts = []
            found_of_layer = probe.run(runner, len(tensors[0]), arguments)
            for value, gradient in zip(*found_of_layer, strict=True):
                wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
                parts.append(wide * value.to(wide.dtype) if self._multiply_by_inputs else wide)
            found.append(one_or_tuple(parts))
        return found if isinstance(self.layer, list) else found[0]
