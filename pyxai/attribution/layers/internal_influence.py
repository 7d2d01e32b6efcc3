"""Internal influence: mean gradients at a layer along the path of the inputs."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai._inputs import format_inputs
from pyxai._quadrature import nodes_and_weights
from pyxai.attribution.layers.cuts.cut import one_or_tuple
from pyxai.attribution.layers.cuts.grad_kwargs import check_grad_kwargs
from pyxai.attribution.layers.cuts.layer_on_path import layer_on_path
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register

__all__ = ["InternalInfluence"]


@register(
    "internal_influence",
    summary="gradient by the values of a layer, averaged while the inputs leave the baseline",
    cost="n_steps gradients",
    use=(
        "what a layer passes on over a whole path; output per unit of the layer, so no "
        "amounts, and no sum"
    ),
    of="layer",
    baselines="optional",
)
class InternalInfluence(LayerAttribution):
    """Average the gradients with respect to a layer while the inputs move along their path.

    ``a_j = integral over t of dF/dy_j at b + t (x - b)``

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module or str
        A module or its name.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    References
    ----------
    .. [1] K. Leino, S. Sen, A. Datta, M. Fredrikson, L. Li, "Influence-Directed Explanations for
       Deep Convolutional Networks", ITC 2018, definition 1, for a uniform path.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import InternalInfluence
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> InternalInfluence(net, "0").attribute(torch.ones(4, 3), target=1).shape
    torch.Size([4, 2])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        rule: str | None = None,
    ) -> Any:
        """Return the mean gradients at the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            Where the path starts, in input units; default 0.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        n_steps : int
            Number of nodes of the rule.
        method : str
            A rule, as of `IntegratedGradients.attribute`.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        grad_kwargs : dict, optional
            captum's arguments for ``torch.autograd.grad``; those that change results are refused.
        rule : str, optional
            The same as ``method``, for callers such as `pyxai.explain`.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, ...]
            Like the layer's values, in output units per unit of the layer.

        Raises
        ------
        ValueError
            If an argument does not fit, or the model does not run the layer exactly once.
        TypeError
            If inputs or layer are not floating point.
        NotImplementedError
            If ``grad_kwargs`` ask for something else than gradients.
        """
        zeros_if_unused = check_grad_kwargs(grad_kwargs)
        nodes, weights = nodes_and_weights(rule or method, n_steps)
        batch = len(format_inputs(inputs)[0][0])
        totals: list[Tensor] = []

        def visit(
            examples: slice, repeats: slice, _: tuple[Tensor, ...], gradients: tuple[Tensor, ...]
        ) -> None:
            if not totals:
                totals.extend(each.new_zeros(batch, *each.shape[2:]) for each in gradients)
            for total, gradient in zip(totals, gradients, strict=True):
                share = weights[repeats].to(gradient.device, gradient.dtype)
                total[examples] += (gradient * share.view(-1, *[1] * (gradient.dim() - 1))).sum(0)

        layer_on_path(
            self.forward_func,
            self.layer,
            attribute_to_layer_input,
            inputs,
            baselines,
            target,
            additional_forward_args,
            nodes,
            internal_batch_size,
            visit,
            zeros_if_unused,
        )
        return one_or_tuple(totals)
