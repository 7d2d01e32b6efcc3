"""What a selection is worth: the predictor that grew up with it is not asked alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pyxai._checks import check_dtype, check_tensor
from pyxai._lazy import above
from pyxai.lex.masks.groups import Groups
from pyxai.lex.masks.laws import FixedBernoulli
from pyxai.lex.model import LEX
from pyxai.lex.networks import tabular_networks
from pyxai.lex.regimes import Regime
from pyxai.runner.state import find_modules, in_evaluation

__all__ = ["Quality", "SelectionReport", "report"]


class Quality(NamedTuple):
    """How well labels are predicted."""

    accuracy: float
    """Share of labels that are the most likely class; NaN where labels are no classes."""
    nll: float
    """Minus the mean log-probability of the label, in nats; NaN where labels are no classes."""


@dataclass(frozen=True)
class SelectionReport:
    """What a selection is worth, always by three judges.

    Attributes
    ----------
    joint : Quality
        Of the model's own predictor on the selected features, which may have learnt a code that
        the selector writes.
    eval_x : Quality
        Of a fresh predictor that was trained on random masks with the same imputer: it knows no
        code.
    mask_only : Quality
        Of a classifier that sees which features were selected, and not their values: what is above
        the majority of labels here was written into the mask.
    full : Quality
        Of the model's own predictor on full inputs.
    majority : float
        Share of the most frequent label.
    esr : float
        Effective selection rate, the share of groups that are selected.
    tpr, fpr, fdr : float or None
        Rates of true and false positives and of false discoveries, means over the rows, where the
        truth is known.
    """

    joint: Quality
    eval_x: Quality
    mask_only: Quality
    full: Quality
    majority: float
    esr: float
    tpr: float | None = None
    fpr: float | None = None
    fdr: float | None = None

    def __str__(self) -> str:
        """Return a table in plain text."""
        lines = ["predictor            accuracy     NLL"]
        for label, quality in (
            ("trained jointly", self.joint),
            ("EVAL-X", self.eval_x),
            ("mask only", self.mask_only),
            ("full inputs", self.full),
        ):
            lines.append(f"{label:20} {quality.accuracy:8.3f} {quality.nll:7.3f}")
        lines.append(f"majority of labels   {self.majority:8.3f}")
        rates = {"selected": self.esr, "TPR": self.tpr, "FPR": self.fpr, "FDR": self.fdr}
        shown = [f"{name} {value:.3f}" for name, value in rates.items() if value is not None]
        return "\n".join([*lines, ", ".join(shown)])


def report(
    lex: LEX,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    truth: Tensor | None = None,
    k: int | None = None,
    n_imputations: int = 10,
    epochs: int = 10,
    batch_size: int = 500,
    lr: float = 1e-3,
    seed: int = 0,
) -> SelectionReport:
    """Measure a trained selection on labels that are classes.

    Two judges are trained here, on ``train``: a copy of the predictor with fresh weights on masks
    that keep each group with probability 1/2 (EVAL-X), and a perceptron that sees hard masks only.
    All are asked about the selector's hard masks of ``test``.

    Parameters
    ----------
    lex : LEX
        Trained; left as it is.
    train, test : tuple of Tensor
        Inputs [rows, *feat] and int64 labels [rows].
    truth : Tensor, shape [rows of test, n_groups] or [rows of test, *feat], optional
        bool, True where a group matters, or a feature; or one that broadcasts to either shape. A
        group matters if any of its features does. What fits both is read as groups.
    k : int, optional
        Groups to select; default: the law's number, or those likelier kept than not.
    n_imputations : int
        Of each hard mask; probabilities are their means.
    epochs, batch_size, lr
        Training of the two judges, by Adam.
    seed : int
        Of judges and imputations.

    Returns
    -------
    SelectionReport

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If labels are not int64.

    References
    ----------
    .. [1] N. Jethani et al., "Have We Learned to Explain? How Interpretability Methods Can Learn to
       Encode Predictions in their Interpretations", AISTATS 2021, section 4 (EVAL-X).
    """
    for name, (inputs, labels) in (("train", train), ("test", test)):
        check_tensor(f"inputs of {name}", inputs)
        check_dtype(f"labels of {name}", check_tensor(f"labels of {name}", labels), (torch.int64,))
    known = None if truth is None else _of_groups(lex.groups, truth, test[0])
    training: dict[str, Any] = {"epochs": 0, "batch_size": batch_size, "lr": lr, "seed": seed}
    with in_evaluation(find_modules(lex)):
        masks, seen = lex.select(test[0], k), lex.select(train[0], k)
        eval_x = LEX(
            _fresh(lex.predictor, seed),
            lex.selector,
            imputer=lex.imputer,
            groups=lex.groups,
            law=FixedBernoulli(0.5),
            likelihood=lex.likelihood,
            n_imputations=min(n_imputations, lex.n_imputations),
            regime=_alone("random_masks", epochs),
        )
        eval_x.fit(train, **training)
        predictors = {"joint": lex.predictor, "eval_x": eval_x.eval().predictor}
        found = {
            name: _quality(
                _in_parts(lex, test[0], masks, predictor, n_imputations, seed, batch_size), test[1]
            )
            for name, predictor in predictors.items()
        }
        n_classes = _outputs(lex.predictor, test[0][:1]).shape[1]
        by_mask = _mask_only(masks, seen, train[1], n_classes, epochs, training)
        full = _outputs(lex.predictor, test[0]).softmax(1)
    rates = {}
    if known is not None:
        each = above("metrics").selection_rates(masks, known)
        rates = {name: float(getattr(each, name).nanmean()) for name in ("tpr", "fpr", "fdr")}
    return SelectionReport(
        joint=found["joint"],
        eval_x=found["eval_x"],
        mask_only=_quality(by_mask, test[1]),
        full=_quality(full, test[1]),
        majority=float(test[1].bincount().max()) / len(test[1]),
        esr=float(masks.double().mean()),
        **rates,
    )


def _of_groups(groups: Groups, truth: Any, inputs: Tensor) -> Tensor:
    """Return which groups matter, of groups or of features that do."""
    check_dtype("truth", check_tensor("truth", truth), (torch.bool,))
    known: Tensor = truth
    wanted = len(inputs), groups.count(inputs)
    if _broadcasts(known, wanted):
        return known
    if not _broadcasts(known, inputs.shape):
        raise ValueError(
            f"truth must broadcast to groups of shape {list(wanted)}, or to the inputs of test, "
            f"{list(inputs.shape)}, got {list(known.shape)}"
        )
    return groups.of_features(known, inputs)


def _broadcasts(value: Tensor, shape: Sequence[int]) -> bool:
    """Whether a tensor can be expanded to a shape."""
    have = value.shape
    return len(have) <= len(shape) and all(
        size in (1, want) for size, want in zip(reversed(have), reversed(shape), strict=False)
    )


def _alone(pretraining: str, epochs: int) -> Regime:
    """Return a regime in which the predictor is trained, and nothing else."""
    return Regime(predictor="frozen", pretraining=pretraining, pretrain_epochs=epochs)


def _in_parts(
    lex: LEX,
    inputs: Tensor,
    masks: Tensor,
    predictor: nn.Module,
    n_imputations: int,
    seed: int,
    size: int,
) -> Tensor:
    """Return probabilities given hard masks, some rows at a time."""
    parts = [
        lex.predict(rows, kept, n_imputations=n_imputations, seed=seed, predictor=predictor)
        for rows, kept in zip(torch.split(inputs, size), torch.split(masks, size), strict=True)
    ]
    return torch.cat(parts)


def _mask_only(
    masks: Tensor,
    seen: Tensor,
    labels: Tensor,
    n_classes: int,
    epochs: int,
    training: dict[str, Any],
) -> Tensor:
    """Return what a classifier of masks says, ``[rows, classes]``."""
    n_groups = masks.shape[1]
    networks = tabular_networks(n_groups, n_classes, seed=training["seed"])
    judge = LEX(*networks, law=FixedBernoulli(0.5), regime=_alone("full", epochs))
    network = judge.to(masks.device).predictor
    judge.fit((seen.float(), labels), **training)
    return _outputs(network, masks.float()).softmax(1)


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(inputs)
    return found


def _quality(probabilities: Tensor, labels: Tensor) -> Quality:
    right = (probabilities.argmax(1) == labels).double().mean()
    given = probabilities.gather(1, labels[:, None]).double().clamp(min=1e-30)
    return Quality(float(right), float(-given.log().mean()))


def _fresh(model: nn.Module, seed: int) -> nn.Module:
    """Return a copy with weights drawn anew, as its layers draw them."""
    other = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for each in other.modules():
            reset = getattr(each, "reset_parameters", None)
            if callable(reset):
                reset()
    return other.train()
