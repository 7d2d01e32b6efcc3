"""The names of the fourteen methods, as the allocation weights and the principles know them."""

from __future__ import annotations

__all__ = ["METHOD_NAMES", "canonical_name"]

# Row numbers of the table of weights are the positions in this tuple, from 1.
METHOD_NAMES = (
    "gradient_x_input",
    "occlusion_1",
    "occlusion_patch",
    "prediction_difference",
    "grad_cam",
    "integrated_gradients",
    "expected_gradients",
    "shapley_value",
    "lrp_epsilon",
    "lrp_alpha_beta",
    "deep_taylor",
    "deeplift_rescale",
    "deeplift_reveal_cancel",
    "deep_shap",
)
_ALIASES = {
    "inputxgradient": "gradient_x_input",
    "gradientxinput": "gradient_x_input",
    "gradxinput": "gradient_x_input",
    "featureablation": "occlusion_1",
    "occlusion": "occlusion_patch",
    "gradcam": "grad_cam",
    "layergradcam": "grad_cam",
    "shapley": "shapley_value",
    "shapleyvalues": "shapley_value",
    "deeplift": "deeplift_rescale",
    "rescale": "deeplift_rescale",
    "revealcancel": "deeplift_reveal_cancel",
    "deepliftshap": "deep_shap",
    "lrp": "lrp_epsilon",
}
_BY_LETTERS = {name.replace("_", ""): name for name in METHOD_NAMES} | _ALIASES


def canonical_name(method: str) -> str:
    """Return the name in ``METHOD_NAMES`` that ``method`` stands for.

    Case, spaces, dashes and underscores do not matter; class names of ``pyxai.attribution`` are
    accepted ("FeatureAblation" is "occlusion_1").

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the known ones.
    """
    letters = "".join(character for character in str(method).lower() if character.isalnum())
    if letters not in _BY_LETTERS:
        raise ValueError(f"method must be one of {', '.join(METHOD_NAMES)}, got {method!r}")
    return _BY_LETTERS[letters]
