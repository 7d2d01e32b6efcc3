"""Bring the arguments of a call to one form: inputs, baselines, feature masks.

Everything public accepts what captum accepts and turns it, once and here, into

* `format_inputs`: a tuple of detached tensors ``[batch, *feat]`` and whether a tuple came;
* `format_baselines`: one entry per tensor, a float or a tensor ``[1 or batch, *feat]``;
* `format_background`: one tensor ``[n_background, *feat]`` per input, a distribution of baselines;
* `format_feature_mask`: the player of every feature, numbered 0 .. n_players - 1 over the tuple;
* `flat_features`: from there to one dimension of features;
* `sums_at`, `add_at`: from values of features to those of players, always in the same order;
* `restore_form`: back from the tuple to what the caller gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_device, check_finite, check_real, check_tensor, describe

__all__ = [
    "NO_IDS",
    "Players",
    "add_at",
    "as_dtype",
    "flat_features",
    "format_background",
    "format_baselines",
    "format_feature_mask",
    "format_inputs",
    "restore_form",
    "sums_at",
]


NO_IDS = (
    "; ids, of words say, have no gradients: give what the embedding makes of them as inputs, and "
    "what follows it as model"
)


class Players(NamedTuple):
    """Which player each feature belongs to."""

    maps: tuple[Tensor | None, ...]
    """One int32 tensor ``[1 or batch, *feat]`` per input; None: feature i is player i."""
    ids: Tensor
    """int64 ``[n_players]``: the number that the caller gave to each player, ascending."""

    @property
    def n_players(self) -> int:
        """How many players there are, over all input tensors."""
        return int(self.ids.numel())

    @property
    def owners(self) -> Tensor:
        """The player of each feature of all inputs side by side, int64 [1 or batch, features]."""
        maps = [flat_features(each) for each in self.maps if each is not None]
        if not maps:
            return torch.arange(self.n_players, device=self.ids.device)[None]
        rows = max(map(len, maps))
        return torch.cat([each.expand(rows, -1) for each in maps], 1).long()


def format_inputs(inputs: Any, *, gradients: bool = False) -> tuple[tuple[Tensor, ...], bool]:
    """Check ``inputs`` and return them as a tuple of detached tensors.

    Parameters
    ----------
    inputs : Tensor or tuple or list of Tensor, shape [batch, *feat] each
        Dimension 0 counts examples and agrees over the tuple. A list is read as a tuple.
    gradients : bool
        Whether gradients with respect to the inputs will be taken, which needs floating point.

    Returns
    -------
    tuple of Tensor
        The same memory, detached: ``requires_grad`` and ``grad`` of the caller's are not touched.
    bool
        True if a tuple or a list came, so that the result should be a tuple too.

    Raises
    ------
    TypeError
        If something is not a tensor, or not floating point where gradients are needed.
    ValueError
        If there is no tensor, no example, no feature in any of them, a NaN or an infinity, or if
        sizes or devices differ over the tuple.
    """
    is_tuple = isinstance(inputs, (tuple, list))
    if is_tuple:
        given = tuple(inputs)
    elif isinstance(inputs, Tensor) or not isinstance(inputs, Mapping):
        given = (inputs,)
    else:
        keys = ", ".join(map(str, inputs))
        raise TypeError(
            f"inputs must be a tensor or a tuple of tensors, got a mapping with the keys {keys}; "
            "give their tensors as a tuple and the model as a function or module that names them"
        )
    if not given:
        raise ValueError("inputs must hold at least one tensor, got an empty tuple")
    names = _names("inputs", len(given), is_tuple)
    for name, value in zip(names, given, strict=True):
        _check_input(name, check_tensor(name, value), gradients)
        if value is not given[0]:
            check_device(name, value, given[0].device)
            if value.shape[0] != given[0].shape[0]:
                raise ValueError(
                    f"{name} must have {given[0].shape[0]} examples in dimension 0 like "
                    f"{names[0]}, got shape {list(value.shape)}"
                )
        check_finite(name, value)
    if not any(map(Tensor.numel, given)):
        raise ValueError(
            f"{names[0]} must have at least one feature, got shape {list(given[0].shape)}"
        )
    # Of a negated view, as the imaginary part of a conjugate is, kernels would read the other sign.
    return tuple([value.detach().resolve_neg() for value in given]), is_tuple


def format_baselines(
    baselines: Any, inputs: tuple[Tensor, ...], *, name: str = "baselines"
) -> tuple[Tensor | float, ...]:
    """Return one baseline per input tensor.

    Parameters
    ----------
    baselines : None, float, Tensor, or tuple of these
        None is 0. A tensor has shape ``[batch, *feat]``, ``[1, *feat]`` or ``[*feat]``, or a shape
        that broadcasts to one of these, as ``[batch, 1]`` does. One number serves every tensor of a
        tuple.
    inputs : tuple of Tensor
        As `format_inputs` returns them.
    name : str
        What the caller calls this argument.

    Returns
    -------
    tuple of float or Tensor, shape [1 or batch, *feat]
        Tensors have the dtype of the input.

    Raises
    ------
    TypeError
        If a baseline is neither a number nor a tensor.
    ValueError
        If the count, a shape or a device does not fit, or a value is NaN, infinite, or out of the
        range of the input's dtype.
    """
    if baselines is None:
        return (0.0,) * len(inputs)
    given = _per_input(name, baselines, inputs, spread=(np.bool_, Real))
    names = _names(name, len(inputs), isinstance(baselines, (tuple, list)))
    return tuple(
        _format_baseline(label, value, tensor)
        for label, value, tensor in zip(names, given, inputs, strict=True)
    )


def format_background(
    background: Any, inputs: tuple[Tensor, ...] | None = None, *, name: str = "background"
) -> tuple[Tensor, ...]:
    """Return a distribution of baselines: ``n_background`` rows for each input tensor.

    Parameters
    ----------
    background : Tensor or tuple of Tensor, shape [n_background, *feat] each
        Rows are independent of the batch; dimension 0 agrees over the tuple.
    inputs : tuple of Tensor, optional
        Where given, shapes, dtypes and devices must fit them.
    name : str
        What the caller calls this argument.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    TypeError
        If something is not a tensor.
    ValueError
        If there is no row, a NaN, or a shape, a device or a value that does not fit.
    """
    is_tuple = isinstance(background, (tuple, list))
    given = tuple(background) if is_tuple else (background,)
    names = _names(name, len(given), is_tuple)
    for label, value in zip(names, given, strict=True):
        _check_input(label, check_tensor(label, value), False, rows="row")
        check_finite(label, value)
        if value.shape[0] != given[0].shape[0]:
            raise ValueError(
                f"{label} must have {given[0].shape[0]} rows like {names[0]}, "
                f"got shape {list(value.shape)}"
            )
    if inputs is None:
        return tuple(value.detach() for value in given)
    if len(given) != len(inputs):
        raise ValueError(
            f"{name} must hold {len(inputs)} tensor(s), one per input, got {len(given)}"
        )
    return tuple(
        _fit_background(label, value.detach(), tensor)
        for label, value, tensor in zip(names, given, inputs, strict=True)
    )


def format_feature_mask(
    feature_mask: Any, inputs: tuple[Tensor, ...], *, name: str = "feature_mask"
) -> Players:
    """Return which player each feature belongs to.

    Parameters
    ----------
    feature_mask : None, Tensor, or tuple of Tensor
        Whole numbers from 0, of any real dtype and of a shape that broadcasts to the input's:
        features with the same number are one player, also across the tensors of a tuple. Numbers
        may leave gaps. None: every feature is its own player, counting on across the tuple.
    inputs : tuple of Tensor
        As `format_inputs` returns them.
    name : str
        What the caller calls this argument.

    Returns
    -------
    Players
        Compact player numbers in the order of the ids given.

    Raises
    ------
    TypeError
        If a mask is not a tensor of whole numbers.
    ValueError
        If the count or a shape does not fit, or an id is negative.
    """
    device = inputs[0].device
    if feature_mask is None:
        sizes = [tensor[0].numel() for tensor in inputs]
        return Players(_counting_maps(inputs, sizes), torch.arange(sum(sizes), device=device))
    given = _per_input(name, feature_mask, inputs, spread=())
    names = _names(name, len(inputs), isinstance(feature_mask, (tuple, list)))
    maps = [
        _format_map(label, value, tensor)
        for label, value, tensor in zip(names, given, inputs, strict=True)
    ]
    ids = torch.unique(torch.cat([mask.flatten() for mask in maps]))
    compact = (torch.searchsorted(ids, mask.contiguous()).to(torch.int32) for mask in maps)
    return Players(
        tuple(
            mask.expand(mask.shape[0], *tensor.shape[1:]).contiguous()
            for mask, tensor in zip(compact, inputs, strict=True)
        ),
        ids,
    )


def flat_features(tensor: Tensor, lead: int = 1) -> Tensor:
    """Put all dimensions after the first ``lead`` into one; where there are none, its size is 1.

    ``[batch, *feat] -> [batch, features]``
    """
    return tensor.reshape(*tensor.shape[:lead], prod(tensor.shape[lead:]))


def restore_form(tensors: tuple[Tensor, ...], is_tuple: bool) -> Tensor | tuple[Tensor, ...]:
    """Return a tuple if a tuple came in, else the single tensor."""
    return tensors if is_tuple else tensors[0]


def _names(name: str, count: int, is_tuple: bool) -> list[str]:
    several = is_tuple and count > 1
    return [f"{name}[{index}]" for index in range(count)] if several else [name] * count


def _per_input(
    name: str, value: Any, inputs: tuple[Tensor, ...], spread: tuple[type, ...]
) -> tuple[Any, ...]:
    """Return one entry per input; a value of a type in ``spread`` serves all."""
    if isinstance(value, (tuple, list)):
        given = tuple(value)
    elif isinstance(value, spread):
        return (value,) * len(inputs)
    else:
        given = (value,)
    if len(given) != len(inputs):
        raise ValueError(
            f"{name} must have {len(inputs)} entries, one per input tensor, got {describe(value)}"
        )
    return given


def _check_input(name: str, value: Tensor, gradients: bool, rows: str = "example") -> None:
    if value.layout != torch.strided or value.is_nested:
        raise TypeError(f"{name} must be a dense tensor, got layout {value.layout}")
    check_real(name, value)
    if gradients and not value.is_floating_point():
        raise TypeError(
            f"{name} must be floating point for gradients to be taken, got {value.dtype}{NO_IDS}"
        )
    if value.dim() < 1:
        raise ValueError(f"{name} must have a batch dimension, got shape []")
    if value.shape[0] == 0:
        raise ValueError(f"{name} must have at least one {rows}, got shape {list(value.shape)}")


def _format_baseline(name: str, value: Any, tensor: Tensor) -> Tensor | float:
    if value is None:
        return 0.0
    if isinstance(value, (Real, np.bool_)):
        number = float(value)
        if number != number or number in (float("inf"), float("-inf")):
            raise ValueError(f"{name} must be finite, got {value!r}")
        if number % 1 and not tensor.is_floating_point():
            raise TypeError(
                f"{name} must be a whole number for inputs of {tensor.dtype}, got {value!r}"
            )
        _check_range(name, number, number, tensor.dtype)
        return number
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a number or a tensor, got {describe(value)}")
    if value.dim() == 0:
        return _format_baseline(name, value.item(), tensor)
    check_device(name, value, tensor.device)
    feature_shape = tensor.shape[1:]
    full = _with_all_dimensions(value, tensor)
    if full is None:
        fitting = dict.fromkeys((tensor.shape[0], 1))
        shapes = " or ".join(str([count, *feature_shape]) for count in fitting)
        raise ValueError(
            f"{name} must be a number or have shape {shapes}, got {list(value.shape)}"
            f"{_one_example(value, tensor)}{_a_background(value, tensor)}"
        )
    check_finite(name, value)
    found = as_dtype(name, full.detach().resolve_neg(), tensor.dtype)
    if found.shape[1:] == feature_shape:
        return found
    return found.expand(found.shape[0], *feature_shape).contiguous()


def _with_all_dimensions(value: Tensor, tensor: Tensor) -> Tensor | None:
    """Return a value with a size, 1 or the input's, in each of its dimensions; None: it has not."""
    if value.dim() > tensor.dim():
        return None
    full = value.reshape(*[1] * (tensor.dim() - value.dim()), *value.shape)
    fits = all(have in (1, want) for have, want in zip(full.shape, tensor.shape, strict=True))
    return full if fits else None


def _fit_background(name: str, value: Tensor, tensor: Tensor) -> Tensor:
    if value.dim() == tensor.dim() and _with_all_dimensions(value[:1], tensor) is not None:
        value = value.expand(value.shape[0], *tensor.shape[1:]).contiguous()
    if value.shape[1:] != tensor.shape[1:]:
        listed = ", ".join(("*", *(str(size) for size in tensor.shape[1:])))
        raise ValueError(
            f"{name} must have shape [{listed}], got {list(value.shape)}"
            f"{_one_example(value, tensor)}"
        )
    check_device(name, value, tensor.device)
    return as_dtype(name, value, tensor.dtype)


def _one_example(value: Tensor, tensor: Tensor) -> str:
    """Return a hint if the inputs lack the dimension of examples, which baselines have."""
    if value.shape[1:] != tensor.shape:
        return ""
    return (
        f"; dimension 0 of inputs counts examples, which makes {len(tensor)} of shape "
        f"{list(tensor.shape)}: give a single example as inputs.unsqueeze(0)"
    )


def _a_background(value: Tensor, tensor: Tensor) -> str:
    """Return a hint if the baselines are a set of rows, of which there is not one per example."""
    if value.shape[1:] != tensor.shape[1:] or len(value) < 2 or value.shape[1:] == tensor.shape:
        return ""
    return (
        "; rows that stand for a distribution are given as imputer=pyxai.imputers.Marginal(rows) "
        "where a method has that option, or to one that averages over baselines, such as "
        "'expected_gradients' or 'deep_lift_shap'"
    )


def as_dtype(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert to the dtype of the input, which must be able to hold the values.

    Raises
    ------
    TypeError
        If there are fractions and the dtype has none.
    ValueError
        If a value is out of the dtype's range.
    """
    if value.dtype == dtype or value.numel() == 0:
        return value.to(dtype)
    if value.is_floating_point() and not dtype.is_floating_point and bool((value % 1 != 0).any()):
        raise TypeError(f"{name} must hold whole numbers for inputs of {dtype}, got {value.dtype}")
    low, high = value.double().aminmax()
    _check_range(name, float(low), float(high), dtype)
    return value.to(dtype)


def _check_range(name: str, low: float, high: float, dtype: torch.dtype) -> None:
    """Raise unless the dtype holds both numbers; it would wrap around, or be infinite."""
    least, most = _limits(dtype)
    if low < least or high > most:
        raise ValueError(
            f"{name} must lie in {least:g} .. {most:g} for inputs of {dtype}, "
            f"got {low if low < least else high:g}"
        )


def _limits(dtype: torch.dtype) -> tuple[float, float]:
    if dtype == torch.bool:
        return 0, 1
    limits = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    return limits.min, limits.max


def _counting_maps(inputs: tuple[Tensor, ...], sizes: list[int]) -> tuple[Tensor | None, ...]:
    if len(inputs) == 1:
        return (None,)
    maps, start = [], 0
    for tensor, size in zip(inputs, sizes, strict=True):
        ids = torch.arange(start, start + size, dtype=torch.int32, device=tensor.device)
        maps.append(ids.view(1, *tensor.shape[1:]))
        start += size
    return tuple(maps)


def _format_map(name: str, value: Any, tensor: Tensor) -> Tensor:
    """Return ids as int64 ``[1 or batch, *feat]``, or with sizes 1 that broadcast."""
    check_device(name, check_tensor(name, value), tensor.device)
    check_real(name, value)
    if value.is_floating_point() and not bool((value % 1 == 0).all()):
        raise TypeError(f"{name} must hold integers, got {value.dtype} with fractions")
    full = _with_all_dimensions(value, tensor)
    if full is None or (value.numel() == 0 and tensor.numel() > 0):
        raise ValueError(
            f"{name} must broadcast to shape {list(tensor.shape)}, got {list(value.shape)}"
        )
    ids: Tensor = full.to(torch.int64)
    if ids.numel() and int(ids.min()) < 0:
        raise ValueError(f"{name} must hold ids of at least 0, got {int(ids.min())}")
    return ids


def add_at(total: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """Add ``values[i]`` to ``total[index[i]]``, in place, and return ``total``.

    Parameters
    ----------
    total : Tensor, shape [n, ...]
        Floating point.
    index : Tensor, shape [m]
        int64, on the device of ``total``.
    values : Tensor, shape [m, ...]

    Notes
    -----
    ``index_add_`` and ``scatter_add_`` add by atomic operations on a GPU, in another order on each
    call; ``index_put_`` sorts there. Where whole numbers are added, order does not matter.
    """
    if values.is_cuda:
        return total.index_put_((index,), values, accumulate=True)
    return total.index_add_(0, index, values)


def sums_at(index: Tensor, values: Tensor, count: int) -> Tensor:
    """Sum the values of each row that have the same number.

    Parameters
    ----------
    index : Tensor, shape [rows, m]
        int64, below ``count``, on the device of ``values``.
    values : Tensor, shape [rows, m]
        Floating point.
    count : int

    Returns
    -------
    Tensor, shape [rows, count]
        0 where a row has no such number.
    """
    total = values.new_zeros(len(values), count)
    if not values.is_cuda:
        return total.scatter_add_(1, index, values)
    rows = torch.arange(len(values), device=values.device)[:, None].expand_as(index)
    return total.index_put_((rows, index), values, accumulate=True)
