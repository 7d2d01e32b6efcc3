"""Data with ground truths: which features decide the label, for how good an explanation is.

Simulated rows and their exact conditional distributions (`synthetic`, `l2x`, `frequencies`),
images beside images (`panels`), shortcuts that give the class away (`decoys`), smiles and their
mouths (`celeba`), and readers of files (`images`). May import `pyxai.imputers` and what is below
it. Start with `synthetic`.
"""

from __future__ import annotations

from pyxai.datasets.celeba import CelebASmile, mouth_box
from pyxai.datasets.decoys import Decoys, decoy_colours, decoy_squares, decoy_words
from pyxai.datasets.frequencies import simulated_frequencies
from pyxai.datasets.images import digits, fashion_mnist, mnist
from pyxai.datasets.l2x import XOR, additive, orange_skin, switch
from pyxai.datasets.panels import Panels, switching_panels
from pyxai.datasets.simulated import Simulated
from pyxai.datasets.synthetic import S1, S2, S3, Syn1, Syn2, Syn3, Syn4, Syn5, Syn6

__all__ = [
    "S1",
    "S2",
    "S3",
    "XOR",
    "CelebASmile",
    "Decoys",
    "Panels",
    "Simulated",
    "Syn1",
    "Syn2",
    "Syn3",
    "Syn4",
    "Syn5",
    "Syn6",
    "additive",
    "decoy_colours",
    "decoy_squares",
    "decoy_words",
    "digits",
    "fashion_mnist",
    "mnist",
    "mouth_box",
    "orange_skin",
    "simulated_frequencies",
    "switch",
    "switching_panels",
]
