"""The two data sets that ship with scikit-learn, and a small model trained on each."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyxai import datasets

__all__ = ["Task", "breast_cancer", "digits", "one_thread"]


@dataclass(frozen=True)
class Task:
    """A trained model and the rows it is tested on.

    Attributes
    ----------
    name : str
        What the rows are, for headings.
    model : nn.Module
        In evaluation mode; its outputs are logits, shape [batch, n_classes].
    inputs : Tensor, shape [batch, *features]
        Test rows.
    labels : Tensor, shape [batch]
        Their classes.
    class_names : tuple of str
        One for each output.
    feature_names : tuple of str or None
        One for each feature of a table.
    baseline_words : str
        What the baseline 0 means in this data.
    accuracy : float
        Share of the test rows that the model gets right.
    n_train : int
        Rows it was trained on.
    train : tuple of Tensor or None
        Those rows and their classes, as ``inputs`` and ``labels``.
    """

    name: str
    model: nn.Module
    inputs: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] | None
    baseline_words: str
    accuracy: float
    n_train: int
    train: tuple[Tensor, Tensor] | None = None

    @property
    def predictions(self) -> Tensor:
        """Class of the largest logit for each test row, shape [batch]."""
        with torch.no_grad():
            best: Tensor = self.model(self.inputs).argmax(1)
        return best


def digits(seed: int) -> Task:
    """Train a small convolutional net on scikit-learn's 8 x 8 handwritten digits.

    Parameters
    ----------
    seed : int
        Decides the split, the initial weights and the order of the batches.

    Returns
    -------
    Task
        With inputs of shape [batch, 1, 8, 8], ink from 0 to 1.
    """
    images, labels = datasets.digits()

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 16, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    model, test, known, accuracy, train = _fit(build, images, labels, seed, 20)
    return Task(
        name="handwritten digits",
        model=model,
        inputs=test,
        labels=known,
        class_names=tuple(str(digit) for digit in range(10)),
        feature_names=None,
        baseline_words="no ink",
        accuracy=accuracy,
        n_train=len(train[0]),
        train=train,
    )


def breast_cancer(seed: int) -> Task:
    """Train a small perceptron on scikit-learn's breast-cancer table.

    Parameters
    ----------
    seed : int
        Decides the split, the initial weights and the order of the batches.

    Returns
    -------
    Task
        With inputs of shape [batch, 30], in standard deviations from the training mean.
    """
    raw = importlib.import_module("sklearn.datasets").load_breast_cancer()

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
        )

    model, test, labels, accuracy, train = _fit(
        build,
        torch.tensor(raw.data, dtype=torch.float64),
        torch.tensor(raw.target),
        seed,
        30,
        standardise=True,
    )
    return Task(
        name="breast tumours",
        model=model,
        inputs=test,
        labels=labels,
        class_names=("malignant", "benign"),
        feature_names=tuple(str(name) for name in raw.feature_names),
        baseline_words="the average tumour of the training set",
        accuracy=accuracy,
        n_train=len(train[0]),
        train=train,
    )


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run on one thread: nets this small lose more by waiting for others than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fit(
    build: Callable[[], nn.Module],
    inputs: Tensor,
    labels: Tensor,
    seed: int,
    epochs: int,
    *,
    standardise: bool = False,
) -> tuple[nn.Module, Tensor, Tensor, float, tuple[Tensor, Tensor]]:
    """Train on a random 80 % and return the model with the rest; the global RNG is left alone."""
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        order = torch.randperm(len(inputs))
        n_train = int(0.8 * len(inputs))
        train, test = order[:n_train], order[n_train:]
        if standardise:
            seen = inputs[train]
            inputs = (inputs - seen.mean(0)) / seen.std(0)
        inputs = inputs.float()
        model = build()
        optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
        for _ in range(epochs):
            for rows in torch.split(train[torch.randperm(n_train)], 64):
                optimiser.zero_grad()
                loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
                torch.autograd.backward(loss)
                optimiser.step()
    model.eval().requires_grad_(False)
    with torch.no_grad():
        right = model(inputs[test]).argmax(1) == labels[test]
    known = inputs[train], labels[train]
    return model, inputs[test], labels[test], float(right.float().mean()), known
