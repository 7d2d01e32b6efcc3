"""Which covariance belongs to which example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.covariance import Covariance
from pyxai.runner.target import Output, Target, apply_output

__all__ = ["by_example", "of_several_outputs"]


def by_example(covariance: Any, x: Tensor, target: Any, labels: Any) -> list[Covariance]:
    """Return the covariance of each example: of its label, or else of its explained class."""
    if covariance is None:
        raise ValueError(
            "covariance must be given or fitted for this score or noise, got None; pass "
            "covariance= or call fit(loader)"
        )
    batch, features = x.shape[0], x[0].numel()
    given = None if labels is None else _given(labels, batch)
    if isinstance(covariance, Mapping):
        name = "target" if given is None else "label"
        classes = _explained(target, batch) if given is None else given
        found = [_of_class(covariance, each, name) for each in classes]
    else:
        found = [_checked("covariance", covariance, " or a mapping of classes to them")] * batch
    for each in found:
        if each.features != features:
            raise ValueError(
                f"covariance must have {features} features like inputs, got {each.features}"
            )
    return found


def of_several_outputs(output: Output) -> Callable[[Tensor], Tensor]:
    """Return ``output`` for models whose target is a class: those with one output have none."""

    def checked(outputs: Tensor) -> Tensor:
        if outputs.dim() < 2 or outputs.shape[1] == 1:
            raise ValueError(
                "labels must tell the class of each example, whose covariance is read, where the "
                "model has one output, got None; or fit one covariance with per='data'"
            )
        return apply_output(output, outputs)

    return checked


def _checked(name: str, covariance: Any, more: str = "") -> Covariance:
    if not isinstance(covariance, Covariance):
        raise TypeError(f"{name} must be a Covariance{more}, got {describe(covariance)}")
    return covariance


def _of_class(covariance: Mapping[int, Covariance], label: int, name: str) -> Covariance:
    if label not in covariance:
        raise ValueError(
            f"covariance must hold every explained class, got classes {sorted(covariance)} "
            f"and {name} {label}"
        )
    return _checked(f"covariance of class {label}", covariance[label])


def _given(labels: Any, batch: int) -> list[int]:
    """Return the labels, any integers, of all examples."""
    try:
        found = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        found = torch.tensor(torch.nan)
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise TypeError(
            f"labels must be an integer or one for each example, got {describe(labels)}"
        )
    if found.dim() and list(found.shape) != [batch]:
        raise ValueError(
            f"labels must have one entry per example, [{batch}], got {list(found.shape)}"
        )
    return [int(label) for label in found.expand(batch)]


def _explained(target: Any, batch: int) -> list[int]:
    """Return the class of each example, from any of the forms that name one index."""
    chosen = Target(target)
    chosen.check_examples(batch)
    if chosen.shared is not None and len(chosen.shared) == 1:
        return [chosen.shared[0]] * batch
    if chosen.rows is not None and chosen.rows.shape[1] == 1:
        return [int(label) for label in chosen.rows[:, 0]]
    raise ValueError(
        "target must be one class, or one per example, where the covariance is per class and "
        f"labels are not given, got {describe(target)}"
    )
