"""Ablation of the values of a layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai._inputs import format_baselines, format_feature_mask
from pyxai.attribution.ablation.feature_ablation import FeatureAblation
from pyxai.attribution.layers.cuts.cut import cut_at, one_or_tuple
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register

__all__ = ["LayerFeatureAblation"]


@register(
    "layer_feature_ablation",
    summary="fall of the output when a value of a layer, or a group, is replaced",
    cost="n_units + 2 outputs",
    use="small layers, or layer_mask by channels; misses units that stand in for one another",
    of="layer",
)
class LayerFeatureAblation(LayerAttribution):
    """Replace the values of a layer, one or one group at a time: ``F(z) - F(z without j)``.

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
    .. [1] M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks",
       ECCV 2014, section 4.2, at a layer.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerFeatureAblation
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> LayerFeatureAblation(net, "0").attribute(torch.ones(4, 3), target=1).shape
    torch.Size([4, 2])
    """

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: differences of outputs are in output units."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        layer_baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        layer_mask: Any = None,
        attribute_to_layer_input: bool = False,
        perturbations_per_eval: int = 1,
    ) -> Any:
        """Attribute the output to the values of the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        layer_baselines : float, Tensor, or tuple of those, shape [1 or batch, ...]
            What replaces the layer's values, in their units; default 0.
        target : int, tuple, list or Tensor, optional
            Which output is explained; None for a model with several: all of them.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        layer_mask : Tensor or tuple of Tensor, shape that broadcasts to the layer's, optional
            Integers from 0: values of the same number are replaced together.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        perturbations_per_eval : int
            1: the rows in one call of the model are chosen from its memory. More: at most so many
            perturbations of every example in one call.

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
        # By the names of this method's arguments, before those of the one that is asked.
        format_baselines(layer_baselines, cut.values, name="layer_baselines")
        format_feature_mask(layer_mask, cut.values, name="layer_mask")
        found = FeatureAblation(cut.rest).attribute(
            cut.values, layer_baselines, target, cut.given, layer_mask, perturbations_per_eval
        )
        return one_or_tuple(tuple(found))
