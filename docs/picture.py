"""Draw the README's picture from what three examples computed: `python docs/picture.py`.

It writes ``docs/picture.png``; run it where the examples run, with the extra `demo`.
"""

from __future__ import annotations

import os
import runpy
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt

import pyxai
from pyxai import plot

HERE = Path(__file__).resolve().parent


def example(name: str) -> dict[str, object]:
    """Run an example in a folder that is thrown away; return its variables."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return runpy.run_path(str(HERE.parent / "examples" / f"{name}.py"))
        finally:
            os.chdir(before)


table, image, phrase = (example(name) for name in ("table", "image", "phrase"))
plt.close("all")
plt.rcParams["font.size"] = 11
figure, axes = plt.subplots(
    1, 3, figsize=(13, 3.6), layout="constrained", width_ratios=(1.1, 1, 1.3)
)
plot.waterfall(
    pyxai.explain(
        table["net"],
        table["row"],
        method="integrated_gradients",
        target=0,
        baselines=table["mean"],
        feature_names=table["names"],
    ),
    example=0,
    top=6,
    ax=axes[0],
)
axes[0].set_title('A patient: why "malignant"?')
plot.image(image["gradients"], image["image"][0], ax=axes[1])
axes[1].set_title(f"A digit: why {int(image['target'])}?")
phrase["tree"].plot(ax=axes[2])
axes[2].set_title("A sentence: what do words say together?")
figure.savefig(HERE / "picture.png", dpi=80)

sentiment = example("sentiment")
figure, axes = plt.subplots(2, 1, figsize=(8, 3.2), layout="constrained")
texts = ["The plot is thin, but the acting saves it", "There is not a dull moment in it"]
for ax, text in zip(axes, texts, strict=True):
    result = sentiment["classifier"].explain(text, target="praise")
    result.plot("text", title=f'"praise"? {result.options["label"]}', ax=ax)
figure.savefig(HERE / "sentence.png", dpi=80)
