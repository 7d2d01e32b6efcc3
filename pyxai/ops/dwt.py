"""Discrete wavelet transforms of several levels, differentiable in the signals and the filters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_choice, check_device, check_dtype, check_int, check_tensor
from pyxai.ops._filter_bank import (
    WAVELET_MODES,
    WaveletBands,
    analyse,
    filter_bank,
    synthesise,
    wavelet_bands,
)

__all__ = [
    "WAVELET_MODES",
    "dwt",
    "dwt_reference",
    "filter_bank",
    "idwt",
    "idwt_reference",
    "idwt_transpose",
    "wavelet_bands",
]

_DTYPES = (torch.float32, torch.float64)


def dwt(
    signals: Tensor,  # [..., *sizes]
    bank: Tensor,  # [2, n_taps]
    *,
    level: int,
    mode: str = "symmetric",
    n_dims: int = 1,
    backend: str | None = None,
) -> Tensor:
    """Divide signals or images into bands, level by level.

    ``low[k] = sum over i of h[i] * x[2 k + i - left]`` and ``high[k]`` the same with g, where
    ``left`` is ``n_taps - 2``, for periodization ``n_taps / 2 - 1``; images along both dimensions;
    and from the low-pass the next level.

    Parameters
    ----------
    signals : Tensor, shape [..., length] or [..., height, width]
        float32 or float64, any unit.
    bank : Tensor, shape [2, n_taps]
        Low-pass h and high-pass g of the dtype of ``signals``, an even number of taps, at most 256.
    level : int
        How often the approximation is divided, at most 40.
    mode : str
        What stands beyond the ends; one of `WAVELET_MODES`.
    n_dims : int
        1 for signals, 2 for images.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``signals`` lives.

    Returns
    -------
    Tensor, shape [..., n_coefficients]
        The bands side by side in PyWavelets' order, in the unit of ``signals``: the approximation,
        then the details from the coarsest level, for images of each level horizontal, vertical and
        diagonal. Differentiable in ``signals`` any number of times, in ``bank`` once.

    Raises
    ------
    ValueError
        If a shape or a device does not fit, or a signal is shorter than the filter at a level.
    TypeError
        If a dtype does not match.

    Notes
    -----
    One read of the signals and one write of the coefficients; what lies between stays in the cache
    of a core, on a GPU in shared memory where it fits. Deterministic on every backend. In a traced
    or compiled model plain torch operations take the kernel's place.

    References
    ----------
    .. [1] S. Mallat, "A Theory for Multiresolution Signal Decomposition: The Wavelet
       Representation", IEEE TPAMI 11(7), 1989.
    """
    return _analysed(signals, bank, level, mode, n_dims, backend, str)


def _analysed(
    signals: Tensor,
    bank: Tensor,
    level: int,
    mode: str,
    n_dims: int,
    backend: str | None,
    extension: Callable[[str], str],
) -> Tensor:
    if check_int("n_dims", n_dims, minimum=1) > 2:
        raise ValueError(f"n_dims must be 1 or 2, got {n_dims}")
    _check_values("signals", signals, n_dims, bank)
    sizes = tuple(signals.shape[-n_dims:])
    shape = _bands(sizes, bank, level, mode, "sizes of signals")
    if torch.compiler.is_compiling():
        return analyse(signals, bank, level, extension(mode), n_dims)
    name = check_backend(signals.device, backend)
    found: Tensor = _Analysis.apply(  # type: ignore[no-untyped-call]
        signals.reshape(-1, *sizes), bank, shape, extension(mode), name
    )
    return found.view(*signals.shape[:-n_dims], found.shape[1])


def idwt(
    coefficients: Tensor,  # [..., n_coefficients]
    bank: Tensor,  # [2, n_taps]
    *,
    sizes: tuple[int, ...],
    level: int,
    mode: str = "symmetric",
    backend: str | None = None,
) -> Tensor:
    """Put signals or images together from their bands: the transpose of `dwt` with zeros beyond.

    It is the inverse of `dwt` in every mode if the bank is orthogonal.

    Parameters
    ----------
    coefficients : Tensor, shape [..., n_coefficients]
        As `dwt` returns them.
    bank : Tensor, shape [2, n_taps]
        As for `dwt`.
    sizes : tuple of int
        Sizes of a signal or of an image, one or two.
    level, mode, backend
        As for `dwt`; of the modes only periodization comes back in another way.

    Returns
    -------
    Tensor, shape [..., *sizes]
        Differentiable in ``coefficients`` any number of times, in ``bank`` once.

    Raises
    ------
    ValueError
        If a shape or a device does not fit, or a signal is shorter than the filter at a level.
    TypeError
        If a dtype does not match.
    """
    _check_values("coefficients", coefficients, 1, bank)
    shape = _bands(tuple(sizes), bank, level, mode, "sizes")
    if coefficients.shape[-1] != sum(shape.counts):
        raise ValueError(
            f"coefficients must have shape [..., {sum(shape.counts)}], "
            f"got {list(coefficients.shape)}"
        )
    if torch.compiler.is_compiling():
        return synthesise(coefficients, bank, shape, mode)
    name = check_backend(coefficients.device, backend)
    extension = _beyond(mode)
    found: Tensor = _Synthesis.apply(  # type: ignore[no-untyped-call]
        coefficients.reshape(-1, coefficients.shape[-1]), bank, shape, extension, name
    )
    return found.view(*coefficients.shape[:-1], *shape.lengths[0])


def idwt_transpose(
    signals: Tensor,  # [..., *sizes]
    bank: Tensor,  # [2, n_taps]
    *,
    level: int,
    mode: str = "symmetric",
    n_dims: int = 1,
    backend: str | None = None,
) -> Tensor:
    """Take gradients of a function of signals to the coefficients that `idwt` makes these from.

    It is `dwt` with zeros beyond the ends, for periodization that with one more zero after a signal
    of odd length.

    Parameters
    ----------
    signals : Tensor, shape [..., length] or [..., height, width]
        Gradients with respect to signals.
    bank, level, mode, n_dims, backend
        As for `dwt`.

    Returns
    -------
    Tensor, shape [..., n_coefficients]
        ``<signals, idwt(c)>`` differentiated with respect to c; differentiable as `dwt` is.

    Raises
    ------
    ValueError
        If a shape or a device does not fit, or a signal is shorter than the filter at a level.
    TypeError
        If a dtype does not match.
    """
    return _analysed(signals, bank, level, mode, n_dims, backend, _beyond)


def _beyond(mode: str) -> str:
    """Return what stands beyond the ends for the way back: no part of a signal.

    Of periodization the repeated last sample of an odd signal is none.
    """
    return "wrapped" if mode == "periodization" else "zero"


def _check_values(name: str, values: Tensor, n_dims: int, bank: Tensor) -> None:
    check_dtype(name, check_tensor(name, values), _DTYPES)
    check_dtype("bank", check_tensor("bank", bank), (values.dtype,))
    check_device("bank", bank, values.device)
    if values.dim() < n_dims:
        raise ValueError(f"{name} must have {n_dims} dimensions or more, got {values.dim()}")
    n_taps = bank.shape[-1] if bank.dim() == 2 and bank.shape[0] == 2 else 0
    if n_taps < 2 or n_taps % 2 or n_taps > _C.max_taps:
        raise ValueError(
            f"bank must have shape [2, n_taps] with an even number of taps up to {_C.max_taps}, "
            f"got {list(bank.shape)}"
        )


def _bands(sizes: tuple[int, ...], bank: Tensor, level: int, mode: str, name: str) -> WaveletBands:
    if check_int("level", level, minimum=1) > _C.max_levels:
        raise ValueError(f"level must be at most {_C.max_levels}, got {level}")
    return wavelet_bands(
        sizes, bank.shape[1], level, check_choice("mode", mode, WAVELET_MODES), name
    )


def _signed(forward: Any) -> Any:
    """Keep the signature with a function: torch asks for it in every call, which takes longer."""
    forward.__signature__ = inspect.signature(forward)
    return forward


class _Transform(torch.autograd.Function):
    """A linear map of values, which depends on a bank; its derivative along values is itself."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        values, bank, *ctx.rest = inputs
        ctx.save_for_backward(values, bank)
        ctx.save_for_forward(values, bank)
        ctx.set_materialize_grads(False)  # tells a tangent of zeros from none

    @classmethod
    def along(cls, ctx: Any, values: Tensor | None, bank: Tensor | None) -> Tensor:
        """Return the derivative along a direction of the values."""
        if values is None or bank is not None:
            raise NotImplementedError(
                "forward-mode derivatives of a wavelet transform must be along its values, "
                "got a tangent of the bank; use reverse mode"
            )
        found: Tensor = cls.apply(values, ctx.saved_tensors[1], *ctx.rest)  # type: ignore[no-untyped-call]
        return found


class _Analysis(_Transform):
    @staticmethod
    @_signed
    def forward(
        signals: Tensor,  # [n_signals, *sizes]
        bank: Tensor,
        shape: WaveletBands,
        extension: str,
        backend: str,
    ) -> Tensor:
        out = signals.new_empty((signals.shape[0], sum(shape.counts)))
        _C.dwt(
            signals=signals.contiguous(),
            bank=bank.contiguous(),
            level=shape.level,
            extension=extension,
            out=out,
            backend=backend,
        )
        return out

    @staticmethod
    def backward(ctx: Any, grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if grads is None:
            return (None,) * 5
        signals, bank = ctx.saved_tensors
        of_signals, of_bank = ctx.needs_input_grad[:2]
        return (
            _Synthesis.apply(grads, bank, *ctx.rest) if of_signals else None,  # type: ignore[no-untyped-call]
            _FilterGradient.apply(signals, grads, bank, *ctx.rest) if of_bank else None,  # type: ignore[no-untyped-call]
            *(None,) * 3,
        )

    @staticmethod
    def jvp(ctx: Any, signals: Tensor | None, bank: Tensor | None, *_: Any) -> Tensor:
        return _Analysis.along(ctx, signals, bank)


class _Synthesis(_Transform):
    """The transpose of `_Analysis`."""

    @staticmethod
    @_signed
    def forward(
        coefficients: Tensor,  # [n_signals, n_coefficients]
        bank: Tensor,
        shape: WaveletBands,
        extension: str,
        backend: str,
    ) -> Tensor:
        out = coefficients.new_empty((coefficients.shape[0], *shape.lengths[0]))
        _C.idwt(
            coefficients=coefficients.contiguous(),
            bank=bank.contiguous(),
            level=shape.level,
            extension=extension,
            out=out,
            backend=backend,
        )
        return out

    @staticmethod
    def backward(ctx: Any, grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if grads is None:
            return (None,) * 5
        coefficients, bank = ctx.saved_tensors
        of_coefficients, of_bank = ctx.needs_input_grad[:2]
        return (
            _Analysis.apply(grads, bank, *ctx.rest) if of_coefficients else None,  # type: ignore[no-untyped-call]
            # <grads, transpose(coefficients)> = <analysis(grads), coefficients>.
            _FilterGradient.apply(grads, coefficients, bank, *ctx.rest) if of_bank else None,  # type: ignore[no-untyped-call]
            *(None,) * 3,
        )

    @staticmethod
    def jvp(ctx: Any, coefficients: Tensor | None, bank: Tensor | None, *_: Any) -> Tensor:
        return _Synthesis.along(ctx, coefficients, bank)


class _FilterGradient(torch.autograd.Function):
    """Gradient of ``<analysis(signals), coefficients>`` with respect to the bank."""

    @staticmethod
    def forward(
        ctx: Any,
        signals: Tensor,
        coefficients: Tensor,
        bank: Tensor,
        shape: WaveletBands,
        extension: str,
        backend: str,
    ) -> Tensor:
        out = torch.empty(bank.shape, dtype=torch.float64, device=bank.device)
        _C.dwt_filter_gradient(
            signals=signals.contiguous(),
            coefficients=coefficients.contiguous(),
            bank=bank.contiguous(),
            level=shape.level,
            extension=extension,
            out=out,
            backend=backend,
        )
        return out.to(bank.dtype)

    @staticmethod
    def backward(ctx: Any, grads: Tensor) -> Any:
        raise NotImplementedError(
            "bank of a wavelet transform must be differentiated once, got a second derivative"
        )


def dwt_reference(
    signals: Tensor, bank: Tensor, *, level: int, mode: str = "symmetric", n_dims: int = 1
) -> Tensor:
    """Do what `dwt` does, plainly and in float64; differentiable by autograd."""
    return analyse(signals.double(), bank.double(), level, mode, n_dims)


def idwt_reference(
    coefficients: Tensor,
    bank: Tensor,
    *,
    sizes: tuple[int, ...],
    level: int,
    mode: str = "symmetric",
) -> Tensor:
    """Do what `idwt` does, plainly and in float64; differentiable by autograd."""
    shape = wavelet_bands(sizes, bank.shape[1], level, mode)
    return synthesise(coefficients.double(), bank.double(), shape, mode)
