"""Shuffling of the values of a layer over the batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai._inputs import format_feature_mask
from pyxai.attribution.ablation.feature_permutation import FeaturePermutation
from pyxai.attribution.layers.cuts.cut import cut_at, one_or_tuple
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register

__all__ = ["LayerFeaturePermutation"]


@register(
    "layer_feature_permutation",
    summary="fall of the output when a value of a layer is shuffled over the batch",
    cost="n_samples * n_units + 2 outputs",
    use="what a model relies on over many rows; the others of the batch are what is drawn from",
    of="layer",
    stochastic=True,
    whole_batch=True,
)
class LayerFeaturePermutation(LayerAttribution):
    """Give each example another one's value of a unit of a layer: ``F(z) - F(z shuffled in j)``.

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
    .. [1] A. Fisher, C. Rudin, F. Dominici, "All Models are Wrong, but Many are Useful", JMLR
       20(177), 2019, section 3.2, at a layer and for each example.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerFeaturePermutation
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> LayerFeaturePermutation(net, "0").attribute(torch.ones(4, 3), target=1).shape
    torch.Size([4, 2])
    """

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: differences of outputs are in output units."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        layer_mask: Any = None,
        perturbations_per_eval: int = 1,
        *,
        attribute_to_layer_input: bool = False,
        n_samples: int = 1,
        seed: int = 0,
    ) -> Any:
        """Attribute the output to the values of the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        target : int, tuple, list or Tensor, optional
            Which output is explained; None for a model with several: all of them.
        additional_forward_args : any, optional
            Further arguments of the model; they stay with their row. A tensor whose first size is
            that of the batch is taken to hold a row for each example; `pyxai.Shared` says that all
            rows share it.
        layer_mask : Tensor or tuple of Tensor, shape that broadcasts to the layer's, optional
            Integers from 0: values of the same number are shuffled together.
        perturbations_per_eval : int
            1: the rows in one call of the model are chosen from its memory. More: at most so many
            perturbations of every example in one call.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        n_samples : int
            Shuffles that are averaged over.
        seed : int
            Fixes them.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, ...]
            Like the layer's values, in output units.

        Raises
        ------
        ValueError
            If an argument does not fit, or the model does not run the layer exactly once.
        TypeError
            If the layer gives no floating point tensors.
        """
        cut = cut_at(
            self.forward_func,
            self.layers,
            attribute_to_layer_input,
            inputs,
            additional_forward_args,
        )
        format_feature_mask(layer_mask, cut.values, name="layer_mask")  # by this method's name
        found = FeaturePermutation(cut.rest).attribute(
            cut.values,
            target,
            cut.given,
            layer_mask,
            perturbations_per_eval,
            n_samples=n_samples,
            seed=seed,
        )
        return one_or_tuple(tuple(found))
