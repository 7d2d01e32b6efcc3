"""Relevance of the values of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from pyxai.attribution.layers.cuts.cut import one_or_tuple
from pyxai.attribution.layers.cuts.traced_cut import TracedCuts
from pyxai.attribution.propagated.lrp import LRP
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register

__all__ = ["LayerLRP"]


@register(
    "layer_lrp",
    summary="relevance that arrives at a layer",
    cost="1 output + 1 output from the layer + 1 gradient from the layer, traced",
    use="one pass with a rule for each kind of layer; the rules are part of the answer",
    of="layer",
    needs="module",
)
class LayerLRP(LayerAttribution):
    """Layer-wise relevance propagation from the output back to a layer.

    Parameters
    ----------
    model : nn.Module
        Returns one tensor, a row per example; it runs each layer exactly once.
    layer : nn.Module, str, or list of these
        Its modules, or their names; a list gives a list of results, one pass for each.
    rule, composite, strict
        As of `LRP`.

    References
    ----------
    .. [1] S. Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
       Layer-Wise Relevance Propagation", PLOS ONE 10(7), 2015, eqs. 58 and 60.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerLRP
    >>> layers = [torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)]
    >>> net = torch.nn.Sequential(*layers).eval()
    >>> LayerLRP(net, "0").attribute(torch.ones(5, 3), target=1).shape
    torch.Size([5, 4])
    """

    _takes_lists = True

    def __init__(
        self,
        model: nn.Module,
        layer: Any,
        *,
        rule: Any = "epsilon",
        composite: Mapping[Any, Any] | str | None = None,
        strict: bool = True,
    ) -> None:
        super().__init__(model, layer)
        self._options: dict[str, Any] = {"rule": rule, "composite": composite, "strict": strict}
        LRP(model, **self._options)  # refuses what is wrong
        self.model = model
        self._cuts = [TracedCuts(model, each) for each in self.layers]

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: relevance is in output units."""
        return True

    def has_convergence_delta(self) -> bool:
        """Tell that relevance can be compared with the output."""
        return True

    @property
    def delta_is_remainder(self) -> bool:
        """True: the delta is what biases and stabilisers have absorbed of the output."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        verbose: bool = False,
    ) -> Any:
        """Compute the relevance of the values of the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        return_convergence_delta : bool
            Whether to return the delta too.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        verbose : bool
            Whether to print the rule of every linear layer.

        Returns
        -------
        attributions : Tensor, tuple of Tensor, or list of these, shape [batch, ...]
            Like the layer's values, in output units; a tuple if the layer has several tensors, a
            list if there are several layers.
        delta : Tensor or list of Tensor, shape [batch]
            Only with ``return_convergence_delta``: ``f(x) - sum(a)``, in output units, for each
            layer.

        Raises
        ------
        UnsupportedOperationError
            If an op has no rule and ``strict``.
        ValueError, TypeError
            If an argument does not fit, or the model does not run a layer exactly once.
        """
        found, deltas = [], []
        for cuts in self._cuts:
            cut = cuts.at(inputs, additional_forward_args, attribute_to_layer_input)
            method = LRP(cuts.rest(cut), **self._options)
            parts, delta = method.attribute(cut.values, target, cut.given, True, verbose)
            found.append(one_or_tuple(parts))
            deltas.append(delta)
        if not isinstance(self.layer, list):
            return (found[0], deltas[0]) if return_convergence_delta else found[0]
        return (found, deltas) if return_convergence_delta else found

    def compute_convergence_delta(  # type: ignore[override] # captum's LRP has this signature
        self, attributions: Any, output: Tensor
    ) -> Tensor:
        """Return ``output - sum(attributions)``: what biases and stabilisers have absorbed.

        Parameters
        ----------
        attributions : Tensor or tuple of Tensor, shape [batch, ...]
            Relevance of a layer, in output units.
        output : Tensor, shape [batch]
            The explained outputs.

        Returns
        -------
        Tensor, shape [batch]
            In output units. As in captum, the sign is opposite to that of other methods.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        return LRP(self.model).compute_convergence_delta(attributions, output)
