"""The nets of the public benchmark, by name; each is built in the process that measures it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from _digits import Digits, trained
from _floor import mlp
from _nets import NETS as SMALL
from _nets import residual_net
from deep_nets import resnet18
from torch import Tensor, nn

from races.case import Task

DIGITS = "PYXAI_BENCH_DIGITS"  # where the trained net lies: the processes of a run share it


def digits_net() -> Digits:
    """Return the trained net, from the file that the first process wrote."""
    path = os.environ.get(DIGITS)
    if path is None:
        return trained(n_images=60)
    if not Path(path).exists():
        torch.save(trained(n_images=60), path)
    found: Digits = torch.load(path, weights_only=False)
    return found


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def grid(side: int, down: int, across: int) -> Tensor:
    """Return players of an image of ``side`` by ``side`` pixels: ``down`` times ``across``."""
    rows, columns = (torch.arange(side) * n // side for n in (down, across))
    return (rows[:, None] * across + columns)[None, None]


def table(name: str, widths: tuple[int, ...], batch: int, quick: bool) -> Task:
    features = widths[0]
    few = torch.arange(features) * min(10, features) // features
    model, x = mlp(*widths), normal(batch, features)
    background = normal(20, features, seed=2)
    return Task(name, model, x, 0, background, few=few[None], quick=quick)


def digits(quick: bool) -> Task:
    found = digits_net()
    target = int(found.target[0])  # all images are explained for one class, so one number does
    rows = (found.target == target).nonzero().flatten()[: 4 if quick else 8]
    return Task(
        "digits CNN",
        found.model,
        found.x[rows if len(rows) else slice(0, 4)],
        target,
        found.train[:20],
        few=grid(8, 4, 3),
        layer=found.model[5],
        quick=quick,
    )


def resnet(side: int, batch: int, quick: bool) -> Task:
    torch.manual_seed(0)
    model = resnet18(64, 10).eval().requires_grad_(False)
    layer = model[-4]
    return Task(
        f"ResNet-18, {side} px",
        model,
        normal(batch, 3, side, side),
        1,
        normal(5, 3, side, side, seed=2),
        parts=grid(side, 8, 8) if side <= 64 else grid(side, 7, 7),
        few=grid(side, 2, 4),
        layer=layer,
        quick=quick,
    )


def transformer(quick: bool) -> Task:
    from pretrained_encoder import classifier_and_words

    model, words, mask = classifier_and_words(["the movie was surprisingly good"])
    model.requires_grad_(False)
    with torch.no_grad():
        x = model.bert.embeddings(words).clone()
    players = torch.arange(x.shape[1])[None, :, None].expand_as(x).contiguous()
    background = normal(10, *x.shape[1:], seed=2) * x.std()
    return Task(
        "transformer",
        model,
        x,
        1,
        background,
        parts=players,
        few=players,
        extra=(mask,),
        quick=quick,
    )


def residual(quick: bool) -> Task:
    model, x = residual_net()
    model.requires_grad_(False)
    return Task("50 residual blocks", model, x, 0, normal(5, *x.shape[1:], seed=2), quick=quick)


def small(name: str, quick: bool) -> Task:
    torch.manual_seed(0)
    make, shape = SMALL[name]
    model = make().eval().requires_grad_(False)
    x = normal(*shape)
    return Task(f"small {name}", model, x, 1, normal(*shape, seed=2), quick=quick)


def photograph(quick: bool) -> Task:
    """Return an image whose model costs next to nothing."""
    from sklearn.datasets import load_sample_image

    side = 112 if quick else 224
    picture = load_sample_image("china.jpg")[100 : 100 + side, 200 : 200 + side].copy()
    x = torch.from_numpy(picture).permute(2, 0, 1)[None]
    return Task("photograph", Contrast(), x, 0, x, quick=quick)


class Contrast(nn.Module):
    """Logits that rise with contrast."""

    def forward(self, x: Tensor) -> Tensor:
        score = 40 * x.var((1, 2, 3)) + 2 * x.mean((1, 2, 3))
        return torch.stack([3 * score, torch.ones_like(score)], 1)


# What each makes, of whether the run is quick.
NETS: dict[str, Callable[[bool], Task]] = {
    "tabular MLP": lambda q: table("tabular MLP", (30, 128, 128, 2), 16 if q else 64, q),
    "digits CNN": digits,
    "ResNet-18, 64 px": lambda q: resnet(64, 1 if q else 4, q),
    "ResNet-18, 224 px": lambda q: resnet(224, 1, q),
    "transformer": transformer,
    "MLP 10-32-3": lambda q: table("MLP 10-32-3", (10, 32, 3), 1, q),
    "MLP 784-512-512-10": lambda q: table("MLP 784-512-512-10", (784, 512, 512, 10), 16, q),
    "MLP 784-256-128-10": lambda q: table("MLP 784-256-128-10", (784, 256, 128, 10), 8, q),
    "MLP 16-64-64-1": lambda q: table("MLP 16-64-64-1", (16, 64, 64, 1), 1, q),
    "MLP 16-256-256-1": lambda q: table("MLP 16-256-256-1", (16, 256, 256, 1), 1, q),
    "50 residual blocks": residual,
    "small VGG": lambda q: small("vgg", q),
    "photograph": photograph,
}
