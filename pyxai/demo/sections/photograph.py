"""The demonstration's photograph: half a dahlia above a lake, and what three methods say of it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai import plot
from pyxai.demo.figures import subplots
from pyxai.demo.sections.photograph_task import Scene, train_finder
from pyxai.demo.words import listed, percent
from pyxai.explain import explain
from pyxai.report import Report, format_number

__all__ = ["MeasuredPhotograph", "conclusions", "measure_photograph", "section"]

N_REGIONS = 32
N_COALITIONS = 200
PIXELS, REGIONS, LAYER = "pixels", "regions", "places"
METHODS = {
    PIXELS: "integrated gradients",
    REGIONS: "Kernel SHAP",
    LAYER: "Grad-CAM",
}


@dataclass(frozen=True, eq=False)
class MeasuredPhotograph:
    """What three methods say of a picture, and how much of it is true.

    Attributes
    ----------
    scene : Scene
        The net and the picture.
    maps : dict of str to Tensor, shape [height, width]
        What each pixel adds to the logit of a dahlia, by what was asked about.
    logit, without, blank : float
        Of the picture, of the same without the dahlia, and of the baseline's even colour.
    """

    scene: Scene
    maps: dict[str, Tensor]
    logit: float
    without: float
    blank: float

    def on_dahlia(self, name: str) -> float:
        """Return which share of what speaks for a dahlia lies on the dahlia."""
        speaks = self.maps[name].double().clamp(min=0)
        return float(speaks[self.scene.dahlia].sum() / speaks.sum().clamp(min=1e-30))

    @property
    def area(self) -> float:
        """Share of the picture that the dahlia covers."""
        return float(self.scene.dahlia.double().mean())


def measure_photograph(seed: int, **size: int) -> MeasuredPhotograph:
    """Train the net and explain the picture by its pixels, by regions and by places of a layer.

    Parameters
    ----------
    seed : int
        What all random choices are made from.
    **size : int
        Of the training, as `train_finder` has it.

    Returns
    -------
    MeasuredPhotograph
    """
    scene = train_finder(seed, **size)
    model, picture = scene.model, scene.picture
    blank = scene.colour.expand_as(picture).contiguous()
    regions = _regions(picture[0], seed)

    def ask(method: str, **options: Any) -> Tensor:
        found = explain(model, picture, method=method, **options).attributions
        assert isinstance(found, Tensor)
        return found.detach()[0]

    whole = ask(
        "kernel_shap",
        baselines=blank,
        feature_mask=regions[None, None].expand_as(picture),
        n_samples=N_COALITIONS,
        seed=seed,
    )
    maps = {
        PIXELS: ask("integrated_gradients", baselines=blank, n_steps=20).sum(0),
        # A pixel gets its part of what its region gets.
        REGIONS: whole[0] / regions.flatten().bincount()[regions],
        LAYER: ask("grad_cam", upsample="bilinear")[0],
    }
    with torch.no_grad():
        ends = [float(model(each)) for each in (picture, scene.plain, blank)]
    return MeasuredPhotograph(scene, maps, *ends)


def _regions(picture: Tensor, seed: int) -> Tensor:
    """Return numbered regions of like colour, int64 [height, width]: clusters of pixels."""
    height, width = picture.shape[1:]
    places = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    # Sixty pixels apart count as much as black and white.
    described = torch.cat([picture, torch.stack(places) / 60]).flatten(1).T.double()
    clusters = importlib.import_module("sklearn.cluster").KMeans(
        N_REGIONS, n_init=1, max_iter=20, random_state=seed
    )
    clusters.fit(described[::7].numpy())  # a seventh of the pixels tells where the centres are
    centres = torch.from_numpy(clusters.cluster_centers_)
    found: Tensor = torch.cdist(described, centres).argmin(1).view(height, width)
    return found


def section(report: Report, measured: MeasuredPhotograph) -> None:
    """Append the section about the photograph.

    Parameters
    ----------
    report : Report
        To append to.
    measured : MeasuredPhotograph
        What it is about.
    """
    scene = measured.scene
    part = report.section("A dahlia over a lake")
    part.text(
        f"A small net learns to find a dahlia in {scene.n_train:,} pieces of the left parts of "
        f"two photographs; it is right about {percent(scene.accuracy)} of pieces of the right "
        "ones. Then it is shown this picture, also made of the right parts. It says "
        f"{'yes' if measured.logit > 0 else 'no'}: the logit is {format_number(measured.logit)}. "
        "Which part of the picture made it say so?"
    )
    names = [f"{name} ({method})" for name, method in METHODS.items()]
    part.figure(
        lambda: _pictures(measured, 4),
        narrow=lambda: _pictures(measured, 2),
        alt="Half a dahlia above a lake, and three maps of what speaks for a dahlia",
        caption=f"Red speaks for a dahlia, blue against it: by {listed(names)}. Each map has its "
        "own scale.",
    )
    part.conclusions(*conclusions(measured))


def conclusions(measured: MeasuredPhotograph) -> tuple[list[str], list[str]]:
    """Say what the maps allow.

    Parameters
    ----------
    measured : MeasuredPhotograph
        Of the picture.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    shares = {METHODS[name]: measured.on_dahlia(name) for name in measured.maps}
    said = listed([f"{percent(share)} by {name}" for name, share in shares.items()])
    right = min(shares.values()) > max(0.5, measured.area)
    changed = (measured.logit > 0) != (measured.without > 0)
    can = [
        f"That {'it' if right else 'not only it'} was the dahlia: it covers "
        f"{percent(measured.area)} of the picture and holds, of all that speaks for a dahlia, "
        f"{said}.",
        f"What the picture is without it: the logit falls from {format_number(measured.logit)} to "
        f"{format_number(measured.without)}, and the answer "
        f"{'changes' if changed else 'stays the same'}. An evenly coloured picture, with which "
        f"the first two methods compare, has {format_number(measured.blank)}.",
    ]
    cannot = [
        "That the net knows dahlias. It has seen one, and the half that is shown here has the "
        "colours of the half that it learnt from.",
        "Which of its properties did it, colour or petals: the maps say where, not what.",
    ]
    return can, cannot


def _pictures(measured: MeasuredPhotograph, columns: int) -> Any:
    """Draw the picture and its maps, in one row or two."""
    rows = (1 + len(measured.maps)) // columns
    image = measured.scene.picture[0]
    width = 2.35 if rows == 1 else 1.75
    figure, axes = subplots(rows, columns, figsize=(width * columns, (width * 1.25 + 0.3) * rows))
    axes = axes.flat
    axes[0].imshow(image.permute(1, 2, 0).numpy())
    axes[0].set_title("what it is shown")
    for ax, (name, values) in zip(axes[1:], measured.maps.items(), strict=True):
        plot.image(values, image, title=name, colorbar=False, ax=ax)
    for ax in axes:
        ax.axis("off")
        for drawn in ax.images:  # blurred pixels would take twice the room in the file
            drawn.set_interpolation("nearest")
    return figure
