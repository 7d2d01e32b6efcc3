"""The demonstration's wavelet: a filter learnt from a net, beside the one that made its labels."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.demo.figures import subplots
from pyxai.demo.words import percent
from pyxai.report import Section, format_number
from pyxai.transforms import (
    AdaptiveWavelet,
    WaveletTransform,
    wavelet_distance,
    wavelet_functions,
)
from pyxai.transforms.wavelet import scaling_filter

__all__ = ["MeasuredWavelet", "conclusions", "measure_wavelet", "section"]

HIDDEN = "db5"  # the wavelet that the labels are made with
N_SIGNALS = 4000
LENGTH = 64
LEVEL = 4


@dataclass(frozen=True, eq=False)
class MeasuredWavelet:
    """Wavelets learnt from a net.

    Attributes
    ----------
    explained : float
        Share of the variance of unseen labels that the net explains.
    alone, distilled : AdaptiveWavelet
        Learnt from the signals alone, and from what the net makes of them.
    """

    explained: float
    alone: AdaptiveWavelet
    distilled: AdaptiveWavelet

    def distance(self, scaling: Tensor) -> float:
        """Return how far a filter's wavelet is from the one that made the labels."""
        return wavelet_distance(scaling, scaling_filter(HIDDEN))


def measure_wavelet(seed: int) -> MeasuredWavelet:
    """Train a net on labels that a wavelet made, and learn wavelets from it.

    Parameters
    ----------
    seed : int
        What all random choices are made from.

    Returns
    -------
    MeasuredWavelet
    """
    signals, labels = _data(2 * N_SIGNALS, seed)
    model = _train(signals[:N_SIGNALS], labels[:N_SIGNALS], seed)
    with torch.no_grad():
        error = (model(signals[N_SIGNALS:])[:, 0] - labels[N_SIGNALS:]).square().mean()
    learnt = [
        AdaptiveWavelet(
            HIDDEN,
            level=LEVEL,
            noise=0.15,
            interpretation=weight,
            epochs=10,
            learning_rate=3e-3,
            seed=seed,
        ).fit(signals[:N_SIGNALS], model=model, target=0)
        for weight in (0.0, 1.0)
    ]
    return MeasuredWavelet(1 - float(error / labels[N_SIGNALS:].var()), *learnt)


def _data(n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    signals = torch.randn(n, LENGTH, generator=generator)
    transform = WaveletTransform(LENGTH, HIDDEN, level=LEVEL, mode="zero")
    third = transform.unpack(transform(signals))[2]
    return signals, 2 * third[:, 7:10].sum(1) + 0.1 * torch.randn(n, generator=generator)


def _train(signals: Tensor, labels: Tensor, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(LENGTH, 32), nn.ReLU(), nn.Linear(32, 1))
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, 20)
        for _ in range(20):
            for rows in torch.split(torch.randperm(len(signals)), 100):
                optimizer.zero_grad()
                (model(signals[rows])[:, 0] - labels[rows]).square().mean().backward()
                optimizer.step()
            schedule.step()
    return model.eval().requires_grad_(False)


def section(above: Section, measured: MeasuredWavelet) -> None:
    """Append a fold about the learnt wavelet.

    Parameters
    ----------
    above : Section
        To append to.
    measured : MeasuredWavelet
        What it is about.
    """
    part = above.fold("A wavelet learnt from a net")
    part.text(
        f"Signals of {LENGTH} random samples, with labels that are the sum of three wavelet "
        f"coefficients. A net that was told nothing of wavelets explains "
        f"{percent(measured.explained)} of the variance of unseen labels. From a filter with "
        "noise on it a wavelet is learnt in which the signals, and the net's attributions to their "
        "coefficients, take few large numbers (adaptive wavelet distillation). The attributions "
        "need the net once for each signal: between its kinks it is linear."
    )
    part.figure(
        lambda: _drawings(measured),
        alt="The wavelet before, learnt without and with the net, and the one that made the labels",
        caption="Above: learnt from the signals alone. Below: from what the net makes of them. The "
        "thin line is the wavelet that made the labels.",
    )
    part.conclusions(*conclusions(measured))


def conclusions(measured: MeasuredWavelet) -> tuple[list[str], list[str]]:
    """Say what the distances allow.

    Parameters
    ----------
    measured : MeasuredWavelet
        Of the net.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    start, alone, distilled = (
        measured.distance(each)
        for each in (
            measured.distilled.start_,
            measured.alone.filter_,
            measured.distilled.filter_,
        )
    )
    helps = " What the signals alone do not tell, the net does." if distilled < alone else ""
    can = [
        f"How close each filter comes to the wavelet that made the labels: {format_number(start)} "
        f"away at the start, {format_number(alone)} learnt from the signals alone, "
        f"{format_number(distilled)} with the net's attributions.{helps}",
    ]
    cannot = [
        "That a net's wavelet is found where nobody knows it. Here the start was that wavelet with "
        "noise on it, and the labels were made of three coefficients.",
        "That this is what the net computes. The wavelet is the one in which its gradients are "
        "short, of those that an orthogonal filter of this length can make.",
    ]
    return can, cannot


def _drawings(measured: MeasuredWavelet) -> Any:
    """Draw both learnt wavelets beside the start and the one that made the labels."""
    figure, axes = subplots(2, 1, figsize=(3.7, 6.2), sharey=True)
    made = wavelet_functions(scaling_filter(HIDDEN))
    ink = importlib.import_module("matplotlib").rcParams["text.color"]  # dark screens, light lines
    panels = {"signals alone": measured.alone, "with the net": measured.distilled}
    for ax, (title, found) in zip(axes, panels.items(), strict=True):
        found.plot(ax=ax, title=f"{title}: {measured.distance(found.filter_):.2f} away")
        ax.plot(made.x, made.psi, color=ink, linewidth=0.9, label="wavelet of the labels")
        ax.get_legend().remove()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure
