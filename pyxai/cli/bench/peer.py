"""The same methods by captum, for comparison: at its defaults and at its best batch size."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._extras import optional
from pyxai._timing import Candidate, best_size
from pyxai.cli.bench.measure import Case
from pyxai.methods.store import takes_target

__all__ = ["captum_calls"]

# Methods of which captum promises the same result, not only the same in expectation.
_EQUAL = frozenset(
    (
        *("saliency", "input_x_gradient", "integrated_gradients", "feature_ablation", "occlusion"),
        *("deep_lift", "deep_lift_shap", "guided_backprop", "deconvolution"),
        *("layer_grad_cam", "guided_grad_cam"),
    )
)
_NONE = frozenset(("shapley_values", "noise_tunnel"))  # n! orders; takes an object of its own
_SIZES = (1, 16, 64, 256, 1024)
_LIMITS = ("perturbations_per_eval", "internal_batch_size")
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4  # of float32, the second of the largest value


def captum_calls(case: Case) -> tuple[dict[str, Candidate], str]:
    """Return calls of captum for a method, after a look at whether results are equal, and a note.

    Raises
    ------
    ImportError
        If captum is not installed.
    """
    with optional("--against captum needs", "captum==0.9.0"):
        attr = importlib.import_module("captum.attr")
    cls = getattr(attr, case.method.cls.__name__, None)
    if cls is None or case.method.name in _NONE:
        return {}, "captum has no such method" if cls is None else "not compared with captum"
    known = inspect.signature(cls.attribute).parameters
    limit = next((name for name in _LIMITS if name in known), None)

    def make(size: int | None = None) -> Candidate:
        options = case.options if size is None or limit is None else {**case.options, limit: size}
        if takes_target(case.method.cls):
            options = {"target": case.target, **options}
        return _quiet(lambda: cls(case.model, **case.first).attribute(case.inputs, **options))

    default = make()
    try:
        theirs = default()
    except Exception as error:  # of its own options, or of models that it cannot do
        return {}, f"captum: {' '.join(str(error).split())[:100]}"
    if case.method.name in _EQUAL:
        apart = _difference(case.call()(), theirs)
        if apart is not None:
            return {}, f"captum gives something else, by up to {apart:.2g}"
    calls = {"captum, defaults": default}
    if limit is not None and case.options.get(limit) is None:
        calls["captum, best batch"] = make(best_size(make, _SIZES, rounds=1))
    return calls, ""


def _quiet(run: Callable[[], Any]) -> Candidate:
    """Return a call without the warnings of another package."""

    def silent() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run()

    return silent


def _difference(ours: Any, theirs: Any) -> float | None:
    """Return by how much two results differ, None where they are equal up to rounding."""
    if not isinstance(ours, Tensor) or not isinstance(theirs, Tensor) or ours.shape != theirs.shape:
        return float("inf")
    gap = (ours.detach().double() - theirs.detach().double()).abs()
    size = theirs.detach().double().abs()
    bound = _RELATIVE * size + _ABSOLUTE * size.max()
    return float(gap.max()) if bool((gap > bound).any() | ~torch.isfinite(gap).all()) else None
