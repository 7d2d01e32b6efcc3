"""Training of all that a regime trains: torch's optimisers and data loaders, and checkpoints."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_int, check_number, describe
from pyxai._files import check_fields, malformed
from pyxai.explanation import file
from pyxai.lex.batches import batches_of, loader_of, n_rows
from pyxai.lex.model import LEX
from pyxai.runner import ProgressOption
from pyxai.runner.progress import Progress, check_progress
from pyxai.runner.state import random_state_kept

__all__ = ["Trainer", "Training", "TrainingResult", "accumulate"]

_KIND = "training"
_LAST, _BEST = "last.safetensors", "best.safetensors"
# Predictor rows at once: activations of small nets then stay in a processor's cache.
_ROWS = {"cpu": 2048, "cuda": 2**15}


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Attributes
    ----------
    epochs : int
        Passes over the data, after those of pre-training.
    batch_size : int
        Rows of a step.
    lr, weight_decay : float
        Of Adam.
    patience : int, optional
        Epochs without a better validation loss after which a phase ends; the best weights come
        back. Default: every epoch is run.
    """

    epochs: int = 10
    batch_size: int = 1000
    lr: float = 1e-3
    weight_decay: float = 0.0
    patience: int | None = None

    def __post_init__(self) -> None:
        """Raise if a number is out of range."""
        check_int("epochs", self.epochs, minimum=0)
        check_int("batch_size", self.batch_size, minimum=1)
        for name in ("lr", "weight_decay"):
            if check_number(name, getattr(self, name)) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.patience is not None:
            check_int("patience", self.patience, minimum=1)


@dataclass
class TrainingResult:
    """What a training went through.

    Attributes
    ----------
    history : list of dict
        One entry an epoch: ``phase``, ``epoch``, ``steps``, the mean of each term of the loss, and
        ``validation`` where there are validation data.
    steps : int
        Steps taken.
    best : dict of str to float
        The least validation loss of each phase.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    best: dict[str, float] = field(default_factory=dict)


@dataclass
class _Place:
    """Where a training is; all that a checkpoint holds besides tensors."""

    phase: int = 0
    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    worse: int = 0  # epochs since the best one
    sums: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Train a `LEX`: pre-training, then selector and predictor, as its regime says.

    Parameters
    ----------
    lex : LEX
        What is trained, in place.
    optimiser : torch.optim.Optimizer, optional
        Over ``lex.parameters()``; default: Adam.
    seed : int
        Of the order of rows, masks and imputations: one seed, one run.
    folder : str or Path, optional
        Of the checkpoints: ``last.safetensors``, and ``best.safetensors`` with validation data.
    every : int, optional
        Steps from one checkpoint to the next; default: one each epoch.
    progress : bool or callable
        Whether to show a bar, or ``progress(done, total)`` in rows.
    max_rows : int, optional
        Rows that the predictor is given at once. A batch is then done in parts whose gradients
        are added up, which changes nothing but rounding. Default: as it runs fast; a predictor
        with batch normalisation gets all at once, as its statistics are those of the batch.
    **options
        Fields of `Training`, instead of those of ``lex``.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another kind.
    """

    def __init__(
        self,
        lex: LEX,
        *,
        optimiser: torch.optim.Optimizer | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        every: int | None = None,
        progress: ProgressOption = False,
        max_rows: int | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(lex, LEX):
            raise TypeError(f"lex must be of class LEX, got {describe(lex)}")
        self.lex = lex
        known = [each.name for each in fields(Training)]
        for name in options:
            if name not in known:
                raise TypeError(f"options must be among {', '.join(known)}, got {name!r}")
        self.options = replace(lex.training_options or Training(), **options)
        self.seed = check_int("seed", seed, minimum=0)
        self.folder = None if folder is None else Path(folder)
        self.every = every if every is None else check_int("every", every, minimum=1)
        self.progress = check_progress("progress", progress)
        self.max_rows = max_rows if max_rows is None else check_int("max_rows", max_rows, minimum=1)
        self.optimiser = optimiser or torch.optim.Adam(
            lex.parameters(), lr=self.options.lr, weight_decay=self.options.weight_decay
        )
        self.last_checkpoint: Path | None = None

    def fit(self, data: Any, *, validation: Any = None, resume: bool = False) -> TrainingResult:
        """Train to the end, or to where validation says.

        Parameters
        ----------
        data : tuple of Tensor, Dataset or DataLoader
            Batches or rows of inputs and targets; of inputs alone where the regime makes targets.
            The rows of tensors and data sets come in an order drawn from the seed; a loader's own
            order is kept.
        validation : tuple of Tensor, Dataset or DataLoader, optional
            Inputs and targets whose loss is kept with each epoch and, with ``patience``, decides
            when to stop and which weights are kept.
        resume : bool
            Whether to go on from ``last.safetensors``; the result is that of a run that was not
            interrupted.

        Returns
        -------
        TrainingResult

        Raises
        ------
        FloatingPointError
            If a term of the loss, a gradient or the validation loss is NaN or infinite; the message
            names the step, the term and the last checkpoint. A step that would write it into the
            weights is not taken.
        ValueError
            If data do not fit.
        """
        if self.options.patience is not None and validation is None:
            raise ValueError("validation must be given where patience is, got None")
        result, place = TrainingResult(), _Place()
        if resume:
            result, place = self._load()
        phases = self._phases()
        modes = [(each, each.training) for each in self.lex.modules()]
        total = n_rows(data) * sum(epochs for _, epochs, _ in phases)
        try:
            with Progress(self.progress, total) as progress:
                for number in range(place.phase, len(phases)):
                    if number != place.phase:
                        place = _Place(phase=number)
                    self._run_phase(phases[number], place, data, validation, result, progress)
        finally:
            for each, mode in modes:
                each.training = mode
        return result

    def _phases(self) -> list[tuple[str, int, tuple[str, ...] | None]]:
        """Return name, epochs and parts of each phase; the regime says the parts of the last."""
        regime = self.lex.regime
        part = {"full": "full", "random_masks": "random"}[regime.pretraining]
        pretraining = ("pretraining", regime.pretrain_epochs, (part,))
        phases = [pretraining] if regime.pretrain_epochs else []
        return [*phases, ("selection", self.options.epochs, None)]

    def _run_phase(
        self,
        phase: tuple[str, int, tuple[str, ...] | None],
        place: _Place,
        data: Any,
        validation: Any,
        result: TrainingResult,
        progress: Progress,
    ) -> None:
        name, epochs, parts = phase
        self.lex.train()
        if parts and isinstance(self.lex.predictor, nn.Module):  # also one that is frozen later
            self.lex.predictor.train()
        best: dict[str, Tensor] | None = None
        if place.epoch and name in result.best:
            best = self._load_best()
        patience = math.inf if self.options.patience is None else self.options.patience
        while place.epoch < epochs and place.worse < patience:
            for batch in self._batches(data, place):
                for step_parts in (parts,) if parts else self.lex.regime.parts(result.steps):
                    self._step(batch, step_parts, result, place)
                result.steps += 1
                place.batch += 1
                if self.every and result.steps % self.every == 0:
                    self._save(_LAST, result, place)
                progress.advance(len(batch[0]))
            entry: dict[str, Any] = {"phase": name, "epoch": place.epoch, "steps": result.steps}
            entry |= {term: value / max(1, place.batch) for term, value in place.sums.items()}
            place.epoch, place.batch, place.sums = place.epoch + 1, 0, {}
            if validation is not None:
                entry["validation"] = self._validate(
                    validation, parts or ("selector",), result.steps
                )
                if entry["validation"] < result.best.get(name, math.inf):
                    result.best[name], place.worse = entry["validation"], 0
                    best = copy.deepcopy(self.lex.state_dict())
                    self._save(_BEST, result, place)
                else:
                    place.worse += 1
            result.history.append(entry)
            if not self.every:
                self._save(_LAST, result, place)
        if best is not None and self.options.patience is not None:
            self.lex.load_state_dict(best)

    def _step(
        self,
        batch: tuple[Tensor, Tensor | None],
        parts: tuple[str, ...],
        result: TrainingResult,
        place: _Place,
    ) -> None:
        """Take one optimiser step, unless something is not finite."""
        self.optimiser.zero_grad(set_to_none=True)
        seed = (self.seed * 0x9E3779B97F4A7C15 + result.steps) % 2**63
        with random_state_kept([batch[0].device]):
            torch.manual_seed(seed)  # of layers that draw, such as dropout
            terms = accumulate(self.lex, *batch, seed=seed, parts=parts, max_rows=self.max_rows)
        for name, value in terms.items():
            if not math.isfinite(value):
                self._stop(f"{value} in the term {name!r} of the loss", result.steps)
            place.sums[name] = place.sums.get(name, 0.0) + value
        for name, parameter in self.lex.named_parameters():
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
                self._stop(f"a NaN or infinite gradient of {name}", result.steps)
        self.optimiser.step()

    def _stop(self, what: str, step: int) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        raise FloatingPointError(
            f"training must stay finite, got {what} at step {step}; the weights are those before "
            f"this step, and the last checkpoint is {self.last_checkpoint or 'none'}"
        )

    def _batches(self, data: Any, place: _Place) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield what is left of an epoch."""
        seed = (self.seed * 1_000_003 + place.phase * 100_003 + place.epoch) % 2**63
        loader = loader_of(data, self.options.batch_size, seed)
        yield from itertools.islice(batches_of(loader, self._device), place.batch, None)

    def _validate(self, validation: Any, parts: tuple[str, ...], step: int) -> float:
        """Return the mean loss of the validation rows; the same masks every time."""
        loader = loader_of(validation, self.options.batch_size, name="validation")
        total, count = 0.0, 0
        for inputs, targets in batches_of(loader, self._device, "validation"):
            total += float(self.lex.score(inputs, targets, seed=0, parts=parts).sum())
            count += len(inputs)
        if not math.isfinite(total):
            raise FloatingPointError(
                f"training must stay finite, got {total} in the validation loss after step "
                f"{step}; the last checkpoint is {self.last_checkpoint or 'none'}"
            )
        return total / max(1, count)

    @property
    def _device(self) -> torch.device:
        return next(iter(self.lex.parameters())).device

    def _save(self, name: str, result: TrainingResult, place: _Place) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "model": dict(self.lex.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "result": vars(result),
            "place": vars(place),
            "seed": self.seed,
        }
        path = file.save(content, self.folder / name, _KIND)
        if name == _LAST:
            self.last_checkpoint = path

    def _load(self) -> tuple[TrainingResult, _Place]:
        if self.folder is None:
            raise ValueError("folder must be given to resume, got None")
        content = self._read(_LAST)
        if content["seed"] != self.seed:
            raise ValueError(
                f"seed must be {content['seed']}, that of the checkpoint, got {self.seed}"
            )
        path = self.folder / _LAST
        with malformed(path):  # or that of another model
            self.lex.load_state_dict(content["model"])
            self.optimiser.load_state_dict(content["optimiser"])
        self.last_checkpoint = path
        return content["result"], content["place"]

    def _load_best(self) -> dict[str, Tensor] | None:
        if self.folder is None or not (self.folder / _BEST).is_file():
            return None
        found: dict[str, Tensor] = self._read(_BEST)["model"]
        return found

    def _read(self, name: str) -> dict[str, Any]:
        assert self.folder is not None
        return file.load(self.folder / name, self._device, _content, _KIND)


def _content(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint holds, checked but for what the model and the optimiser ask."""
    check_fields(
        found, {"model": dict, "optimiser": dict, "result": dict, "place": dict, "seed": int}
    )
    result, place = found["result"], found["place"]
    check_fields(result, {"history": list, "steps": int, "best": dict})
    check_fields(place, {**dict.fromkeys(("phase", "epoch", "batch", "worse"), int), "sums": dict})
    return {**found, "result": TrainingResult(**result), "place": _Place(**place)}


def accumulate(
    lex: LEX,
    inputs: Tensor,
    targets: Tensor | None = None,
    *,
    seed: int,
    parts: tuple[str, ...] = ("predictor", "selector"),
    max_rows: int | None = None,
) -> dict[str, float]:
    """Add the gradient of ``lex.loss`` to the parameters, some rows at a time.

    Parameters
    ----------
    lex : LEX
        Whose parameters get gradients.
    inputs, targets : Tensor
        A batch.
    seed, parts
        See `LEX.loss`.
    max_rows : int, optional
        Rows that the predictor is given at once; see `Trainer`.

    Returns
    -------
    dict of str to float
        The mean of each term of the loss.

    Notes
    -----
    The selector runs once on the whole batch. The predictor's activations are those of a part of
    it, which stay in a processor's cache: this is what makes many masks and imputations fast.
    """
    batch = lex.prepared(inputs, targets)
    scores = lex.scores(batch.inputs)
    held = scores.detach().requires_grad_(scores.requires_grad)
    step = _rows_at_once(lex, len(inputs), inputs.device, max_rows)
    sums: dict[str, Tensor] = {}
    for start in range(0, len(inputs), step):
        at = slice(start, start + step)
        found = lex.row_losses(held[at], batch.part(at), seed, parts)
        if found.surrogate.requires_grad:
            (found.surrogate.sum() / len(inputs)).backward()  # type: ignore[no-untyped-call]
        for name, value in found.terms.items():
            sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.sum()
    if held.grad is not None:
        scores.backward(held.grad)  # type: ignore[no-untyped-call]
    return {name: float(value) / len(inputs) for name, value in sums.items()}


def _rows_at_once(lex: LEX, batch: int, device: torch.device, max_rows: int | None) -> int:
    """Return how many examples are done together."""
    if max_rows is None:
        # Statistics over a batch, in the predictor or in the estimator, want all of it.
        whole = any(
            isinstance(each, nn.modules.batchnorm._BatchNorm) and each.training
            for each in lex.predictor.modules()
        )
        if whole or getattr(lex.estimator, "kind", None) == "moving":
            return batch
        max_rows = _ROWS.get(device.type, _ROWS["cuda"])
    each = lex.n_masks * lex.n_imputations * lex.outer_masks * lex.outer_imputations
    return max(1, max_rows // each)
