"""Which methods can be asked about a continuation, and why the others cannot."""

from __future__ import annotations

from typing import Any

from pyxai._checks import check_choice, describe
from pyxai.adapters.language.scores import OUTPUTS
from pyxai.adapters.layers import refuse_layers
from pyxai.methods import Attribution
from pyxai.registry import find

__all__ = [
    "TRACED",
    "UNITS",
    "VECTORS",
    "WITH_BASELINE",
    "check_options",
    "read_method",
    "read_output",
]

UNITS = (
    "feature_ablation",
    "kernel_shap",
    "lime",
    "partition_shap",
    "shapley_value_sampling",
    "shapley_values",
)
VECTORS = ("deep_lift", "input_x_gradient", "integrated_gradients", "lrp", "saliency")
TRACED = ("deep_lift", "lrp")  # of them
WITH_BASELINE = ("deep_lift", "integrated_gradients")  # of them

_IMAGES = "reads maps of an image"
_BACKGROUND = "needs other examples of the same form, and a prompt is one of a kind"
_RELUS = "changes the gradients of ReLUs, and such models have others"
_WHY = {
    "blur_ig": _IMAGES,
    "contextual_decomposition": "scores phrases of classifiers; see TextClassifier",
    "deconvolution": _RELUS,
    "deep_lift_shap": _BACKGROUND,
    "deep_taylor": "starts from a positive output of a net of ReLUs, and these are neither",
    "expected_gradients": _BACKGROUND,
    "feature_permutation": _BACKGROUND,
    "grad_cam": _IMAGES,
    "gradient_shap": _BACKGROUND,
    "greedy_pig": "ranks, and ranks of tokens do not add up to those of a continuation",
    "guided_backprop": _RELUS,
    "guided_grad_cam": _IMAGES,
    "idgi": "gives a share to fixed parts too, which are no players",
    "layer_grad_cam": _IMAGES,
    "noise_tunnel": "wraps another method, which is given its name alone here",
    "occlusion": "slides windows; give larger units to feature_ablation",
    "prediction_difference": _BACKGROUND,
    "xrai": _IMAGES,
}
_SET_HERE = {
    "additional_forward_args": "the model is given ids alone",
    "baselines": "use baseline",
    "feature_mask": "use unit",
    "feature_names": "units are named by their text",
    "imputer": "use baseline",
    "inputs": "use prompt",
    "return_convergence_delta": "the delta is in the result where there is one",
    "target": "all tokens of the continuation are explained",
    "targets": "all tokens of the continuation are explained",
}


def read_method(method: Any) -> str:
    """Return the name of a method that can be asked.

    Raises
    ------
    ValueError
        If it cannot, with the reason, or is not known.
    TypeError
        If it is neither a name nor a class of the registry.
    """
    refuse_layers(method)
    entry = None if isinstance(method, Attribution) else find(method)
    if entry is None:
        raise TypeError(
            f"method must be the name or the class of a method, got {describe(method)}; its "
            "options are given to explain"
        )
    if entry.name not in (*UNITS, *VECTORS):
        why = _WHY.get(entry.name, "is not made for continuations")
        raise ValueError(
            f"method must be one of {', '.join(sorted((*UNITS, *VECTORS)))} for language models, "
            f"got {entry.name!r}, which {why}"
        )
    return entry.name


def check_options(name: str, options: dict[str, Any]) -> None:
    """Raise if an option is what this class sets itself."""
    for option in options:
        if option in _SET_HERE:
            raise TypeError(
                f"options of {name} must not hold {option!r} here, got {describe(options[option])};"
                f" {_SET_HERE[option]}"
            )


def read_output(name: str, output: str | None) -> str:
    """Return what is explained of each token by a method.

    Raises
    ------
    ValueError
        If it is not known, or the method has nothing to say of it.
    """
    if output is None:
        return "logit" if name == "lrp" else "log_probability"
    check_choice("output", output, OUTPUTS)
    if name == "lrp" and output != "logit":
        raise ValueError(
            "output must be 'logit' for lrp, as no rule shares out a softmax or its logarithm so "
            f"that the shares add up to it, got {output!r}"
        )
    return output
