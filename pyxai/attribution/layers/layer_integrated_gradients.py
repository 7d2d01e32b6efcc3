"""Integrated gradients along the path of a layer's values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pyxai.attribution.layers.cuts.cut import cut_at
from pyxai.attribution.layers.cuts.grad_kwargs import check_grad_kwargs
from pyxai.attribution.paths.integrated_gradients import IntegratedGradients
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register

__all__ = ["LayerIntegratedGradients"]


@register(
    "layer_integrated_gradients",
    summary="integrated gradients by the values of a layer, on the straight path between them",
    cost="n_steps gradients + 1 output",
    use="words at their embedding, and units where what is attributed must add up",
    of="layer",
    complete=True,
    baselines="optional",
)
class LayerIntegratedGradients(LayerAttribution):
    """Integrate gradients on the straight path between a layer's values at baseline and input.

    ``a = (z(x) - z(b)) * integral over t of dF/dz (z(b) + t (z(x) - z(b)))``, where z is what the
    layer gives and F the model behind it. The inputs may be ids, as those of words: the layer is
    their embedding then. Several layers move along their paths at the same time.

    Parameters
    ----------
    forward_func : callable
        The model; it must run each layer exactly once.
    layer : nn.Module, str, or list of these
        A module or its name; a list gives a list of results.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.
    multiply_by_inputs : bool
        Whether to multiply the mean gradient by ``z(x) - z(b)``.

    Notes
    -----
    Cost: ``n_steps`` gradients for each example, and one output more. What of the model does not
    pass through the layers stays at the inputs, so the attributions sum to the output at ``x``
    minus that at ``x`` with the layers at ``z(b)``; where all of it passes through them that is
    ``f(x) - f(b)``. The convergence delta is taken to the former.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
       eq. 1, at a layer.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerIntegratedGradients
    >>> words = torch.nn.Embedding(10, 4)
    >>> net = torch.nn.Sequential(words, torch.nn.Flatten(), torch.nn.Linear(12, 2)).eval()
    >>> ids, absent = torch.tensor([[1, 2, 3]]), torch.tensor([[0, 0, 0]])
    >>> LayerIntegratedGradients(net, words).attribute(ids, absent, target=0).sum(2).shape
    torch.Size([1, 3])
    """

    _takes_lists = True

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
        """Tell that the attributions sum to the difference of two outputs."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int | str = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        rule: str | None = None,
        tolerance: float | None = None,
        max_steps: int = 1600,
    ) -> Any:
        """Attribute the output to the values of the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            Inputs at which the path of the layer starts; default 0.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model, the same for inputs and baselines. A tensor whose first
            size is that of the batch is taken to hold a row for each example; `pyxai.Shared` says
            that all rows share it.
        n_steps : int or "auto"
            Number of nodes of the rule, or as many as each example needs.
        method : str
            A rule, as of `IntegratedGradients.attribute`.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.
        return_convergence_delta : bool
            Whether to return the delta as well.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        grad_kwargs : dict, optional
            captum's arguments for ``torch.autograd.grad``; those that change results are refused.
        rule : str, optional
            The same as ``method``, for callers such as `pyxai.explain`.
        tolerance : float, optional
            Bound of the delta, as of `IntegratedGradients.attribute`.
        max_steps : int
            Largest number of nodes that ``tolerance`` may lead to.

        Returns
        -------
        attributions : Tensor, tuple of Tensor, or list of these, shape [batch, ...]
            Like the layer's values, in output units; a tuple if the layer has several tensors, a
            list if there are several layers.
        delta : Tensor, shape [batch]
            Only with ``return_convergence_delta``, in output units.

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
        cut = cut_at(
            self.forward_func,
            self.layers,
            attribute_to_layer_input,
            inputs,
            additional_forward_args,
            internal_batch_size,
            zeros_if_unused,
        )
        found = IntegratedGradients(cut.rest, self._multiply_by_inputs).attribute(
            cut.values,
            cut.at_baselines(baselines),
            target,
            cut.given,
            n_steps,
            rule or method,
            internal_batch_size,
            return_convergence_delta,
            tolerance=tolerance,
            max_steps=max_steps,
        )
        parts, *delta = found if return_convergence_delta else (found,)
        result = cut.regrouped(parts, isinstance(self.layer, list))
        return (result, *delta) if delta else result
