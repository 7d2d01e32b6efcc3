"""Samples around the inputs: isotropic noise, or noise of a given covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._errors import warn
from pyxai._inputs import flat_features
from pyxai.covariance import Covariance
from pyxai.ops import philox_normal

__all__ = ["Noise"]

BLOCK = 2**21  # numbers of correlated draws that are held in float64 at a time


class Noise:
    """The law ``N(x, scale * Var(x) I)`` or ``N(x, scale * Sigma)`` of every example.

    Parameters
    ----------
    inputs : Tensor, shape [batch, *features]
        Centres.
    scale : float
        The ``lambda`` of the method.
    kind : str
        ``"isotropic"`` or ``"covariance"``.
    by_example : list of Covariance, optional
        One per example; the same object for examples of one class. Kept in float64.
    by_target : bool
        Whether the target told which covariance each example has.
    """

    def __init__(
        self,
        inputs: Tensor,
        scale: float,
        kind: str,
        by_example: list[Covariance] | None,
        *,
        by_target: bool,
    ) -> None:
        self.inputs, self.scale, self.kind, self.by_target = inputs, scale, kind, by_target
        self.dtype = torch.float64 if inputs.dtype == torch.float64 else torch.float32
        # Only draws are rounded like the inputs: in float32 a singular matrix is not singular any
        # more, and may have no root.
        self.by_example = by_example and [c.to(inputs.device, torch.float64) for c in by_example]
        flat = flat_features(inputs).to(self.dtype)
        # One feature has no variance between entries.
        variance = flat.var(1) if flat.shape[1] > 1 else torch.zeros_like(flat[:, 0])
        self.deviation = (scale * variance).sqrt()
        if kind == "isotropic":
            _warn_if_still(self.deviation)

    def members(self, examples: slice) -> list[tuple[Covariance | None, Tensor]]:
        """Return (covariance, positions in the slice) for the classes in a slice of examples."""
        indices = range(*examples.indices(len(self.inputs)))
        if self.by_example is None:
            return [(None, torch.arange(len(indices), device=self.inputs.device))]
        found: dict[int, tuple[Covariance, list[int]]] = {}
        for position, index in enumerate(indices):
            covariance = self.by_example[index]
            found.setdefault(id(covariance), (covariance, []))[1].append(position)
        return [
            (covariance, torch.tensor(positions, device=self.inputs.device))
            for covariance, positions in found.values()
        ]

    def isotropic_variance(self, examples: slice, at: Tensor) -> Tensor | None:
        """Return the noise variance of the examples ``at``, None for covariance noise."""
        return None if self.kind == "covariance" else self.deviation[examples][at].square()

    def points(self, examples: slice, repeats: slice, *, seed: int, paired: bool) -> Tensor:
        """Return the samples, node-major ``[repeats * examples, *features]``, in the inputs' dtype.

        Every example gets the same standard normals, so that it gets the same samples in any batch.
        """
        centres = self.inputs[examples]
        count, width = len(centres), repeats.stop - repeats.start
        noise = torch.empty(
            width, count, centres[0].numel(), dtype=self.dtype, device=centres.device
        )
        for covariance, at in self.members(examples):
            if self.kind == "covariance":
                assert covariance is not None
                normals = self.normals(covariance.n_normals, repeats, seed, paired)
                step = max(1, BLOCK // max(normals.shape[1], noise.shape[-1]))
                for start in range(0, width, step):
                    part = slice(start, start + step)
                    drawn = covariance.color(normals[part].double()).mul_(self.scale**0.5)
                    noise[part, at] = drawn.to(self.dtype).unsqueeze(1)
            else:
                normals = self.normals(noise.shape[-1], repeats, seed, paired)
                noise[:, at] = normals.unsqueeze(1) * self.deviation[examples][at, None]
        points = centres.to(self.dtype) + noise.view(width, count, *centres.shape[1:])
        return points.to(centres.dtype).flatten(0, 1)

    def normals(self, size: int, repeats: slice, seed: int, paired: bool) -> Tensor:
        """Return standard normals [repeats, size]; samples 2k and 2k + 1 of pairs are opposite."""
        zero = torch.zeros(1, dtype=torch.int64, device=self.inputs.device)
        start, stop = repeats.start, repeats.stop
        if not paired:
            return self._draw(size, start, stop, seed, zero)
        half = self._draw(size, start // 2, (stop + 1) // 2, seed, zero)
        both = torch.stack([half, -half], 1).flatten(0, 1)
        return both[start % 2 : start % 2 + stop - start]

    def _draw(self, size: int, start: int, stop: int, seed: int, ids: Tensor) -> Tensor:
        return philox_normal(
            (size,), stop - start, seed=seed, example_ids=ids, start=start, dtype=self.dtype
        )[0]


def _warn_if_still(deviation: Tensor) -> None:
    """Warn of examples around which isotropic noise has size 0."""
    still = (deviation == 0).nonzero()[:, 0].tolist()
    if still:
        some = f"{still[:5]}" if len(still) < 6 else f"{still[:5]} and {len(still) - 5} more"
        warn(
            f"the noise around examples {some} is 0: it has the variance of the entries of an "
            "example, and theirs do not vary; all samples are the input itself. Pass "
            "noise='covariance'"
        )
