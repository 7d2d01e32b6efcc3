"""From images as people have them to what a model sees of them, in pixels from 0 to 1."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai._extras import optional

__all__ = ["Processor", "read_images"]


class Processor:
    """What cuts images to the size of a model, and the colours that it takes away from them.

    Parameters
    ----------
    processor : transformers image processor, callable or None
        See `ImageClassifier`.
    mean, std : sequence of float, optional
        In place of those of the processor.
    channels : int
        Of the images that the model takes.

    Raises
    ------
    TypeError
        If ``processor`` is none of these.
    ValueError
        If it makes something else than numbers from 0 to 1 of bytes, or mean and std do not fit.
    """

    def __init__(self, processor: Any, mean: Any, std: Any, channels: int) -> None:
        if not (processor is None or callable(processor)):
            raise TypeError(f"processor must be callable, got {describe(processor)}")
        self._by_name = hasattr(processor, "image_mean") and hasattr(processor, "image_std")
        self.processor, self.channels = processor, channels
        if self._by_name:
            _check_scale(processor)
        normalises = self._by_name and getattr(processor, "do_normalize", True)
        own = (processor.image_mean, processor.image_std) if normalises else (0.0, 1.0)
        given = zip(("mean", "std"), (mean, std), own, strict=True)
        self.mean, self.std = (
            _colour(name, other if value is None else value, channels)
            for name, value, other in given
        )
        if not bool((self.std > 0).all()):
            raise ValueError(f"std must be positive, got {self.std.flatten().tolist()}")

    def __call__(self, image: Any) -> Tensor:
        """Return the pixels of an image that the model sees, float32 [channels, height, width].

        Parameters
        ----------
        image : PIL image, or array from 0 to 1, float32 [height, width, channels]
        """
        if self.processor is None:
            made = _as_pixels(np.asarray(image), self.channels)
        elif self._by_name:
            made = self._processed(image)
        elif isinstance(image, np.ndarray):
            raise TypeError(
                "images must be PIL images or bytes for a processor that is a function, got "
                f"{image.dtype}"
            )
        else:
            made = self.processor(image)
        if not isinstance(made, Tensor) or made.dim() != 3 or made.shape[0] != self.channels:
            raise ValueError(
                f"processor must make a tensor [{self.channels}, height, width], got "
                f"{describe(made)}"
            )
        low, high = (float(end) for end in made.aminmax())
        if low < 0 or high > 1:
            raise ValueError(
                f"processor must make pixels from 0 to 1, got {low:.3g} to {high:.3g}; colours are "
                "taken away by mean and std"
            )
        return made

    def _processed(self, image: Any) -> Tensor:
        """Return what a processor of transformers makes of an image before it normalises."""
        options: dict[str, Any] = {"do_normalize": False, "return_tensors": "pt"}
        if isinstance(image, np.ndarray):
            options |= {"do_rescale": False, "input_data_format": "channels_last"}
        made = self.processor(image, **options)["pixel_values"]
        # Bicubic interpolation leaves the range by rounding.
        return made[0].float().clamp(0, 1) if isinstance(made, Tensor) else made


def read_images(images: Any, channels: int) -> tuple[list[Any], bool]:
    """Return images one by one, as PIL images or arrays from 0 to 1, and whether they were several.

    Parameters
    ----------
    images : see `ImageClassifier.explain`
    channels : int
        1: they are made grey, as far as they have colours.

    Raises
    ------
    TypeError
        If something is no image.
    ValueError
        If it is of another shape, or its numbers are not from 0 to 1.
    """
    several = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
    listed = list(images) if several else [images]
    if not listed:
        raise ValueError("images must hold at least one image, got none")
    names = [f"images[{at}]" if several else "images" for at in range(len(listed))]
    return [
        _read(name, image, channels) for name, image in zip(names, listed, strict=True)
    ], several


def _read(name: str, image: Any, channels: int) -> Any:
    with optional("images need", "pillow>=10", "metrics"):
        pil = importlib.import_module("PIL.Image")
    if isinstance(image, pil.Image):
        return _one_mode(name, image, channels)
    if isinstance(image, Tensor):
        image = _channels_last(name, image.detach().cpu())
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"{name} must be a PIL image, an array [height, width, 3] or a tensor "
            f"[3, height, width], got {describe(image)}"
        )
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise ValueError(
            f"{name} must have shape [height, width, 3] or [height, width], tensors "
            f"[3, height, width], got {list(image.shape)}"
        )
    if image.dtype == np.uint8:
        flat = image[:, :, 0] if image.shape[2] == 1 else image
        return _one_mode(name, pil.fromarray(np.ascontiguousarray(flat)), channels)
    return _numbers(name, image, channels)


def _one_mode(name: str, image: Any, channels: int) -> Any:
    """Return a PIL image in the colours that the model takes."""
    if "A" in image.mode or "transparency" in image.info:
        raise ValueError(
            f"{name} must have no transparent pixels, got mode {image.mode}; lay it on a colour, "
            "or drop them by image.convert('RGB')"
        )
    if image.mode[0] in "IF":
        raise ValueError(f"{name} must be of 8 bits for each channel, got mode {image.mode}")
    wanted = "L" if channels == 1 else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _channels_last(name: str, image: Tensor) -> Any:
    if image.dim() not in (2, 3) or (image.dim() == 3 and image.shape[0] not in (1, 3)):
        raise ValueError(
            f"{name} must have shape [3, height, width] or [height, width] as a tensor, arrays "
            f"[height, width, 3], got {list(image.shape)}"
        )
    last = image if image.dim() == 2 else image.movedim(0, 2)
    return (last.float() if last.dtype == torch.bfloat16 else last).numpy()


def _numbers(name: str, image: Any, channels: int) -> Any:
    """Return numbers from 0 to 1 as float32 [height, width, channels]."""
    if image.dtype.kind != "f":
        raise TypeError(f"{name} must hold bytes (uint8) or fractions, got {image.dtype}")
    if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
        raise ValueError(
            f"{name} must hold numbers from 0 to 1, or bytes (uint8), got {image.min():.3g} to "
            f"{image.max():.3g}"
        )
    if image.shape[2] != channels:
        if channels == 1:
            raise ValueError(f"{name} must be grey for the model, got {image.shape[2]} channels")
        image = image.repeat(channels, axis=2)
    return image.astype(np.float32)


def _as_pixels(image: Any, channels: int) -> Tensor:
    """Return an image as it is, as a tensor."""
    if image.dtype == np.uint8:
        image = image.astype(np.float32) / 255
    return torch.tensor(image.reshape(*image.shape[:2], channels)).movedim(2, 0).contiguous()


def _check_scale(processor: Any) -> None:
    factor = getattr(processor, "rescale_factor", None) or 1 / 255
    rescales = getattr(processor, "do_rescale", True)
    if not rescales or abs(factor * 255 - 1) > 1e-3 or getattr(processor, "offset", False):
        raise ValueError(
            "processor must make numbers from 0 to 1 of bytes, got "
            f"do_rescale={rescales}, rescale_factor={factor:.4g}"
        )


def _colour(name: str, value: Any, channels: int) -> Tensor:
    """Return a number for each channel, [channels, 1, 1]."""
    found = torch.as_tensor(value, dtype=torch.float32).flatten()
    if found.numel() not in (1, channels) or not bool(found.isfinite().all()):
        raise ValueError(f"{name} must have a number for each of {channels} channels, got {value}")
    return found.expand(channels).clone().view(-1, 1, 1)
