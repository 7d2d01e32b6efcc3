"""The demonstration's signals: which frequency a net listens to, asked of its Fourier coefficients.

The simulation of the paper on transformation importance, on a smaller scale: white noise, and a
label that says whether one Fourier coefficient of it is larger than usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.demo.figures import subplots
from pyxai.demo.tasks import one_thread
from pyxai.demo.words import listed, percent
from pyxai.report import Section
from pyxai.transforms import FourierTransform, trim

__all__ = ["MeasuredFrequencies", "conclusions", "measure_frequencies", "section"]

LENGTH, FREQUENCY = 64, 9
N_ROWS, N_TRAIN, EPOCHS = 24_000, 20_000, 14


@dataclass(frozen=True, eq=False)
class MeasuredFrequencies:
    """What was found out about a net that reads signals.

    Attributes
    ----------
    accuracy : float
        On signals that it was not trained on.
    says_yes : Tensor, bool, shape [n_signals]
        Whether the net says that the coefficient is large.
    scores : dict of str to Tensor, shape [n_signals, n_frequencies]
        What each coefficient adds to that output, in logits, by method.
    """

    accuracy: float
    says_yes: Tensor
    scores: dict[str, Tensor]

    def loudest(self, name: str) -> int:
        """Return the coefficient of the largest mean score among the signals called yes."""
        return int(self.scores[name][self.says_yes].mean(0).argmax())

    def wrong(self, name: str) -> float:
        """Share of the signals in which another coefficient has the largest score."""
        return float((self.scores[name].argmax(1) != FREQUENCY).double().mean())


def measure_frequencies(seed: int, n_signals: int = 300) -> MeasuredFrequencies:
    """Train a net on signals and explain some by their Fourier coefficients.

    Parameters
    ----------
    seed : int
        What all random choices are made from.
    n_signals : int
        How many unseen signals to explain.

    Returns
    -------
    MeasuredFrequencies
    """
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        x = torch.randn(N_ROWS, LENGTH)
        size = torch.fft.rfft(x).abs()[:, FREQUENCY]
        labels = (size > size.median()).long()
        net = _trained(x[:N_TRAIN], labels[:N_TRAIN])
    unseen = x[N_TRAIN:]
    with torch.no_grad():
        right = net(unseen).argmax(1) == labels[N_TRAIN:]
        says_yes = net(unseen[:n_signals]).argmax(1) == 1
    fourier = FourierTransform(LENGTH)

    def ask(method: str) -> Any:
        return trim(
            net,
            unseen[:n_signals],
            transform=fourier,
            method=method,
            target=1,
            groups=fourier.coefficients_as_groups(),
        )

    gradients = ask("integrated_gradients")
    scores = {
        "contextual decomposition": ask("contextual_decomposition").group_scores(),
        "integrated gradients, signed": gradients.signed(),
        "integrated gradients, magnitude": gradients.magnitude(),
    }
    return MeasuredFrequencies(float(right.double().mean()), says_yes, scores)


def _trained(x: Tensor, labels: Tensor) -> nn.Module:
    net = nn.Sequential(nn.Linear(LENGTH, 96), nn.ReLU(), nn.Linear(96, 2))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(x)), 128):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(x[rows]), labels[rows])
            torch.autograd.backward(loss)
            optimiser.step()
    return net.eval().requires_grad_(False)


def section(above: Section, measured: MeasuredFrequencies) -> None:
    """Append a fold about signals.

    Parameters
    ----------
    above : Section
        To append to.
    measured : MeasuredFrequencies
        What it is about.
    """
    heard = measured.loudest("contextual decomposition")
    part = above.fold(f"Which frequency it listens to: {heard} cycles of {LENGTH} numbers")
    part.text(
        f"Signals of {LENGTH} numbers, all of them noise; the answer is yes where the Fourier "
        f"coefficient of {FREQUENCY} cycles is larger than in half of the signals. A perceptron "
        f"that sees only the numbers finds {percent(measured.accuracy)} of the answers. No single "
        "number tells much, so it is asked about the coefficients instead: the model is the "
        "same, its inputs are what a transform makes of them."
    )
    part.figure(
        lambda: _curves(measured),
        alt="Mean score of each Fourier coefficient, for signals called yes and called no",
        caption="Mean over the signals of each answer. The dotted line is the coefficient that "
        f"makes the label. {len(measured.says_yes)} unseen signals, in logits of yes.",
    )
    part.conclusions(*conclusions(measured))


def conclusions(measured: MeasuredFrequencies) -> tuple[list[str], list[str]]:
    """Say what the curves allow.

    Parameters
    ----------
    measured : MeasuredFrequencies
        Of the signals.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    shares = [f"{percent(measured.wrong(name))} by {name}" for name in measured.scores]
    can = [
        "How often the coefficient that makes the label is missed: another one has the largest "
        "score in "
        f"{listed(shares)} of the signals.",
    ]
    peaks = {measured.loudest(name) for name in measured.scores}
    cannot = [
        "That the other coefficients speak against it. Contextual decomposition gives each of them "
        "alone its share of the biases, which gradients along a path do not see: the levels of the "
        "curves mean different things"
        + (", their peaks the same." if len(peaks) == 1 else ", and their peaks differ."),
    ]
    return can, cannot


def _curves(measured: MeasuredFrequencies) -> Any:
    names = list(measured.scores)[:2]  # those with signs
    figure, axes = subplots(len(names), 1, figsize=(3.7, 5.0), sharex=True)
    for ax, name in zip(axes, names, strict=True):
        for says_yes, colour, label in ((True, "#b2182b", "yes"), (False, "#2166ac", "no")):
            scores = measured.scores[name][measured.says_yes == says_yes]
            ax.plot(scores.mean(0), color=colour, label=f"called {label}")
        ax.axvline(FREQUENCY, color="0.5", linewidth=0.8, linestyle=":")
        ax.set_title(name)
        ax.set_xlabel("cycles in the signal")
        ax.grid(alpha=0.25)
    axes[0].set_ylabel("mean score, in logits")
    axes[0].legend(frameon=False)
    return figure
