"""Pictures of reports: small files, nothing cut off."""

from __future__ import annotations

import base64
import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from pyxai.report.pictures import picture

mpl.use("Agg")


def opened(draw):
    found = picture(draw)
    data = base64.b64decode(found.address.partition("base64,")[2])
    image = Image.open(io.BytesIO(data))
    assert (found.width, found.height) == tuple(side // 2 for side in image.size)
    return image


def test_what_sticks_out_of_a_layout_is_not_cut():
    def draw():
        figure, _ = mpl.pyplot.subplots(figsize=(2, 1), layout="constrained")
        figure.text(1.3, 0.5, "far out")
        return figure

    image = opened(draw)
    assert image.width > 2.5 * 192
    ink = np.asarray(image.convert("RGBA"))[..., 3]
    assert ink[:, -40:].any()


@pytest.mark.parametrize("layout", ["constrained", None])
def test_what_is_drawn_is_whole_and_little_else(layout):
    def draw():
        figure, ax = mpl.pyplot.subplots(figsize=(4, 2), layout=layout)
        ax.set_position((0.0, 0.0, 1.0, 1.0)) if layout is None else None
        ax.set(aspect=1, xlabel="below", ylabel="a label\nto the left")
        return figure

    image = opened(draw)
    assert image.mode == "P"
    inked = image.convert("RGBA").getchannel("A").getbbox()
    edges = (inked[0], inked[1], image.width - inked[2], image.height - inked[3])
    assert min(edges) > 0  # what reaches the edge was cut
    assert max(edges) <= 12


def test_a_drawing_gets_a_palette_that_nobody_sees_and_a_photograph_keeps_its_colours():
    shades = np.linspace(0, 1, 256)[None].repeat(32, 0)
    photograph = np.random.default_rng(0).random((160, 160, 3))

    def draw(values, **options):
        figure, ax = mpl.pyplot.subplots(figsize=(2, 2), layout="constrained")
        ax.imshow(values, interpolation="nearest", **options)
        return figure

    drawn = opened(lambda: draw(shades, cmap="gray", aspect="auto"))
    assert drawn.mode == "P"
    greys = np.unique(np.asarray(drawn.convert("RGBA"))[..., 0])
    assert len(greys) > 100  # those of the ramp that the pixels of the page tell apart
    assert np.diff(greys.astype(int)).max() <= 3
    assert opened(lambda: draw(photograph)).mode == "RGBA"
