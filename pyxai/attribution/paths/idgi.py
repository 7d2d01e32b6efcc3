"""Path gradients in which only the direction of the gradient takes part."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int, check_number, describe
from pyxai._inputs import flat_features, format_baselines, format_inputs, restore_form
from pyxai.attribution.paths.direction_shares import Points, share_along, share_guided
from pyxai.attribution.paths.gaussian_blur import Blurs, blur_sigmas
from pyxai.attribution.paths.guided_path import GuidedPath, check_guidance, flat, flat_starts
from pyxai.attribution.paths.images import format_images
from pyxai.game.path import rows_of
from pyxai.methods.base import GradientAttribution, TensorOrTuple
from pyxai.methods.store import register
from pyxai.ops.path_points import path_points
from pyxai.runner import Runner

__all__ = ["IDGI"]

PATHS = ("straight", "guided", "blur")


@register(
    "idgi",
    summary=(
        "each step of a path (straight, guided or of blurs) shared in proportion to squared "
        "gradients"
    ),
    cost="n_steps gradients + (n_steps + 1) outputs",
    use=(
        "images, for less noise than the path's own method; not where results of two models "
        "are to be added, since it is not linear"
    ),
    complete=True,
    baselines="optional",
    axioms=("completeness", "null_player", "symmetry", "implementation_invariance"),
)
class IDGI(GradientAttribution):
    """Important direction gradient integration: squared gradients share each step of the path.

    ``a_i = sum over steps j of g_i(x_j)^2 / |g(x_j)|^2 * (f(x_{j+1}) - f(x_j))`` on a path to the
    input: the straight one from the baseline, that of `GuidedIG`, or that of `BlurIG`. What a
    movement across the gradient would add to a feature, though it changes nothing in the output, is
    left out.

    Axioms: completeness (exact, but for steps whose gradient is zero), null player, symmetry,
    implementation invariance.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors that autograd can differentiate.

    References
    ----------
    .. [1] R. Yang, B. Wang, M. Bilgic, "IDGI: A Framework to Eliminate Explanation Noise from
       Integrated Gradients", CVPR 2023, algorithm 1, which takes any path.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import IDGI
    >>> model = lambda x: x @ torch.tensor([1.0, 2.0])  # shares 1 : 4 of 3
    >>> IDGI(model).attribute(torch.ones(1, 2), n_steps=4)
    tensor([[0.6000, 2.4000]])
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
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 50,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        path: str = "straight",
        fraction: float = 0.25,
        max_dist: float = 0.02,
        max_sigma: float = 50.0,
        show_progress: bool = False,
    ) -> Any:
        """Return a share of the difference of the outputs for each feature.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            Where the path starts, in input units; default 0. None for blurs, which start at the
            blurred image.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        n_steps : int
            Number of steps; each costs a gradient and an output per example, on a guided path a
            gradient only, one after the other.
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model; default: chosen from its memory.
        return_convergence_delta : bool
            Whether to return the delta as well.
        path : str
            ``"straight"``, in steps of equal length; ``"guided"``, which moves the features of the
            smallest gradients first; or ``"blur"``, for images, from the blurred image.
        fraction, max_dist : float
            For the guided path, see `GuidedIG.attribute`.
        max_sigma : float
            For blurs: standard deviation of the strongest one, in pixels.
        show_progress : bool
            Whether to show progress bars: on a guided path one, else one for the outputs and one
            for the gradients.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in output units; float64 for float64 and float32 otherwise.
        delta : Tensor, shape [batch]
            Only with ``return_convergence_delta``:
            ``sum(attributions) - (f(inputs) - f(start of the path))``, in output units.

        Raises
        ------
        ValueError
            If a shape, a target or a value does not fit, or blurs are asked of other inputs than
            images.
        TypeError
            If an argument is not of the kind asked for.
        """
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        check_int("n_steps", n_steps, minimum=1)
        check_choice("path", path, PATHS)
        check_guidance(fraction, max_dist)
        if not check_number("max_sigma", max_sigma) > 0:
            raise ValueError(f"max_sigma must be positive, got {max_sigma!r}")
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        runner = Runner(
            self.forward_func,
            target=target,
            additional_forward_args=additional_forward_args,
            max_rows=internal_batch_size,
            progress=False if path == "guided" else show_progress,
        )
        if path == "blur":
            points = _blurs(inputs, baselines, max_sigma, n_steps)
            shared = share_along(runner, tensors, points, n_steps)
        else:
            starts = format_baselines(baselines, tensors)
            if path == "straight":
                shared = share_along(runner, tensors, _line(starts, tensors, n_steps), n_steps)
            else:
                led = GuidedPath(flat_starts(starts, tensors), flat(tensors), fraction, max_dist)
                shared = share_guided(runner, tensors, led, n_steps, show_progress)
        found = shared.attributions
        result = restore_form(found, is_tuple)
        if not return_convergence_delta:
            return result
        total = torch.stack([flat_features(part).double().sum(1) for part in found]).sum(0)
        delta = total - (shared.end - shared.start).double()
        return result, delta.to(found[0].dtype)


def _line(
    baselines: tuple[Tensor | float, ...], inputs: tuple[Tensor, ...], n_steps: int
) -> Points:
    """Return the straight paths, in steps of equal length."""
    nodes = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps

    def points(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        return tuple(
            path_points(tensor[examples], rows_of(baseline, examples), nodes[repeats])
            for tensor, baseline in zip(inputs, baselines, strict=True)
        )

    return points


def _blurs(inputs: Any, baselines: Any, max_sigma: float, n_steps: int) -> Points:
    """Return the paths of `BlurIG`, from the strongest blur to the image."""
    images, _ = format_images(inputs)
    if baselines is not None:
        raise ValueError(
            "baselines must be None for path='blur', which starts at the blurred image, "
            f"got {describe(baselines)}"
        )
    blurs = Blurs(images, blur_sigmas(max_sigma, n_steps).flip(0))

    def points(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        return (blurs.at(repeats.start, repeats.stop, examples),)

    return points
