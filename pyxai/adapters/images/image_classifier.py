"""From a classifier of images and a photograph to a map of what mattered."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_choice, check_int, check_module, describe
from pyxai._inputs import format_baselines
from pyxai._signatures import option_parameters
from pyxai.adapters.images.pixels import Processor, read_images
from pyxai.adapters.labels import class_names, each_target, targets_of
from pyxai.adapters.layers import refuse_layers, with_own_layers
from pyxai.explain import explain
from pyxai.explanation import Explanation
from pyxai.masks import patches, superpixels
from pyxai.methods.layer import find_layer
from pyxai.methods.store import Method
from pyxai.registry import find
from pyxai.runner import EveryOutput, Runner, one_scope

__all__ = ["ImageClassifier"]

_UNITS = ("pixel", "patch", "superpixel")
_COLOURS = {"black": 0.0, "white": 1.0}
_RESERVED = {
    "additional_forward_args": "the model takes images alone",
    "baselines": "baseline says what stands for absent pixels",
    "feature_mask": "unit says what is a player",
    "return_convergence_delta": "the result has it",
    "targets": "target is one label for each example; call once for each of several",
}


class ImageClassifier:
    """A classifier of images and what prepares images for it, explained in pixels.

    Parameters
    ----------
    model : nn.Module
        An image classifier of transformers, or any module of images [batch, channels,
        height, width] that returns [batch, classes].
    processor : transformers image processor, callable or None
        What cuts an image to the size of the model. One of transformers also says mean and
        standard deviation of the colours; a function makes pixels from 0 to 1, float [channels,
        height, width], of a PIL image; ``None``: images have the size of the model.
    labels : sequence of str, or dict, optional
        Names of the classes; default: those of the model's configuration.
    mean, std : float or sequence of float, optional
        What is subtracted from each channel and what it is divided by; default: those of the
        processor, else 0 and 1.
    device : torch.device or str, optional
        Where pixels are made; default: where the model's first parameter is.

    Raises
    ------
    TypeError
        If the model is no module, or the processor cannot be called.
    ValueError
        If the processor makes something else than numbers from 0 to 1 of bytes, or mean, std or
        labels do not fit.

    Notes
    -----
    Explained is what the model sees: the image after it was resized and cropped, before colours
    are standardised. That is a part of the function that is explained, so ``inputs`` and
    attributions are per pixel as people see it.

    Examples
    --------
    >>> import torch
    >>> from pyxai.adapters import ImageClassifier
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2, bias=False))
    >>> classifier = ImageClassifier(net, None, labels=["cat", "dog"], mean=0.5, std=0.5)
    >>> found = classifier.explain(torch.ones(3, 2, 2), target="dog")
    >>> found.attributions.shape
    torch.Size([1, 3, 2, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        *,
        labels: Any = None,
        mean: Any = None,
        std: Any = None,
        device: torch.device | str | None = None,
    ) -> None:
        check_module("model", model)
        self.model = model
        self.labels = class_names(labels, model)
        channels = getattr(getattr(model, "config", None), "num_channels", None) or 3
        self._processor = Processor(processor, mean, std, channels)
        floats = (p for p in model.parameters() if p.is_floating_point())
        like = next(floats, torch.zeros(()))
        self.device = torch.device(like.device if device is None else device)
        self._pixels = _PixelModel(model, self._processor.mean, self._processor.std)
        self._pixels.to(self.device)
        self._dtype = like.dtype

    @one_scope
    def explain(
        self,
        images: Any,
        *,
        method: Any = "integrated_gradients",
        target: Any = None,
        unit: Any = "pixel",
        baseline: Any = "mean",
        patch_size: int | None = None,
        n_segments: int = 100,
        **options: Any,
    ) -> Explanation | list[Explanation]:
        """Attribute the score of a class to the pixels of images.

        Parameters
        ----------
        images : PIL image, array, Tensor, or list of these
            Arrays are [height, width, 3] or [height, width], tensors [3, height, width] or
            [height, width], of bytes (uint8) or of numbers from 0 to 1; one dimension more in front
            makes several. Those of a list may have different sizes.
        method : str or type
            Name of a method, or its class.
        target : None, int, str, or list of these
            The class that is explained, its label, or one for each image; ``None``: the class that
            the model predicts.
        unit : "pixel", "patch", "superpixel", or Tensor, shape [height, width]
            What is a player: a pixel with all of its channels, a square, a segment of one colour,
            or what has one number in a tensor of int64 of the size that the model sees. Methods
            that score single numbers by gradients give each channel its own, and sums over larger
            units.
        baseline : "mean", "black", "white", float, or Tensor, shape [channels, height, width]
            What stands for absent pixels, from 0 to 1: the mean colour that the processor
            subtracts, or another.
        patch_size : int, optional
            Height and width of a square; default: that of the model's configuration, else 16.
        n_segments : int
            About how many segments an image gets (needs scikit-image, the extra ``regions``).
        **options
            Further arguments of the method; ``layer``, and layers of ``composite``, may be names
            among the model's ``named_modules()``.

        Returns
        -------
        Explanation, or list of Explanation
            One for each image, a batch of one: ``inputs`` [1, channels, height, width], from 0 to
            1, are what the model sees, attributions have that shape, but for methods that explain
            a layer. Among the ``options`` are ``unit``, ``baseline`` and the ``label`` of the
            target. ``plot()`` draws the map over the image.

        Raises
        ------
        ValueError
            If an image is of another shape or out of range, there is no such method, label, unit
            or baseline, or they do not fit.
        TypeError
            If an argument is not of its type, or the method does not take an option.

        Notes
        -----
        Images that the model sees in one size share a batch, and each gets what it gets alone.
        """
        listed, several = read_images(images, self._processor.channels)
        refuse_layers(method)
        entry = find(method) if isinstance(method, (str, type)) else None
        if entry is None:
            raise TypeError(f"method must be a name or a registered class, got {describe(method)}")
        for name in options:
            if name in _RESERVED:
                raise TypeError(f"options must not hold {name}: {_RESERVED[name]}")
        if isinstance(options.get("layer"), str):
            options["layer"] = find_layer(self.model, options["layer"])
        options = with_own_layers(options, self.model)
        self._pixels.training = self.model.training
        goals = each_target(target, len(listed), "images")
        seen = [self._processor(image).to(self.device, self._dtype) for image in listed]
        found: list[Explanation | None] = [None] * len(seen)
        for numbers in _of_one_size(seen):
            rows = torch.stack([seen[number] for number in numbers])
            given = self._players(entry, rows, unit, patch_size, n_segments, options)
            given |= self._baseline(entry, rows, baseline, options)
            targets = self._targets(rows, [goals[number] for number in numbers])
            each = explain(self._pixels, rows, method=method, target=targets, **given)
            for at, number in enumerate(numbers):
                label = self.labels.get(0 if targets is None else targets[at])
                told = {"unit": unit, "baseline": baseline, "label": label}
                found[number] = replace(each[at], options={**each[at].options, **told})
        results = [one for one in found if one is not None]
        return results if several else results[0]

    def _targets(self, rows: Tensor, goals: list[Any]) -> list[int] | None:
        """Return the class that is explained of each image; ``None`` of a model with one score."""
        outputs = Runner(self._pixels, target=EveryOutput()).outputs((rows,))
        found = targets_of(goals, outputs.view(len(rows), -1), self.labels)
        return found if outputs.dim() > 1 else None

    def _players(
        self,
        entry: Method,
        rows: Tensor,
        unit: Any,
        patch_size: int | None,
        n_segments: int,
        options: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the options of a method with what says which pixels are one player."""
        known = {each.name for each in option_parameters(entry.cls.attribute)}
        side = self._patch_size(patch_size)
        if entry.name == "occlusion" and isinstance(unit, str) and unit in _UNITS[:2]:
            window = (rows.shape[1], *(2 * [side if unit == "patch" else 1]))
            return {"sliding_window_shapes": window, "strides": window, **options}
        mask: Tensor | None = None
        if isinstance(unit, Tensor):
            mask = unit.to(rows.device)[None, None] if unit.dim() == 2 else unit.to(rows.device)
        elif check_choice("unit", unit, _UNITS) == "patch":
            mask = patches(rows, side)
        elif unit == "superpixel":
            mask = superpixels(rows, n_segments)
        elif "feature_mask" in known:
            mask = torch.arange(rows[0, 0].numel(), device=rows.device).view(rows[:1, :1].shape)
        if mask is None:
            return dict(options)
        if "segments" in known:  # of XRAI, [batch, height, width]
            return {"segments": mask.expand(len(rows), -1, -1, -1)[:, 0], **options}
        return {"feature_mask": mask, **options}

    def _patch_size(self, given: int | None) -> int:
        if given is not None:
            return check_int("patch_size", given, minimum=1)
        own = getattr(getattr(self.model, "config", None), "patch_size", None)
        return own if isinstance(own, int) else 16

    def _baseline(
        self, entry: Method, rows: Tensor, baseline: Any, options: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the argument for what stands for absent pixels, of methods that take it."""
        is_default = isinstance(baseline, str) and baseline == "mean"
        if entry.baselines == "none" or options.get("imputer") is not None:
            if not is_default:
                why = "takes none" if entry.baselines == "none" else "has an imputer"
                raise ValueError(
                    f"baseline must be left out for {entry.name}, which {why}, got "
                    f"{describe(baseline)}"
                )
            return {}
        start: Any = baseline
        if is_default:
            start = self._pixels.mean
        elif isinstance(baseline, str):
            start = _COLOURS[check_choice("baseline", baseline, ("mean", *_COLOURS))]
        elif not isinstance(baseline, (Real, Tensor)) or isinstance(baseline, bool):
            raise TypeError(
                f"baseline must be a colour by name, a number or a tensor, got {describe(baseline)}"
            )
        if isinstance(start, Tensor):
            start = start.to(rows)
        (made,) = format_baselines(start, (rows[:1],), name="baseline")
        whole = torch.as_tensor(made, dtype=rows.dtype, device=rows.device)
        return {"baselines": whole.expand(1, *rows.shape[1:]).contiguous()}


class _PixelModel(nn.Module):
    """A model as a function of pixels from 0 to 1, [batch, channels, height, width]."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.model = model
        self.training = model.training
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores of classes."""
        mean, std = self.mean.to(pixels.dtype), self.std.to(pixels.dtype)
        found = self.model((pixels - mean) / std)
        scores = getattr(found, "logits", found)
        if not isinstance(scores, Tensor) or scores.dim() not in (1, 2):
            raise ValueError(
                "model must return logits of shape [batch, classes], or a tensor of that shape, "
                f"got {describe(scores)}"
            )
        return scores


def _of_one_size(seen: list[Tensor]) -> list[list[int]]:
    """Return the numbers of images that have one size."""
    groups: dict[Any, list[int]] = {}
    for number, pixels in enumerate(seen):
        groups.setdefault(pixels.shape, []).append(number)
    return list(groups.values())
