"""Conductance of neurons: what each input sends to the output through them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai._inputs import format_baselines, format_inputs, restore_form
from pyxai._quadrature import nodes_and_weights
from pyxai.attribution.layers.cuts.grad_kwargs import check_grad_kwargs
from pyxai.attribution.layers.cuts.layer_on_path import layer_on_path
from pyxai.attribution.layers.cuts.neuron_selection import Neurons, NeuronSelector
from pyxai.attribution.layers.cuts.up_to_layer import UpToLayer
from pyxai.attribution.layers.neurons.bases import MultipliedNeurons
from pyxai.game.path import path_attributions
from pyxai.methods.store import register
from pyxai.runner import Runner

__all__ = ["NeuronConductance"]


@register(
    "neuron_conductance",
    summary="integrated gradients of an output through chosen neurons alone",
    cost="n_steps gradients + n_steps gradients up to the layer",
    use="which inputs an output owes to one unit; over all units it sums to integrated gradients",
    of="neuron",
    baselines="optional",
)
class NeuronConductance(MultipliedNeurons):
    """Integrated gradients through one neuron, or through several.

    ``a_i = (x_i - b_i) * integral over t of dF/dy * dy/dx_i at b + t (x - b)``: the chain rule
    through neuron y alone. Over all neurons of a layer that the whole model passes through, it
    sums to integrated gradients.

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module or str
        A module or its name.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.
    multiply_by_inputs : bool
        Whether to multiply by ``x - b``.

    References
    ----------
    .. [1] K. Dhamdhere, M. Sundararajan, Q. Yan, "How Important Is a Neuron?", ICLR 2019, eq. 2.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronConductance
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> NeuronConductance(net.eval(), "0").attribute(torch.ones(5, 3), 2, target=1).shape
    torch.Size([5, 3])
    """

    @property
    def explains_every_output(self) -> bool:
        """False: conductance is that to one output."""
        return False

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        neuron_selector: NeuronSelector,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 50,
        method: str = "riemann_trapezoid",
        internal_batch_size: int | None = None,
        attribute_to_neuron_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        rule: str | None = None,
    ) -> Any:
        """Attribute the output to the inputs, as far as it passes the neurons.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        neuron_selector : int, tuple of int and slice, or callable
            An index for each dimension of the layer after the examples; what passes neurons that
            slices choose is added up. A function takes the layer's tensor (or the tuple of its
            tensors) and must choose among them only: it is applied to gradients too.
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
        attribute_to_neuron_input : bool
            Whether the neurons are those of the layer's input instead of its output.
        grad_kwargs : dict, optional
            captum's arguments for ``torch.autograd.grad``; those that change results are refused.
        rule : str, optional
            The same as ``method``, for callers such as `pyxai.explain`.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in output units.

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
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        choose = Neurons(neuron_selector)
        slopes: list[Tensor] = []  # [n_nodes, batch, n_chosen], of the output by the neurons

        def visit(
            examples: slice, repeats: slice, _: tuple[Tensor, ...], gradients: tuple[Tensor, ...]
        ) -> None:
            shape = gradients[0].shape[:2]
            chosen = choose(tuple(each.flatten(0, 1) for each in gradients))
            chosen = chosen.view(*shape, -1)
            if not slopes:
                size = (len(nodes), len(tensors[0]), chosen.shape[2])
                slopes.append(chosen.new_zeros(size))
            slopes[0][repeats, examples] = chosen

        layer_on_path(
            self.forward_func,
            self.layer,
            attribute_to_neuron_input,
            tensors,
            baselines,
            target,
            additional_forward_args,
            nodes,
            internal_batch_size,
            visit,
            zeros_if_unused,
        )
        neurons = UpToLayer(self.forward_func, self.layer, attribute_to_neuron_input, choose)
        count = len(tensors)

        def weighed(*args: Any) -> Tensor:
            found = neurons(*args[:count], *args[count + 1 :])
            slope: Tensor = args[count].detach()
            return (found * slope.to(found.dtype)).sum(1)

        found = path_attributions(
            Runner(
                weighed,
                additional_forward_args=additional_forward_args,
                max_rows=internal_batch_size,
            ),
            tensors,
            format_baselines(baselines, tensors),
            nodes,
            weights,
            multiply_by_inputs=self._multiply_by_inputs,
            cotangents=slopes[0],
        )
        return restore_form(found, is_tuple)
