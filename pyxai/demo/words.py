"""Names as a reader sees them, and short lists in plain language."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["listed", "percent", "title"]


# Names that are not plain words.
PROPER = {
    "blur_ig": "Blur IG",
    "deep_lift": "DeepLIFT",
    "deep_lift_shap": "DeepSHAP",
    "deep_taylor": "Deep Taylor",
    "grad_cam": "Grad-CAM",
    "gradient_shap": "Gradient SHAP",
    "greedy_pig": "Greedy PIG",
    "guided_grad_cam": "Guided Grad-CAM",
    "guided_ig": "Guided IG",
    "idgi": "IDGI",
    "kernel_shap": "Kernel SHAP",
    "layer_grad_cam": "Layer Grad-CAM",
    "lime": "LIME",
    "lrp": "LRP",
    "partition_shap": "Partition SHAP",
    "shapley_value_sampling": "Shapley sampling",
    "shapley_values": "Shapley values",
    "xrai": "XRAI",
}


def title(name: str) -> str:
    """Write a method's registry name as a heading: ``"integrated_gradients"`` gives words.

    Parameters
    ----------
    name : str
        Name in the registry.

    Returns
    -------
    str
        For example ``"Integrated gradients"``.
    """
    words = name.replace("_", " ")
    return PROPER.get(name, words[:1].upper() + words[1:])


def listed(items: Sequence[str]) -> str:
    """Join words as a sentence does.

    Parameters
    ----------
    items : sequence of str
        Any number of them.

    Returns
    -------
    str
        ``"a, b and c"``.
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def percent(share: float) -> str:
    """Write a share as a percentage with the digits that it deserves.

    Parameters
    ----------
    share : float
        1 is everything.

    Returns
    -------
    str
        For example ``"97.2 %"`` or ``"0.0004 %"``.
    """
    value = 100 * share
    if value == 0 or abs(value) >= 10:
        return f"{value:.1f} %"
    return f"{value:.2g} %" if abs(value) >= 0.001 else f"{value:.0e} %"
