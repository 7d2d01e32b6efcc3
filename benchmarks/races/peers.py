"""Other packages as peers: those that can be imported, quiet, in the form that each asks for."""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from _peers import quiet, shap
from torch import Tensor, nn

from races.case import Task


def load(name: str) -> Any:
    """Import what a user may not have; None where it is not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            return None


shapiq = load("shapiq")
# Canonizers for the nets of torchvision, which may not fit the torch at hand, are not needed here.
sys.modules.setdefault("zennit.torchvision", types.ModuleType("zennit.torchvision"))
zennit = load("zennit")
pair = load("saliency.core")

Game = Callable[[npt.ArrayLike], npt.NDArray[np.float64]]


def games(task: Task, size: int = 256) -> list[Game]:
    """Return for each row of the task a function of masks of its few players, [n_masks, n_players].

    This is what packages want that know no tensors: absent players are 0. ``size`` masks run at
    once.
    """
    if task.few is None:
        raise ValueError(f"{task.name} has no few players")
    owner = task.few.expand_as(task.inputs[:1])[0].long()

    def of_row(row: Tensor) -> Game:
        def game(masks: npt.ArrayLike) -> npt.NDArray[np.float64]:
            kept = torch.from_numpy(np.atleast_2d(np.asarray(masks)).astype(np.float32))
            with torch.inference_mode():
                parts = [task.output(row * part[:, owner]) for part in kept.split(size)]
            return np.asarray(torch.cat(parts), dtype=np.float64)

        return game

    return [of_row(row) for row in task.inputs]


def of_games(task: Task, run: Callable[[Game, int], npt.ArrayLike], size: int = 256) -> Tensor:
    """Run a package on one row after the other, given its game and number of players."""
    n_players = 1 + int(task.few.max()) if task.few is not None else 0
    return torch.stack(
        [torch.as_tensor(np.asarray(run(game, n_players))) for game in games(task, size)]
    )


def shap_kernel(task: Task, budget: int, seed: int = 0, size: int = 256) -> Tensor:
    """Return shap's Kernel SHAP; it counts neither the input nor the baseline as samples."""

    def run(game: Game, n: int) -> npt.ArrayLike:
        np.random.seed(seed)  # noqa: NPY002 - shap draws from the global state
        explainer = shap.KernelExplainer(game, np.zeros((1, n)))
        return explainer.shap_values(
            np.ones((1, n)), nsamples=budget - 2, l1_reg=False, silent=True
        )[0]

    return quiet(of_games)(task, run, size)


def shap_masked(kind: str, task: Task, budget: int | None, seed: int = 0) -> Tensor:
    """Return what shap's exact or permutation explainer finds."""

    def run(game: Game, n: int) -> npt.ArrayLike:
        np.random.seed(seed)  # noqa: NPY002 - shap draws from the global state
        masker = shap.maskers.Independent(np.zeros((1, n)))
        explainer = getattr(shap.explainers, kind)(game, masker)
        more = {"silent": True} | ({} if budget is None else {"max_evals": budget})
        return explainer(np.ones((1, n)), **more).values[0]

    return quiet(of_games)(task, run)


def shapiq_sampled(kind: str, task: Task, budget: int, seed: int = 0) -> Tensor:
    """Return Shapley values by one of shapiq's approximators."""

    def run(game: Game, n: int) -> npt.ArrayLike:
        tool = getattr(shapiq, kind)(n=n, random_state=seed)
        return tool.approximate(budget, game).get_n_order_values(1)

    return quiet(of_games)(task, run)


def shapiq_exact(task: Task, index: str = "SV", order: int = 1) -> Tensor:
    """Return an index that shapiq computes from all coalitions."""

    def run(game: Game, n: int) -> npt.ArrayLike:
        found = shapiq.ExactComputer(game=game, n_players=n)(index, order=order)
        return found.get_n_order_values(order)

    return quiet(of_games)(task, run)


@contextmanager
def older_numpy() -> Iterator[None]:
    """Give NumPy back what PAIR's package knows it by: a function and an argument are renamed."""
    quantile = np.quantile

    def by_interpolation(a: Any, q: Any, interpolation: str = "linear") -> Any:
        return quantile(a, q, method=interpolation)

    with (
        patch.object(np, "quantile", by_interpolation),
        patch.object(np, "trapz", vars(np).get("trapezoid", vars(np).get("trapz")), create=True),
    ):
        yield


class OneOutput(nn.Module):
    """The explained output alone, [n_rows, 1]: shap explains all outputs of a net."""

    def __init__(self, net: nn.Module, target: int) -> None:
        super().__init__()
        self.net, self.target = net, target

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, self.target : self.target + 1]


def pair_rows(task: Task, run: Callable[[Any, Any], Any], model: nn.Module | None = None) -> Tensor:
    """Run a method of PAIR's package on one row after the other, images with channels last.

    ``run`` is given the row and the function of batches that the package asks for gradients.
    """
    images, dtype = task.inputs.dim() == 4, torch.float32 if model is None else torch.float64
    net = task.model if model is None else model

    def gradients(batch: Any, call_model_args: Any = None, expected_keys: Any = None) -> Any:
        x = torch.as_tensor(np.asarray(batch), dtype=dtype)
        x = (x.permute(0, 3, 1, 2) if images else x).requires_grad_()
        (found,) = torch.autograd.grad(task.output(x, net).sum(), x)
        return {"INPUT_OUTPUT_GRADIENTS": (found.permute(0, 2, 3, 1) if images else found).numpy()}

    rows = []
    for row in task.inputs:
        given = (row.permute(1, 2, 0) if images else row).numpy()
        with older_numpy():
            found = torch.as_tensor(np.asarray(run(given, gradients)))
        rows.append(found.permute(2, 0, 1) if images else found)
    return torch.stack(rows)


def zennit_rule(task: Task, rule: Any, model: nn.Module | None = None) -> Tensor:
    """Return relevance by one of zennit's rules on all weighted layers, of output ``target``."""
    net = task.model if model is None else model
    layers = (zennit.types.Convolution, zennit.types.Linear)
    composite = zennit.composites.LayerMapComposite([(layers, rule)])
    x = task.inputs.to(next(net.parameters()).dtype)

    def start(output: Tensor) -> Tensor:
        chosen = torch.zeros_like(output)
        chosen[:, task.target] = output[:, task.target]
        return chosen

    with zennit.attribution.Gradient(net, composite=composite) as attributor:
        found: Tensor = attributor(x, start)[1]
    return found


@quiet
def load_once() -> None:
    """Import and compile what first calls do, before processes are made of which each would."""
    for name in ("torch._dynamo", "torch.export", "torch.fx.experimental.symbolic_shapes"):
        load(name)

    def game(masks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return masks @ np.arange(1.0, 4.0)

    masker = shap.maskers.Independent(np.zeros((1, 3)))
    for kind in ("ExactExplainer", "PermutationExplainer"):
        getattr(shap.explainers, kind)(game, masker)(np.ones((1, 3)), silent=True)
    shap.KernelExplainer(game, np.zeros((1, 3))).shap_values(np.ones((1, 3)), silent=True)
