"""Attributions of regions: segments of an image, in the order of what their pixels get."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import (
    check_device,
    check_finite,
    check_int,
    check_number,
    check_real,
    check_shape,
    check_tensor,
    describe,
)
from pyxai._inputs import format_baselines
from pyxai._quadrature import nodes_and_weights
from pyxai.attribution.paths.images import format_images
from pyxai.attribution.paths.regions import grow_regions, image_segments
from pyxai.game.path import path_attributions
from pyxai.methods.base import GradientAttribution, TensorOrTuple
from pyxai.methods.store import register
from pyxai.runner import Runner, Target

__all__ = ["XRAI"]


# Pixels are gathered by segments, so a pixel gets what its region does.
@register(
    "xrai",
    summary="integrated gradients gathered by segments of the image",
    cost="2 * n_steps gradients",
    use=(
        "photographs, for regions instead of pixels; segmenting needs the extra `regions`, or "
        "segments of your own"
    ),
    baselines="optional",
)
class XRAI(GradientAttribution):
    """XRAI: integrated gradients, gathered by overlapping segments of the image.

    Segments of several sizes are added one by one, always the one whose new pixels have the largest
    mean attribution; that mean is what these pixels get.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of images that autograd can differentiate.

    Notes
    -----
    Without ``segments`` images are segmented by scikit-image, the extra ``regions``.

    References
    ----------
    .. [1] A. Kapishnikov et al., "XRAI: Better Attributions Through Regions", ICCV 2019,
       algorithm 1; the segments are those of the authors' package ``saliency``.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import XRAI
    >>> halves = torch.tensor([[0, 0, 1, 1]])  # segments of an image of one line
    >>> model = lambda x: x[..., :2].sum((1, 2, 3))
    >>> image = torch.tensor([[[[1.0, 3.0, 5.0, 7.0]]]])
    >>> call = {"baselines": 0.0, "segments": halves, "min_pixels": 1}
    >>> XRAI(model).attribute(image, **call).round(decimals=5)
    tensor([[[[2., 2., 0., 0.]]]])
    """

    sums_groups = False  # means of regions, which overlap

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: a pixel gets the mean attribution of its region, in output units."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        segments: Any = None,
        n_steps: int = 50,
        min_pixels: int = 50,
        area: float = 1.0,
        internal_batch_size: int | None = None,
        *,
        attributions: Tensor | None = None,
        show_progress: bool = False,
    ) -> Any:
        """Return the mean attribution of the region of each pixel.

        Parameters
        ----------
        inputs : Tensor, shape [batch, channels, height, width]
            Images, of a floating dtype.
        baselines : float or Tensor, shape [*features] or [1 or batch, *features], optional
            Where the paths start; default: the mean of two, at the smallest and at the largest
            value of each image.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        segments : Tensor, or list of Tensor with one for each example, optional
            Integers [height, width] or [batch, height, width], the number of each pixel's segment;
            or bool [n_segments, height, width], segments that may overlap. Default: six
            segmentations by the method of Felzenszwalb and Huttenlocher, made wider by 5 pixels.
        n_steps : int
            Number of nodes of integrated gradients (midpoints), for each baseline.
        min_pixels : int
            Segments that would add fewer pixels are left out; at least one must have as many.
        area : float
            Stop when regions cover more than this share of the image. All pixels that are left get
            the mean of their attributions.
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model; default: chosen from its memory.
        attributions : Tensor, shape of ``inputs``, optional
            Attributions to gather in place of integrated gradients. The model is not run, so
            ``baselines`` must not be given, and which output is meant was settled before.
        show_progress : bool
            Whether to show a progress bar for each baseline.

        Returns
        -------
        Tensor, shape of ``inputs``
            Of the channels of a pixel the largest attribution counts, and all get the same. float64
            for float64 and float32 otherwise.

        Raises
        ------
        ValueError
            If the inputs are not images, or a shape, a target or a value does not fit.
        TypeError
            If an argument is not of the kind asked for.
        ImportError
            If scikit-image is not installed and no segments are given.
        """
        images, is_tuple = format_images(inputs)
        check_int("min_pixels", min_pixels, minimum=1)
        if not 0 < check_number("area", area) <= 1:
            raise ValueError(f"area must be in (0, 1], got {area!r}")
        check_int("n_steps", n_steps, minimum=1)
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        Target(target).check_examples(len(images))
        if attributions is not None:
            _check_attributions(attributions, baselines, images)
        masks = [_masks(segments, row, images, min_pixels) for row in range(len(images))]
        if attributions is None:
            runner = Runner(
                self.forward_func,
                target=target,
                additional_forward_args=additional_forward_args,
                max_rows=internal_batch_size,
                progress=show_progress,
            )
            attributions = _integrated(runner, images, baselines, n_steps)
        pixels = attributions.detach().amax(1).double()  # [batch, height, width]
        found = torch.stack(
            [
                grow_regions(row, each.to(row.device), min_pixels, area)
                for row, each in zip(pixels, masks, strict=True)
            ]
        )
        wide = images.dtype == torch.float64
        result = found.to(torch.float64 if wide else torch.float32)[:, None].repeat(
            1, images.shape[1], 1, 1
        )
        return (result,) if is_tuple else result


def _integrated(runner: Runner, images: Tensor, baselines: Any, n_steps: int) -> Tensor:
    """Return integrated gradients, from both ends of each image's range unless told otherwise."""
    if baselines is None:
        flat = images.flatten(1)
        ends = (flat.amin(1), flat.amax(1))
        starts = [
            format_baselines(end.view(-1, 1, 1, 1).expand_as(images), (images,)) for end in ends
        ]
    else:
        starts = [format_baselines(baselines, (images,))]
    nodes, weights = nodes_and_weights("midpoint", n_steps)
    found = [
        path_attributions(runner, (images,), start, nodes, weights, multiply_by_inputs=True)[0]
        for start in starts
    ]
    return torch.stack(found).mean(0)


def _check_attributions(attributions: Any, baselines: Any, images: Tensor) -> None:
    check_real("attributions", check_tensor("attributions", attributions))
    check_shape("attributions", attributions, list(images.shape))
    check_device("attributions", attributions, images.device)
    check_finite("attributions", attributions)
    if baselines is not None:
        raise ValueError(
            "baselines must be None where attributions are given, whose baselines were chosen "
            f"before, got {describe(baselines)}"
        )


def _masks(segments: Any, row: int, images: Tensor, min_pixels: int) -> Tensor:
    """Return the segments of one image, bool [n_segments, height, width]."""
    masks = image_segments(images[row]) if segments is None else _given(segments, row, images)
    if len(masks) == 0:
        raise ValueError(f"segments must hold at least one segment, got shape {list(masks.shape)}")
    largest = int(masks.flatten(1).sum(1).max())
    if largest < min_pixels:
        raise ValueError(
            f"min_pixels must be at most {largest}, the pixels of the largest segment of example "
            f"{row}, got {min_pixels}"
        )
    return masks


def _given(segments: Any, row: int, images: Tensor) -> Tensor:
    batch, size = len(images), list(images.shape[2:])
    if isinstance(segments, (list, tuple)):
        if len(segments) != batch:
            raise ValueError(
                f"segments must hold one tensor for each of {batch} examples, "
                f"got {len(segments)} item(s)"
            )
        segments = segments[row]
    check_tensor("segments", segments)
    if segments.dtype == torch.bool:
        check_shape("segments", segments, [None, *size])
        overlapping: Tensor = segments
        return overlapping
    if segments.is_floating_point() or segments.is_complex():
        raise TypeError(f"segments must hold integers or be bool, got {describe(segments)}")
    if segments.dim() == 3:
        check_shape("segments", segments, [batch, *size])
        segments = segments[row]
    check_shape("segments", segments, size)
    apart: Tensor = segments.unique()[:, None, None] == segments
    return apart
