"""The fourteen methods as the demonstration runs them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from pyxai import attribution
from pyxai.taylor.allocation.principles_neuron import measure_neuron, power_neurons

__all__ = ["FIRST_ORDER", "METHODS", "TOLERANCE", "adapted_methods", "neuron_tests"]

# A measure below this share counts as 0: what a quadrature misses across the kinks of a ReLU net is
# small in each output, but the effects are sums and differences of 2^n of them.
TOLERANCE = 0.1

METHODS: dict[str, Any] = {
    "Gradient x input": attribution.InputXGradient,
    "Occlusion-1": attribution.FeatureAblation,
    "Occlusion of patches": attribution.FeatureAblation,
    "Prediction difference": attribution.PredictionDifference,
    "Grad-CAM": attribution.GradCam,
    "Integrated gradients": attribution.IntegratedGradients,
    "Expected gradients": attribution.ExpectedGradients,
    "Shapley values": attribution.ShapleyValues,
    "LRP epsilon": attribution.LRP,
    "LRP alpha-beta": functools.partial(attribution.LRP, rule="alpha_beta"),
    "Deep Taylor": functools.partial(attribution.DeepTaylor, on_negative="clamp"),
    "DeepLIFT Rescale": attribution.DeepLift,
    "DeepLIFT RevealCancel": functools.partial(attribution.DeepLift, rule="reveal_cancel"),
    "Deep SHAP": functools.partial(attribution.DeepLiftShap, rule="neuron_shapley"),
}
# What they explain is the first-order part only: Grad-CAM and gradient x input by definition, the
# epsilon rule because it is gradient x input where all activations are ReLUs.
FIRST_ORDER = ("Gradient x input", "Grad-CAM", "LRP epsilon")
BY_PLAYER = ("Occlusion-1", "Prediction difference", "Shapley values")
STEPS = ("Integrated gradients", "Expected gradients")


class GradCamOfRow:
    """Grad-CAM of a table row as a feature map of one channel."""

    def __init__(self, model: nn.Module) -> None:
        features = nn.Identity()
        rows = nn.Sequential(features, nn.Flatten(), model)
        self._method = attribution.LayerGradCam(rows, features)

    def attribute(self, inputs: Tensor, target: Any = None) -> Tensor:
        """Return attributions, [batch, features]."""
        found: Tensor = self._method.attribute(inputs[:, None], target)
        return found[:, 0]


class _Adapted:
    """A method with its options, whose value of a group is shared out among its features."""

    def __init__(
        self, model: nn.Module, method: Any, options: dict[str, Any], mask: Tensor
    ) -> None:
        self._method, self._options, self._mask = method(model), options, mask

    def attribute(self, inputs: Tensor, baselines: Any = None, target: Any = None) -> Tensor:
        """Return attributions, [batch, *features]."""
        accepted = inspect.signature(self._method.attribute).parameters
        given = {"baselines": baselines} if "baselines" in accepted else {}
        found: Tensor = self._method.attribute(inputs, target=target, **given, **self._options)
        if "feature_mask" in self._options:
            found = found / self._mask.flatten().bincount()[self._mask]
        return found


def adapted_methods(mask: Tensor, *, image: bool) -> dict[str, Any]:
    """Return the fourteen with their options.

    Parameters
    ----------
    mask : Tensor, shape [1, *features]
        The player of each feature.
    image : bool
        Whether inputs are images, else rows of a table.

    Returns
    -------
    dict
        Name to what makes the method of a model.
    """
    methods = dict(METHODS)
    if image:  # the Shapley values of neurons that read 512 inputs would take half a minute
        methods["Deep SHAP"] = attribution.DeepLiftShap
    else:
        methods["Grad-CAM"] = GradCamOfRow
    options: dict[str, dict[str, Any]] = {name: {"feature_mask": mask} for name in BY_PLAYER}
    # Patches of two players: each gets what both lose together.
    options["Occlusion of patches"] = {"feature_mask": mask // 2}
    options |= {name: {"n_steps": 64, "method": "riemann_middle"} for name in STEPS}
    return {
        name: functools.partial(_Adapted, method=method, options=options.get(name, {}), mask=mask)
        for name, method in methods.items()
    }


@functools.cache
def neuron_tests() -> Mapping[str, Any]:
    """Return test B of the layer rules; it runs on neurons of its own, whatever the task."""
    rules = {name: method for name, method in METHODS.items() if name.startswith(("LRP", "Deep"))}
    # Deep Taylor's rule alone: the method itself does not speak of neurons below 0.
    rules["Deep Taylor"] = functools.partial(attribution.LRP, rule="z_plus")
    neurons = power_neurons()
    return {
        name: measure_neuron(method, {}, name, neurons=neurons) for name, method in rules.items()
    }
