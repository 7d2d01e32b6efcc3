"""Any attribution method, asked about the coefficients of a transform."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from pyxai._checks import check_tensor, describe
from pyxai._inputs import format_feature_mask
from pyxai.explain import explain
from pyxai.methods import Attribution, Method, find
from pyxai.runner import takes_arrays
from pyxai.transforms.model import TransformedModel
from pyxai.transforms.result import TransformedExplanation
from pyxai.transforms.transform import Transform

__all__ = ["trim"]


@takes_arrays
def trim(
    model: Callable[..., Any],
    inputs: Tensor,
    *,
    transform: Transform | None = None,
    method: str | type[Attribution] | Attribution,
    target: Any = None,
    baselines: Any = None,
    groups: Tensor | None = None,
    residual: bool = True,
    additional_forward_args: Any = None,
    **options: Any,
) -> TransformedExplanation:
    """Explain a model's output by the coefficients of a transform of its inputs (TRIM).

    The method explains ``f'(s) = f(T^-1(s) + r)`` at ``s = T(x)``; see `TransformedModel`.

    Parameters
    ----------
    model : callable
        A module or any function of a tensor that returns one row per example; or a
        `TransformedModel`, which holds the transform.
    inputs : Tensor, shape [batch, *features]
        What to explain, in input units.
    transform : Transform
        T. ``None`` where the model is a `TransformedModel`.
    method : str, type or Attribution
        As for `pyxai.explain`; an object is made for a `TransformedModel`.
    target : int, tuple, list or Tensor, optional
        As for `pyxai.explain`.
    baselines : float, Tensor or tuple of those, optional
        Coefficients that stand for absent ones; default 0, which leaves the residual. Methods that
        need a set of baselines get one row of zeros.
    groups : Tensor, optional
        Integers from 0, of a shape that broadcasts to the coefficients: those of the same number
        make a group, such as a band of frequencies. Methods that take a ``feature_mask`` remove
        whole groups; scores of other methods are summed over them.
    residual : bool
        Whether what the transform loses is added to what the model sees.
    additional_forward_args : any, optional
        Further arguments of the model; tensors with one row per example follow the examples.
    **options
        Further arguments of the method, and ``feature_names`` of coefficients.

    Returns
    -------
    TransformedExplanation
        Its attributions have the shape of the coefficients.

    Raises
    ------
    ValueError
        If an argument does not fit, or the transform does not give back the shape of the inputs.
    TypeError
        If an argument is not of the kind asked for.

    Notes
    -----
    Cost: that of the method, with the inverse transform as a first layer of the model. Methods
    for images want coefficients that have the shape of images.

    References
    ----------
    .. [1] C. Singh et al., "Transformation Importance with Applications to Cosmology", 2020.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import FourierTransform, trim
    >>> wave = torch.cos(torch.arange(8) * torch.pi / 2)  # two cycles
    >>> model = lambda x: x @ wave
    >>> found = trim(model, wave[None], transform=FourierTransform(8), method="input_x_gradient")
    >>> found.signed()[0].round(decimals=4).abs()
    tensor([0., 0., 4., 0., 0.])
    """
    transformed = _transformed(model, transform, residual)
    coefficients, arguments = transformed.split(inputs, additional_forward_args)
    entry = find(method)
    options = dict(options)
    if "feature_mask" in options:
        raise TypeError("feature_mask must be given as groups, got it among the options")
    whole_groups = False
    if groups is not None:
        groups = check_tensor("groups", groups).to(coefficients.device)
        missing = coefficients.dim() - 1 - groups.dim()  # dimensions of channels
        groups = groups.reshape(*(1,) * missing, *groups.shape)
        format_feature_mask(groups, (coefficients,), name="groups")
        whole_groups = _removes_groups(method, entry)
        if whole_groups:
            options["feature_mask"] = groups
    if baselines is None and entry is not None and entry.baselines in ("required", "distribution"):
        baselines = coefficients.new_zeros(1, *coefficients.shape[1:])
    explanation = explain(
        transformed,
        coefficients,
        method=method,
        target=target,
        baselines=baselines,
        additional_forward_args=arguments or None,
        **options,
    )
    return TransformedExplanation(explanation, transformed, arguments, groups, whole_groups)


def _transformed(model: Any, transform: Any, residual: bool) -> TransformedModel:
    """Return the model of coefficients."""
    if not isinstance(model, TransformedModel):
        return TransformedModel(model, transform, residual)
    if transform is not None:
        raise TypeError(
            "transform must be None for a TransformedModel, which holds one, "
            f"got {describe(transform)}"
        )
    return model


def _removes_groups(method: Any, entry: Method | None) -> bool:
    """Tell whether a method takes groups of features as its players."""
    if isinstance(method, Attribution):
        return "feature_mask" in method.option_names()
    attribute = getattr(method if entry is None else entry.cls, "attribute", None)
    return attribute is not None and "feature_mask" in inspect.signature(attribute).parameters
