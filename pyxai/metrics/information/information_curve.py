"""Softmax and accuracy information curves of images: output against the information shown."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai._random import example_ids
from pyxai.explanation.curve import Curve
from pyxai.explanation.rows import row_numbers
from pyxai.metrics.information.images import (
    check_images,
    check_maps,
    check_masks,
    check_target,
    check_thresholds,
)
from pyxai.metrics.information.partial_pictures import (
    Image,
    Mask,
    blurred,
    random_pixel_masks,
    webp_bytes,
)
from pyxai.metrics.options import sets
from pyxai.metrics.outputs import runner_without_warnings
from pyxai.runner import Runner, one_scope
from pyxai.runner.state import device_of, find_modules

__all__ = [
    "THRESHOLDS",
    "InformationCurve",
    "InformationCurves",
    "accuracy_information_curve",
    "softmax_information_curve",
]

# Fractions of the pixels that are revealed, those of the metric's authors.
THRESHOLDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75)


@dataclass(frozen=True)
class InformationCurve(Curve):
    """Curves of the images that the metric is defined for; NaN rows for the others.

    Attributes
    ----------
    skipped : dict of int to str
        Why an image has no curve.
    """

    skipped: dict[int, str] | None = None

    def aggregate(self, method: str = "median") -> Curve:
        """Return the pointwise median or mean curve over the images that have one.

        Raises
        ------
        ValueError
            If no image has a curve, or the method is unknown.
        """
        check_choice("method", method, ("median", "mean"))
        y = self._defined().y
        # torch's median takes the lower of two middle values; the metric takes their mean.
        value = y.quantile(0.5, 0) if method == "median" else y.mean(0)
        return Curve(self.x, value.unsqueeze(0), self.name, self.x_name)

    def mean(self) -> Curve:
        """Return the mean curve over the images that have one; see `aggregate`."""
        return self.aggregate("mean")

    def __getitem__(self, index: int | slice | Tensor) -> InformationCurve:
        kept = row_numbers(index, len(self)).tolist()
        reasons = self.skipped or {}
        skipped = {place: reasons[i] for place, i in enumerate(kept) if i in reasons}
        return replace(self, y=self.y[torch.tensor(kept, dtype=torch.int64)], skipped=skipped)

    def _defined(self) -> InformationCurve:
        y = self.y[~self.y.isnan().any(1)]
        if not len(y):
            raise ValueError(f"curve must have at least one image that is not skipped, got {self}")
        return replace(self, y=y, skipped={})

    def __repr__(self) -> str:
        return f"Information{super().__repr__()[:-1]}, {len(self.skipped or {})} skipped)"


class InformationCurves:
    """Images, masks and a model, prepared once for any number of attribution methods.

    Parameters
    ----------
    model : callable
        Takes what ``preprocess`` returns and gives logits ``[rows, n_classes]``.
    images : Tensor, shape [batch, channels, height, width] or [batch, height, width]
        uint8; 1, 3 or 4 channels, at least 2 pixels high and wide.
    target : int or Tensor, shape [batch]
        Explained class.
    preprocess : callable, optional
        From a uint8 batch of that form, on the CPU, to the model's input, where the model takes it;
        default: ``images.float() / 255`` on the device of the first parameter or buffer of the
        modules that can be seen in ``model``, or on the CPU where there is none.
    masks : Tensor, shape [batch, height, width], optional
        bool: the pixels that are known from the start; default: `random_pixel_masks` with ``seed``,
        by the content of each image. The same masks must serve all methods that are compared.
    output : "probability" or "accuracy"
        Softmax of the target, or 1 where the target is the largest output, else 0. A model of a
        single output is binary: the logistic function of it, or whether it is above 0.
    thresholds : sequence of float
        Fractions of the pixels to reveal, ascending.
    min_prediction : float
        Images with a lower output are skipped.
    keep_monotonous : bool
        Whether each output counts as the largest so far, in the order of the thresholds. As in the
        original procedure the points are put in the order of their information after that, so
        that a curve still falls where an image of more pixels is the smaller file.
    fast : bool
        Whether to triangulate a mask once for all channels, and masks in parallel. Pixels can
        differ from the original procedure by one level in 255.
    workers : int, optional
        Threads; default: one per core.
    seed : int
        Of the random masks.
    max_rows : int, optional
        Upper bound of rows in one call of the model.

    Raises
    ------
    ValueError
        If a shape or a number does not fit.
    TypeError
        If a dtype does not fit.
    ImportError
        If scipy or Pillow is not installed.

    References
    ----------
    .. [1] A. Kapishnikov, T. Bolukbasi, F. Viegas, M. Terry, "XRAI: Better Attributions Through
       Regions", ICCV 2019, section 4.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        images: Tensor,
        *,
        target: int | Tensor | Sequence[int],
        preprocess: Callable[[Tensor], Tensor] | None = None,
        masks: Tensor | None = None,
        output: str = "probability",
        thresholds: Sequence[float] = THRESHOLDS,
        min_prediction: float = 0.8,
        keep_monotonous: bool = True,
        fast: bool = True,
        workers: int | None = None,
        seed: int = 0,
        max_rows: int | None = None,
    ) -> None:
        self.images = check_images(images)
        batch, height, width = len(images), images.shape[-2], images.shape[-1]
        self.target = check_target(target, batch)
        check_choice("output", output, ("probability", "accuracy"))
        self.output, self.model, self.max_rows = output, model, max_rows
        device = device_of(find_modules(model))
        self.preprocess = preprocess or functools.partial(_to_unit, device=device)
        self.thresholds = check_thresholds(thresholds)
        self.keep_monotonous, self.fast = keep_monotonous, fast
        workers = (os.cpu_count() or 1) if workers is None else workers
        self.workers = check_int("workers", workers, minimum=1)
        if masks is None:
            ids = example_ids(None, (self.images,))
            masks = random_pixel_masks(batch, height, width, seed=seed, example_ids=ids)
        self.masks = check_masks(masks, (batch, height, width))
        if math.isnan(min_prediction):
            raise ValueError("min_prediction must be a number, got nan")
        # Channels that attributions may have: those of the images, or of what the model gets.
        self._channels = {1, self.images.shape[1]} if self.images.dim() == 4 else {1}
        self._prepare(min_prediction)

    def _prepare(self, min_prediction: float) -> None:
        """Find what all methods share: both ends of the entropy axis and of the output axis."""
        pictures = [_picture(image) for image in self.images]
        jobs = list(zip(pictures, self.masks, strict=True))
        start = self._parallel(lambda job: self._blur(*job), jobs)
        entropies = self._parallel(webp_bytes, pictures + start)
        values = self._outputs(pictures + start, torch.arange(len(pictures)).repeat(2))
        n = len(pictures)
        self._pictures = pictures
        self._entropy = np.array(entropies, dtype=np.float64).reshape(2, n)  # full, start
        self._value = values.reshape(2, n)
        self.skipped: dict[int, str] = {}
        for i in range(n):
            full, low = self._value[:, i]
            if full < min_prediction:
                self.skipped[i] = f"output {full:.4f} is below min_prediction {min_prediction}"
            elif self._entropy[1, i] >= self._entropy[0, i]:
                self.skipped[i] = "the blurred image holds as much information as the image"
            elif low >= full:
                self.skipped[i] = f"output {low:.4f} at the blurred image is not below {full:.4f}"

    def curve(self, attributions: Tensor, *, n_points: int = 1000) -> InformationCurve:
        """Return the information curve of one attribution per image.

        Parameters
        ----------
        attributions : Tensor, shape [batch, height, width] or [batch, channels, height, width]
            Channels, one or those of ``images`` or of the model's input, are summed; take absolute
            values before, if they are meant.
        n_points : int
            Points on the information axis, besides the one at 1.

        Returns
        -------
        InformationCurve
            ``.auc`` [batch], NaN for skipped images; ``.aggregate()`` for the whole set.

        Raises
        ------
        ValueError
            If the shape does not fit or a value is not finite.
        TypeError
            If ``attributions`` is not a tensor.
        """
        maps = check_maps(attributions, self.images, self._channels)
        check_int("n_points", n_points, minimum=1)
        valid = [i for i in range(len(maps)) if i not in self.skipped]
        jobs = [
            (self._pictures[i], self._revealed(maps[i], self.masks[i], threshold))
            for i in valid
            for threshold in self.thresholds
        ]

        def show(job: tuple[Image, Mask]) -> tuple[Image, int]:
            picture = self._blur(*job)
            return picture, webp_bytes(picture)

        shown = self._parallel(show, jobs)
        rows = torch.tensor(valid, dtype=torch.int64).repeat_interleave(len(self.thresholds))
        outputs = self._outputs([picture for picture, _ in shown], rows, runner_without_warnings)
        grid = np.append(np.linspace(0.0, 1.0, n_points, endpoint=False), 1.0)
        y = np.full((len(maps), len(grid)), np.nan)
        for place, i in enumerate(valid):
            part = slice(place * len(self.thresholds), (place + 1) * len(self.thresholds))
            sizes = np.array([size for _, size in shown[part]], dtype=np.float64)
            y[i] = self._interpolated(i, sizes, outputs[part], grid)
        name = "softmax" if self.output == "probability" else "accuracy"
        return InformationCurve(
            torch.from_numpy(grid),
            torch.from_numpy(y),
            f"normalised {name}",
            "fraction of information",
            dict(self.skipped),
        )

    @staticmethod
    def _revealed(scores: npt.NDArray[np.float64], mask: Mask, threshold: float) -> Mask:
        revealed: Mask = (scores >= np.quantile(scores, 1 - threshold)) | mask
        return revealed

    def _interpolated(
        self,
        i: int,
        sizes: npt.NDArray[np.float64],
        outputs: npt.NDArray[np.float64],
        grid: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        (full_size, low_size), (full, low) = self._entropy[:, i], self._value[:, i]
        x = np.clip((sizes - low_size) / (full_size - low_size), 0.0, 1.0)
        y = np.clip((outputs - low) / (full - low), 0.0, 1.0)
        if self.keep_monotonous:
            y = np.maximum.accumulate(y)
        x, y = np.append(x, [0.0, 1.0]), np.append(y, [0.0, 1.0])
        order = np.argsort(x, kind="stable")
        result: npt.NDArray[np.float64] = np.interp(grid, x[order], y[order])
        result[-1] = 1.0
        return result

    def _blur(self, picture: Image, mask: Mask) -> Image:
        return blurred(picture, mask, fast=self.fast)

    def _parallel(self, function: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        # Triangulation, interpolation and encoding let go of the interpreter, so threads do.
        if not self.fast or self.workers == 1 or len(jobs) < 2:
            return [function(job) for job in jobs]
        with ThreadPoolExecutor(self.workers) as pool:
            # The last are the longest: triangulation takes its time where much is revealed.
            return list(pool.map(function, jobs[::-1]))[::-1]

    def _outputs(
        self, pictures: list[Image], rows: Tensor, runner: Callable[..., Runner] = Runner
    ) -> npt.NDArray[np.float64]:
        """Return the output of the target of image ``rows[k]`` at picture k."""
        if not pictures:
            return np.zeros(0)
        stack = np.stack(pictures)
        batch = torch.from_numpy(stack if stack.ndim == 3 else np.moveaxis(stack, -1, 1).copy())
        target = self.target[rows]

        def build(examples: slice, _: slice) -> tuple[Tensor, ...]:
            given = self.preprocess(batch[examples])
            if given.dim() == 4:
                self._channels.add(given.shape[1])
            return (given,)

        output = "probability" if self.output == "probability" else _is_largest
        ask = runner(self.model, target=target, output=output, max_rows=self.max_rows)
        values: npt.NDArray[np.float64] = ask.values(build, len(batch), 1)[:, 0].cpu().numpy()
        return values.astype(np.float64)


@one_scope
@sets("output")
def softmax_information_curve(
    model: Callable[..., Any],
    images: Tensor,
    attributions: Tensor,
    *,
    target: int | Tensor | Sequence[int],
    n_points: int = 1000,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    masks: Tensor | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    min_prediction: float = 0.8,
    keep_monotonous: bool = True,
    fast: bool = True,
    workers: int | None = None,
    seed: int = 0,
    max_rows: int | None = None,
) -> InformationCurve:
    """Return the softmax information curve (SIC) of every image.

    The pixels of highest attribution are revealed in steps, the others interpolated from those
    known. The axis is the information shown, measured as the size of a lossless WebP file, the
    value the softmax of the target; both are normalised to what the image itself has.

    Parameters
    ----------
    model, images, target
        As for `InformationCurves`, which serves several methods at less cost.
    attributions : Tensor, shape [batch, height, width] or [batch, channels, height, width]
        As for `InformationCurves.curve`.
    n_points : int
        As for `InformationCurves.curve`.
    preprocess, masks, thresholds, min_prediction, keep_monotonous, fast, workers, seed, max_rows
        As for `InformationCurves`.

    Returns
    -------
    InformationCurve
        ``.auc`` [batch] in [0, 1], higher is better; NaN where the metric is not defined.

    Raises
    ------
    ValueError, TypeError, ImportError
        As for `InformationCurves`.

    References
    ----------
    .. [1] A. Kapishnikov, T. Bolukbasi, F. Viegas, M. Terry, "XRAI: Better Attributions Through
       Regions", ICCV 2019, section 4.
    """
    prepared = InformationCurves(
        model,
        images,
        target=target,
        preprocess=preprocess,
        masks=masks,
        output="probability",
        thresholds=thresholds,
        min_prediction=min_prediction,
        keep_monotonous=keep_monotonous,
        fast=fast,
        workers=workers,
        seed=seed,
        max_rows=max_rows,
    )
    return prepared.curve(attributions, n_points=n_points)


@one_scope
@sets("output")
def accuracy_information_curve(
    model: Callable[..., Any],
    images: Tensor,
    attributions: Tensor,
    *,
    target: int | Tensor | Sequence[int],
    n_points: int = 1000,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    masks: Tensor | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    min_prediction: float = 0.8,
    keep_monotonous: bool = True,
    fast: bool = True,
    workers: int | None = None,
    seed: int = 0,
    max_rows: int | None = None,
) -> InformationCurve:
    """Return the accuracy information curve (AIC): 1 where the target is the largest output.

    Parameters
    ----------
    model, images, attributions, target, n_points, preprocess, masks, thresholds, \
min_prediction, keep_monotonous, fast, workers, seed, max_rows
        As for `softmax_information_curve`.

    Returns
    -------
    InformationCurve
        ``.auc`` [batch] in [0, 1], higher is better; NaN where the metric is not defined.

    Raises
    ------
    ValueError, TypeError, ImportError
        As for `InformationCurves`.

    References
    ----------
    .. [1] A. Kapishnikov, T. Bolukbasi, F. Viegas, M. Terry, "XRAI: Better Attributions Through
       Regions", ICCV 2019, section 4.
    """
    prepared = InformationCurves(
        model,
        images,
        target=target,
        preprocess=preprocess,
        masks=masks,
        output="accuracy",
        thresholds=thresholds,
        min_prediction=min_prediction,
        keep_monotonous=keep_monotonous,
        fast=fast,
        workers=workers,
        seed=seed,
        max_rows=max_rows,
    )
    return prepared.curve(attributions, n_points=n_points)


def _is_largest(outputs: Tensor) -> Tensor:
    """Return 1 for the column that is the largest (the first of equals), else 0.

    A single output is that of a binary model: the other class has 0.
    """
    if outputs.dim() < 2 or outputs.shape[1] == 1:
        return (outputs > 0).to(outputs.dtype)
    best = outputs.argmax(1, keepdim=True)
    return torch.zeros_like(outputs).scatter_(1, best, 1.0)


def _to_unit(images: Tensor, device: torch.device | None) -> Tensor:
    return images.to(device).float() / 255


def _picture(image: Tensor) -> Image:
    array: Image = image.numpy()
    return array if array.ndim == 2 else np.ascontiguousarray(np.moveaxis(array, 0, -1))
