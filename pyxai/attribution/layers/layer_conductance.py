"""Conductance: what flows through the units of a layer along the path of the inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import format_inputs
from pyxai._quadrature import nodes_and_weights
from pyxai.attribution.layers.cuts.cut import one_or_tuple
from pyxai.attribution.layers.cuts.grad_kwargs import check_grad_kwargs
from pyxai.attribution.layers.cuts.layer_on_path import layer_on_path
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register

__all__ = ["LayerConductance"]


@register(
    "layer_conductance",
    summary="gradient times change of a layer's values, summed while the inputs leave the baseline",
    cost="n_steps + 1 gradients",
    use=(
        "how much of the output passes each unit; adds up only as steps grow, integrated "
        "gradients sooner"
    ),
    of="layer",
    baselines="optional",
)
class LayerConductance(LayerAttribution):
    """Add up gradients of the output times changes of a layer's units, along the inputs' path.

    ``a_j = sum over k of dF/dy_j(p_k) * (y_j(p_(k+1)) - y_j(p_k))`` at ``n_steps + 1`` points
    ``p_k = b + t_k (x - b)``: the chain rule through unit y_j. As the sum has a gradient at the
    start of each step alone, and Gauss-Legendre points do not reach the ends of the path, it comes
    near to completeness only as ``n_steps`` grows; ``method="riemann_trapezoid"`` has both ends.

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
    .. [1] K. Dhamdhere, M. Sundararajan, Q. Yan, "How Important Is a Neuron?", ICLR 2019, eq. 3;
       as a sum over steps: A. Shrikumar, J. Su, A. Kundaje, "Computationally Efficient Measures of
       Internal Neuron Importance", 2018, section 2.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerConductance
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> LayerConductance(net, "0").attribute(torch.ones(4, 3), target=1).shape
    torch.Size([4, 2])
    """

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: conductance is in output units."""
        return True

    def has_convergence_delta(self) -> bool:
        """Tell that conductances of a layer sum to the difference of two outputs, with many steps.

        Those of a layer that all of the model passes through.
        """
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        rule: str | None = None,
    ) -> Any:
        """Attribute the output to the values of the layer.

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
            Number of steps, between one point more.
        method : str
            Which points, as of `IntegratedGradients.attribute`.
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

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, ...]
            Like the layer's values, in output units; a tuple if the layer has several tensors.
        delta : Tensor, shape [batch]
            Only with ``return_convergence_delta``: ``sum(a) - (f(x) - f(b))``, in output units.

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
        nodes, _ = nodes_and_weights(rule or method, n_steps)  # refuses what makes no sense
        nodes, _ = nodes_and_weights(rule or method, n_steps + 1)
        batch = len(format_inputs(inputs)[0][0])
        totals: list[Tensor] = []
        # Of the last node that was seen of each example: its values and gradients.
        last: dict[int, tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = {}

        def visit(
            examples: slice, _: slice, values: tuple[Tensor, ...], gradients: tuple[Tensor, ...]
        ) -> None:
            if not totals:
                totals.extend(each.new_zeros(batch, *each.shape[2:]) for each in gradients)
            before = last.get(examples.start)
            last[examples.start] = (
                tuple(each[-1:] for each in values),
                tuple(each[-1:] for each in gradients),
            )
            for part, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
                if before is not None:
                    value = torch.cat([before[0][part], value])
                    gradient = torch.cat([before[1][part], gradient])
                steps = value[1:].sub(value[:-1]).to(gradient.dtype)
                totals[part][examples] += (steps * gradient[:-1]).sum(0)

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
        result = one_or_tuple(totals)
        if not return_convergence_delta:
            return result
        return result, self.compute_convergence_delta(
            result, baselines, inputs, target, additional_forward_args
        )
