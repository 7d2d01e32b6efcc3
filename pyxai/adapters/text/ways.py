"""How a method is asked about a text: at the embeddings, or about units that come and go."""

from __future__ import annotations

from typing import Any

from pyxai._checks import describe
from pyxai._signatures import option_parameters
from pyxai.adapters.layers import refuse_layers
from pyxai.methods.store import Method
from pyxai.registry import find

__all__ = [
    "AT_UNITS",
    "OF_LENGTH",
    "REFUSED",
    "check_options",
    "found_method",
    "takes",
    "with_baseline",
]

# Of whole units, present or absent, so that other tokens are no players and cost nothing.
AT_UNITS = frozenset(
    {
        "feature_ablation",
        "greedy_pig",
        "kernel_shap",
        "lime",
        "occlusion",
        "partition_shap",
        "prediction_difference",
        "shapley_value_sampling",
        "shapley_values",
    }
)
# What they do depends on how many numbers an example has, those of padding too.
OF_LENGTH = frozenset({"guided_ig", "idgi"})
REFUSED = {
    "blur_ig": "it blurs images",
    "xrai": "it finds regions of images",
    "grad_cam": "it reads maps of convolutional layers",
    "layer_grad_cam": "it reads maps of convolutional layers",
    "guided_grad_cam": "it reads maps of convolutional layers",
    "feature_permutation": "it takes values from other texts, whose units are others",
}
# What this room says itself.
_RESERVED = {
    "additional_forward_args": "ids and mask are given",
    "baselines": "baseline says what stands for absent units",
    "feature_mask": "unit says what is a player",
    "imputer": "baseline says what stands for absent units",
    "return_convergence_delta": "the result has it",
    "targets": "target is one label for each example; call once for each of several",
}


def found_method(method: Any) -> Method:
    """Return what the registry knows of a method that can explain texts.

    Raises
    ------
    ValueError
        If there is no such method, or it explains no texts.
    TypeError
        If it is neither a name nor a registered class.
    """
    refuse_layers(method)
    entry = find(method) if isinstance(method, (str, type)) else None
    if entry is None:
        raise TypeError(f"method must be a name or a registered class, got {describe(method)}")
    if entry.name in REFUSED:
        raise ValueError(
            f"method must be one that explains texts, got {entry.name!r}: {REFUSED[entry.name]}"
        )
    return entry


def check_options(options: dict[str, Any]) -> None:
    """Raise TypeError if an option says what other arguments say."""
    for name in options:
        if name in _RESERVED:
            raise TypeError(f"options must not hold {name}: {_RESERVED[name]}")


def takes(entry: Method, option: str) -> bool:
    """Tell whether ``attribute`` of a method has an option."""
    return any(each.name == option for each in option_parameters(entry.cls.attribute))


def with_baseline(entry: Method, options: dict[str, Any]) -> bool:
    """Tell whether a method takes a baseline; that of noisy inputs does if what it wraps does."""
    if entry.name == "noise_tunnel":
        inner = options.get("attribution_method", "saliency")
        wrapped = find(inner) if isinstance(inner, (str, type)) else None
        return wrapped is not None and wrapped.baselines != "none"
    return entry.baselines != "none"
