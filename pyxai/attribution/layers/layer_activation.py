"""The values of a layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai._inputs import format_inputs
from pyxai.attribution.layers.cuts.cut import one_or_tuple
from pyxai.attribution.layers.cuts.up_to_layer import layer_values
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register
from pyxai.runner.arguments import as_arguments

__all__ = ["LayerActivation"]


@register(
    "layer_activation",
    summary="values of a layer",
    cost="1 output",
    use="to look at a layer, or to have its shape; says nothing of an output",
    of="layer",
)
class LayerActivation(LayerAttribution):
    """Return what a layer gives for each example, whatever the output is.

    Parameters
    ----------
    forward_func : callable
        The model; it must run each layer exactly once.
    layer : nn.Module, str, or list of these
        A module or its name; a list gives a list of results.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    References
    ----------
    .. [1] D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing Higher-Layer Features of a
       Deep Network", University of Montreal, technical report 1341, 2009, section 2.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerActivation
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> LayerActivation(net, "0").attribute(torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """

    _takes_lists = True

    @property
    def explains_every_output(self) -> bool:
        """True: which output there is does not matter to a layer."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """True, as in captum; the values are in units of the layer."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        additional_forward_args: Any = None,
        attribute_to_layer_input: bool = False,
    ) -> Any:
        """Return the values of the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            Of any real dtype.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.

        Returns
        -------
        Tensor, tuple of Tensor, or list of these, shape [batch, ...]
            In the layer's dtype; a tuple if the layer has several tensors, a list if there are
            several layers.

        Raises
        ------
        ValueError
            If the model does not run a layer exactly once.
        TypeError
            If a layer gives no tensors.
        """
        tensors, _ = format_inputs(inputs)
        parts = layer_values(
            self.forward_func,
            self.layers,
            attribute_to_layer_input,
            tensors,
            as_arguments(additional_forward_args),
            floating=False,
        )
        found = [one_or_tuple(part) for part in parts]
        return found if isinstance(self.layer, list) else found[0]
