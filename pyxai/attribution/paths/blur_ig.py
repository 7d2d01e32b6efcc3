"""Integrated gradients along a path from a blurred image to the image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, check_number
from pyxai.attribution.paths.gaussian_blur import Blurs, blur_sigmas
from pyxai.attribution.paths.images import format_images
from pyxai.imputers.blur import blurred
from pyxai.methods.base import GradientAttribution, TensorOrTuple
from pyxai.methods.store import register
from pyxai.ops.path_moments import path_moments
from pyxai.runner import Runner
from pyxai.runner.mixing import per_output

__all__ = ["BlurIG"]


@register(
    "blur_ig",
    summary="integrated gradients along a path from the blurred image to the image",
    cost="n_steps gradients",
    use=(
        "images where no colour is a neutral baseline; adds up to the output less that of the "
        "blurred image"
    ),
)
class BlurIG(GradientAttribution):
    """Blur integrated gradients: the path sharpens the image instead of raising its brightness.

    ``a = -sum over steps of df/dx(L(s)) * dL/ds(s) * step``, with ``L(s)`` the image blurred by a
    Gaussian of standard deviation s, which falls from ``max_sigma`` to 0. No baseline is to be
    chosen, and no feature appears that the image lacks.

    Attributions sum to ``f(x) - f(L(max_sigma))`` up to the
    error of the steps.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of images that autograd can differentiate.

    References
    ----------
    .. [1] S. Xu, S. Venugopalan, M. Sundararajan, "Attribution in Scale and Space", CVPR 2020,
       eq. 4; the steps and kernels are those of the authors' package ``saliency``.

    Examples
    --------
    An image of one colour is the same at all scales, but for its border:

    >>> import torch
    >>> from pyxai.attribution import BlurIG
    >>> model = lambda x: x[:, :, 8, 8].sum(1)
    >>> values = BlurIG(model).attribute(torch.ones(1, 1, 17, 17), max_sigma=2.0)
    >>> float(values.abs().max()) < 1e-4
    True
    """

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: attributions are in output units."""
        return True

    def has_convergence_delta(self) -> bool:
        """Tell that the attributions sum to the difference of two outputs."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
        max_sigma: float = 50.0,
        n_steps: int = 100,
        grad_step: float = 0.01,
        sqrt: bool = False,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
    ) -> Any:
        """Return blur integrated gradients for each image.

        Parameters
        ----------
        inputs : Tensor, shape [batch, channels, height, width]
            Images, of a floating dtype.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        max_sigma : float
            Standard deviation of the strongest blur, in pixels.
        n_steps : int
            Number of steps between no blur and the strongest; each costs one gradient.
        grad_step : float
            Difference of standard deviations in dL/ds, in pixels.
        sqrt : bool
            Whether standard deviations are square roots of equal steps of ``max_sigma``, so that
            the strongest blur is their square root too (as in the authors' package).
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model; default: chosen from its memory.
        return_convergence_delta : bool
            Whether to return the delta as well.
        show_progress : bool
            Whether to show a progress bar.

        Returns
        -------
        attributions : Tensor, shape of ``inputs``
            In output units; float64 for float64 and float32 otherwise.
        delta : Tensor, shape [batch]
            Only with ``return_convergence_delta``: ``sum(attributions) - (f(x) - f(L(max)))``, in
            output units.

        Raises
        ------
        ValueError
            If the inputs are not images, or a target or a value does not fit.
        TypeError
            If an argument is not of the kind asked for.
        """
        images, is_tuple = format_images(inputs)
        check_int("n_steps", n_steps, minimum=1)
        for name, value in (("max_sigma", max_sigma), ("grad_step", grad_step)):
            if not check_number(name, value) > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        runner = Runner(
            self.forward_func,
            target=target,
            additional_forward_args=additional_forward_args,
            max_rows=internal_batch_size,
            progress=show_progress,
        )
        path = _Path(images, blur_sigmas(max_sigma, n_steps, sqrt=sqrt), grad_step)
        total = path.integrate(runner)
        found = total.to(torch.float64 if images.dtype == torch.float64 else torch.float32)
        result = (found,) if is_tuple else found
        if not return_convergence_delta:
            return result
        start, end = (runner.outputs((image,)) for image in (path.at(n_steps)[0], images))
        delta = per_output(total.flatten(1).sum(1), end) - (end.double() - start.double())
        return result, delta.to(found.dtype)


class _Path(Blurs):
    """A path of blurs, and the gradients along it."""

    def __init__(self, images: Tensor, sigmas: Tensor, grad_step: float) -> None:
        super().__init__(images, sigmas)
        self.grad_step = grad_step

    def integrate(self, runner: Runner) -> Tensor:
        """Return what the pixels get, float64 in the shape of the images."""
        steps = self.sigmas.diff()
        total = torch.zeros_like(self.wide)

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            points = self.at(repeats.start, repeats.stop, examples)
            return (points.transpose(0, 1).flatten(0, 1),)

        def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
            some, sigmas = self.wide[examples], self.sigmas[repeats]
            here, there = (
                blurred(some, *self.matrices(at)).transpose(0, 1)  # [examples, repeats, ...]
                for at in (sigmas, sigmas + self.grad_step)
            )
            weights = steps[repeats].double().to(there.device) / self.grad_step
            rows = torch.arange(here.shape[0] * here.shape[1], device=here.device)
            total[examples] -= path_moments(
                grads[0].double().view(here.shape),
                weights,
                inputs=there,
                baselines=here.flatten(0, 1),
                rows=rows.view(here.shape[:2]),
                order=1,
                example_major=True,
            )[0]

        runner.gradients(build, len(self.images), len(steps), consume, example_major=True)
        return total
