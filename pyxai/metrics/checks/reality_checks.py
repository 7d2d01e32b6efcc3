"""Seven reality checks of an explanation, each a number with an error bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_int, check_number, check_tensor, describe
from pyxai.decomposition.groups import groups_of_masks
from pyxai.metrics.checks import single
from pyxai.metrics.checks.explained import Explained, flat_masks
from pyxai.metrics.checks.pipeline import with_and_without
from pyxai.metrics.checks.result import RealityCheck, RealityChecks
from pyxai.runner import one_scope, takes_arrays

__all__ = ["reality_checks"]

TensorOrTuple = Tensor | tuple[Tensor, ...]

_CHECKS = (
    "ground_truth",
    "invariants",
    "phrases",
    "human_study",
    "robustness",
    "usefulness",
    "ablation",
)


@takes_arrays
@one_scope
def reality_checks(
    model: Callable[..., Any],
    inputs: TensorOrTuple,
    *,
    method: Any,
    target: Any = None,
    baselines: Any = None,
    checks: Sequence[str] = _CHECKS,
    truth: TensorOrTuple | None = None,
    absolute: bool = False,
    phrases: TensorOrTuple | None = None,
    phrase_signs: Tensor | None = None,
    answers: Tensor | None = None,
    pipeline: Callable[[bool, int], float] | None = None,
    useful_above: float = 0.0,
    tolerance: float = 1e-3,
    perturb_radius: float = 0.02,
    robust_above: float = 0.5,
    permuted: float = 0.25,
    n_seeds: int = 5,
    seed: int = 0,
    **options: Any,
) -> RealityChecks:
    """Check an explanation against what is known, what must hold, and what it is good for.

    Parameters
    ----------
    model : callable
        A module or any function of tensors that returns one row per example.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Examples.
    method : str, type or Attribution
        Name of a method, its class, or an object made for ``model``, as for `pyxai.explain`.
    target : int, tuple, list or Tensor, optional
        Which output.
    baselines : float, Tensor, or tuple of those, optional
        What stands for absent features.
    checks : sequence of str
        Which of the seven; by default all for which what they need is given.
    truth : Tensor or tuple of Tensor, shape [batch or 1, *features] each, optional
        bool: the features that are known to make the output. For "ground_truth" and "human_study".
    absolute : bool
        Whether the top feature is that of the largest absolute score.
    phrases : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each, optional
        bool: groups of which it is known whether they speak for the output. For "phrases".
    phrase_signs : Tensor, shape [batch or 1, groups], optional
        1 for a group that does, -1 for one that speaks against it, 0 for one that is left out.
    answers : Tensor, shape [readers, questions], optional
        bool: whether readers chose the more accurate of two models; see `Questionnaire`.
    pipeline : callable, optional
        ``pipeline(with_explanation, seed)`` returns a score, the higher the better, such as the
        test accuracy of a net trained with ``cdep_loss`` or without. For "usefulness" and
        "ablation". By default the R^2, on half of the examples, of a linear model of the output on
        a tenth of the features, which the explanation chooses on the other half, or chance.
    useful_above : float
        What the score of the pipeline must be above: 0 for R^2, that of guessing for an accuracy.
    tolerance : float
        Largest violation of the invariants, as a share of the mean change of the output.
    perturb_radius : float
        Size of the step against the output, in input units.
    robust_above : float
        What the rank correlation after it must be above.
    permuted : float
        Share of the weights that are permuted in the less accurate model.
    n_seeds : int
        Models with permuted weights, and runs of the pipeline.
    seed : int
        Of the first of them, and of a method that draws and is not given another in ``options``.
    **options : any
        Further arguments of the method's constructor or of its ``attribute``.

    Returns
    -------
    RealityChecks
        Each with a value, its standard error, and whether it is two errors on the right side.
        Those for which something is missing say what.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, or ``checks`` names a check without what it needs.

    Notes
    -----
    1. ground_truth: share of examples whose top feature is one that makes the output (equal ones
       share a hit), against the share of features that do.
    2. invariants: all features together explain the change of the output from that of the
       baselines, none explain nothing (the baselines themselves are explained), and scores sum to
       that change. Of ``ContextualDecomposition``, which splits the output: all explain it, none 0.
    3. phrases: how often a group that speaks for the output scores above one that speaks against
       it, over all pairs; the error is that of the jackknife over examples.
    4. human_study: how often readers chose the better of two models by explanations [1]_. Without
       answers a reader is simulated, who knows the truth and takes the model that has more of its
       positive score there; the other has weights permuted among themselves, which nobody has
       looked at: it may be the better one.
    5. robustness: mean rank correlation of scores before and after a gradient-sign step.
    6. usefulness: the score of the pipeline that uses the explanation.
    7. ablation: that, minus the score of the same pipeline without the explanation.

    Errors are over examples, those of 6 and 7 over seeds, which share the examples. Everything is
    computed for all examples at once, in passes that fit: no option for the size of a pass changes
    a number. The model is left as found. Costs about ``8 + n_seeds`` explanations of all examples,
    and one for each group of ``phrases`` where the method takes a feature mask.

    References
    ----------
    .. [1] C. Singh, W. J. Murdoch, B. Yu, "Hierarchical interpretations for neural network
       predictions", ICLR 2019, section 4.3.1 (studies) and 4.3.2 (robustness).
    .. [2] C. Singh, W. Ha, B. Yu, "Interpreting and Improving Deep-Learning Models with Reality
       Checks", arXiv 2108.06847.

    Examples
    --------
    >>> import torch
    >>> from pyxai import metrics
    >>> model = lambda x: 2 * x[:, 0] + x[:, 1] ** 2
    >>> truth = torch.tensor([[True, True, False, False]])
    >>> x = torch.rand(40, 4)
    >>> found = metrics.reality_checks(model, x, method="shapley_values", truth=truth)
    >>> found["ground_truth"].value
    1.0
    >>> found.passed["invariants"]
    True
    """
    asked = _asked(checks)
    check_bool("absolute", absolute)
    check_int("n_seeds", n_seeds, minimum=2)
    check_int("seed", seed, minimum=0)
    check_number("useful_above", useful_above)
    check_number("tolerance", tolerance)
    check_number("robust_above", robust_above)
    if check_number("perturb_radius", perturb_radius) < 0:
        raise ValueError(f"perturb_radius must be at least 0, got {perturb_radius}")
    if not 0 < check_number("permuted", permuted) <= 1:
        raise ValueError(f"permuted must be in (0, 1], got {permuted}")
    explained = Explained(model, inputs, method, target, baselines, seed, options)
    known = None if truth is None else _checked_truth(truth, explained)
    signs = _checked_signs(phrases, phrase_signs, explained)
    _check_answers(answers)
    if pipeline is not None and not callable(pipeline):
        raise TypeError(f"pipeline must be a function, got {describe(pipeline)}")
    makers: dict[str, Callable[[], Sequence[RealityCheck]]] = {
        "ground_truth": lambda: [single.ground_truth(explained, known, absolute)],
        "invariants": lambda: [single.invariants(explained, tolerance)],
        "phrases": lambda: [single.phrases(explained, phrases, signs)],
        "human_study": lambda: [
            single.readers(answers)
            if answers is not None
            else single.recognised_model(explained, known, permuted, n_seeds, seed)
        ],
        "robustness": lambda: [single.robustness(explained, perturb_radius, robust_above)],
        "usefulness": lambda: with_and_without(explained, pipeline, n_seeds, seed, useful_above),
    }
    last = {"usefulness", "ablation"} & set(asked)
    names = [name for name in makers if name in asked or (name == "usefulness" and last)]
    made = [check for name in names for check in makers[name]() if check.name in asked]
    if tuple(checks) != _CHECKS:
        _refuse_missing(made)
    return RealityChecks(explained.name, tuple(made))


def _asked(checks: Any) -> tuple[str, ...]:
    if isinstance(checks, str) or not isinstance(checks, Sequence) or not checks:
        raise TypeError(f"checks must be a sequence of names, got {describe(checks)}")
    for name in checks:
        check_choice("checks", name, _CHECKS)
    return tuple(checks)


def _refuse_missing(made: list[RealityCheck]) -> None:
    """Raise where a check that was named was not made."""
    for check in made:
        if check.passed is None:
            raise ValueError(
                f"checks must name those that can be made, got {check.name!r}: "
                f"{check.measures.removeprefix('not made: ')}"
            )


def _checked_truth(truth: Any, explained: Explained) -> Tensor:
    """Return which features matter, bool [batch, features]."""
    masks = _checked_masks("truth", truth, explained)
    fits = all(
        mask.dim() == x.dim() and mask.shape[0] in (1, explained.batch)
        and all(have in (1, want) for have, want in zip(mask.shape[1:], x.shape[1:], strict=True))
        for mask, x in zip(masks, explained.inputs, strict=True)
    )  # fmt: skip
    if not fits:
        raise ValueError(
            f"truth must broadcast to the inputs, {[list(x.shape) for x in explained.inputs]}, "
            f"got {[list(mask.shape) for mask in masks]}"
        )
    return flat_masks(masks, explained.inputs)


def _checked_masks(name: str, given: Any, explained: Explained) -> tuple[Tensor, ...]:
    masks = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for mask in masks:
        if check_tensor(name, mask).dtype != torch.bool:
            raise TypeError(f"{name} must be bool, got {mask.dtype}")
    if len(masks) != len(explained.inputs):
        raise ValueError(
            f"{name} must have {len(explained.inputs)} entries, one per input tensor, "
            f"got {describe(given)}"
        )
    return masks


def _checked_signs(phrases: Any, signs: Any, explained: Explained) -> Tensor | None:
    if (phrases is None) != (signs is None):
        raise ValueError("phrases and phrase_signs must be given together, got one of them")
    if phrases is None:
        return None
    _checked_masks("phrases", phrases, explained)
    count = groups_of_masks(phrases, explained.inputs, "phrases").count
    wanted: Tensor = check_tensor("phrase_signs", signs)
    if list(wanted.shape) not in ([1, count], [explained.batch, count]):
        raise ValueError(
            f"phrase_signs must have shape [{explained.batch}, {count}] or [1, {count}], "
            f"got {list(wanted.shape)}"
        )
    if not bool(((wanted == 1) | (wanted == -1) | (wanted == 0)).all()):
        raise ValueError(
            f"phrase_signs must be 1, -1 or 0, got {sorted(set(wanted.flatten().tolist()))}"
        )
    return wanted


def _check_answers(answers: Any) -> None:
    if answers is None:
        return
    check_tensor("answers", answers)
    if answers.dtype != torch.bool:
        raise TypeError(f"answers must be bool, got {answers.dtype}")
    if answers.dim() != 2 or answers.numel() == 0:
        raise ValueError(f"answers must have shape [readers, questions], got {list(answers.shape)}")
