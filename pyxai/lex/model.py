"""The model of LEX: a selector, an imputer and a predictor, and their loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from pyxai._checks import (
    check_choice,
    check_device,
    check_finite,
    check_int,
    check_model,
    check_real,
    check_shape,
    check_tensor,
    describe,
)
from pyxai._random import example_ids as name_examples
from pyxai.imputers import Constant, Imputer
from pyxai.lex.estimators import REINFORCE, Estimator, Pathwise, Question
from pyxai.lex.likelihoods import AGGREGATIONS, Bound, CategoricalLikelihood, Likelihood
from pyxai.lex.masks.groups import Groups
from pyxai.lex.masks.laws import Bernoulli, MaskLaw
from pyxai.lex.objective import (
    Batch,
    bound_of_masks,
    by_row,
    completed,
    full_loss,
    random_mask_loss,
)
from pyxai.lex.regimes import Regime
from pyxai.lex.regularisers import L1, Regulariser
from pyxai.methods import Attribution
from pyxai.runner import EveryOutput, Runner
from pyxai.runner.state import find_modules, in_evaluation

if TYPE_CHECKING:
    from pyxai.lex.trainer import Training, TrainingResult

__all__ = ["LEX", "Losses"]

PARTS = ("predictor", "selector", "full", "random")


class Losses(NamedTuple):
    """What each row costs, ``[batch]`` each; terms that are not asked for are left out."""

    surrogate: Tensor
    """The sum whose gradient is that of the loss; its value says nothing."""
    terms: dict[str, Tensor]
    """``bound``, ``penalty``, ``predictor``, ``baseline``, ``full``: values without a gradient."""


class LEX(nn.Module, Attribution):
    r"""Explanation as a latent variable: the features that a prediction needs.

    A selector gives each input a law of masks, an imputer fills in what a mask removes, and a
    predictor makes a label of the result; all that is trained maximises a lower bound on the
    likelihood of the label,

    ``log p(y | x) >= E log (1 / K M) sum_{k, m} p(y | x_km)``,
    ``x_km = z_k * x + (1 - z_k) * u_km``, ``z_k ~ selector(x)``, ``u_km ~ imputer(x, z_k)``,

    less a penalty on what is kept, unless the law fixes how much that is. The marginals of the
    masks are the explanation.

    Parameters
    ----------
    predictor : Module
        From completed inputs [rows, *feat] to what the likelihood takes, such as logits
        [rows, classes]. It does not see the mask.
    selector : Module or callable
        From inputs [batch, *feat] to scores of the groups, [batch, n_groups] or a shape with as
        many values, such as a grid.
    imputer : Imputer, optional
        Fitted; default: 0. With a constant and joint training the selector can write the label
        into the mask: see `report`.
    law : MaskLaw, optional
        Default: `Bernoulli`.
    groups : Groups, optional
        Which features share a bit. Default: each has its own.
    likelihood : Likelihood, optional
        Default: `CategoricalLikelihood`.
    estimator : Estimator, optional
        Default: `Pathwise` where the law has a gradient, else `REINFORCE`.
    regulariser : Regulariser or sequence of those, optional
        Default: none where the law fixes how much is kept, else ``L1(1.0)``.
    regime : Regime, optional
        Default: predictor and selector are trained together on labels.
    black_box : Module or callable, optional
        Whose outputs are the target, for ``Regime(target="black_box")``; never trained.
    n_masks, n_imputations : int
        K and M, inside the logarithm.
    outer_masks, outer_imputations : int
        L and J, outside of it.
    aggregation : str
        ``"mean"``, the bound above; ``"harmonic"``, the logarithm of the mean of 1 / p, as the
        authors' program has it: no bound on the likelihood.
    training : Training, optional
        Defaults of `fit`.

    Raises
    ------
    ValueError
        If numbers or choices do not fit each other.
    TypeError
        If an argument is of another kind.

    Notes
    -----
    A training step costs one selector pass of the batch and L K J M predictor rows for each row;
    `REBAR` and `RELAX` three times as many.

    References
    ----------
    .. [1] H. Senetaire, D. Garreau, J. Frellsen, P.-A. Mattei, "Explainability as statistical
       inference", ICML 2023.

    Examples
    --------
    >>> import torch
    >>> from pyxai.lex import LEX, Subset, tabular_networks
    >>> lex = LEX(*tabular_networks(5, 2), law=Subset(2))
    >>> lex.attribute(torch.ones(3, 5)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        predictor: nn.Module,
        selector: nn.Module | Callable[[Tensor], Tensor],
        *,
        imputer: Imputer | None = None,
        law: MaskLaw | None = None,
        groups: Groups | None = None,
        likelihood: Likelihood | None = None,
        estimator: Estimator | None = None,
        regulariser: Regulariser | Sequence[Regulariser] | None = None,
        regime: Regime | None = None,
        black_box: Callable[..., Any] | None = None,
        n_masks: int = 1,
        n_imputations: int = 1,
        outer_masks: int = 1,
        outer_imputations: int = 1,
        aggregation: str = "mean",
        training: Training | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("predictor", predictor), ("selector", selector)):
            if not callable(value):
                raise TypeError(f"{name} must be callable, got {describe(value)}")
        self.predictor, self.selector = predictor, selector
        self.imputer: Imputer = _of_kind("imputer", imputer, Imputer, Constant)
        self.law: MaskLaw = _of_kind("law", law, MaskLaw, Bernoulli)
        self.groups: Groups = _of_kind("groups", groups, Groups, Groups)
        self.likelihood: Likelihood = _of_kind(
            "likelihood", likelihood, Likelihood, CategoricalLikelihood
        )
        usual = Pathwise if self.law.pathwise else REINFORCE
        self.estimator: Estimator = _of_kind("estimator", estimator, Estimator, usual)
        self.regime: Regime = _of_kind("regime", regime, Regime, Regime)
        if regulariser is None:
            regulariser = () if self.law.sized else L1(1.0)
        self.regularisers = _regularisers(regulariser, self.law)
        self._black_box = (_checked_black_box(black_box, self.regime),)  # no module of ours
        self.n_masks = check_int("n_masks", n_masks, minimum=1)
        self.n_imputations = check_int("n_imputations", n_imputations, minimum=1)
        self.outer_masks = check_int("outer_masks", outer_masks, minimum=1)
        self.outer_imputations = check_int("outer_imputations", outer_imputations, minimum=1)
        self.aggregation = check_choice("aggregation", aggregation, AGGREGATIONS)
        self.training_options = training
        self.imputed = nn.ParameterList(
            [each for each in self.imputer.parameters() if isinstance(each, nn.Parameter)]
        )
        if self.law.scored or self.law.pathwise:
            self.estimator.check(self.law, self.outer_masks, self.n_masks)

    @property
    def forward_func(self) -> Callable[..., Any]:  # type: ignore[override]
        """The model that is explained: the black box if there is one, else the predictor."""
        return self._black_box[0] or self.predictor

    def train(self, mode: bool = True) -> LEX:
        """Switch to training or evaluation; a frozen predictor stays in evaluation."""
        super().train(mode)
        if self.regime.predictor == "frozen" and isinstance(self.predictor, nn.Module):
            self.predictor.eval()
        return self

    def forward(self, inputs: Tensor, targets: Tensor | None = None, **options: Any) -> Tensor:
        """Return the loss: what wrappers of modules, such as those of several processes, call.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *feat]
            Full inputs.
        targets : Tensor, optional
            As the likelihood takes them.
        **options
            Further arguments of `loss`.
        """
        return self.loss(inputs, targets, **options)

    def loss(
        self,
        inputs: Tensor,
        targets: Tensor | None = None,
        *,
        seed: int,
        example_ids: Tensor | None = None,
        parts: Sequence[str] = ("predictor", "selector"),
    ) -> Tensor:
        """Return the loss of a batch, to be made small by any trainer.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *feat]
            Full inputs.
        targets : Tensor, optional
            As the likelihood takes them; none where the regime makes them of a model's outputs.
        seed : int
            Of masks and imputations; another one for each step.
        example_ids : Tensor, shape [batch], optional
            int64 names of the rows; default: a hash of their content. With the seed the whole
            source of randomness, so that rows may come in any batches.
        parts : sequence of str
            What is trained: ``"predictor"`` and ``"selector"`` as the regime has it; or the
            predictor on ``"full"`` inputs or ``"random"`` masks.

        Returns
        -------
        Tensor, shape []
            Its value is the mean loss with all penalties, in nats; its gradient is that of the
            estimator.

        Raises
        ------
        ValueError
            If inputs, targets, scores or an argument do not fit; the message names which.
        TypeError
            If something is not a tensor, or has another dtype than it must.
        """
        batch = self.prepared(inputs, targets, example_ids)
        found = self.row_losses(self.scores(batch.inputs), batch, seed, parts)
        value = torch.stack(list(found.terms.values())).sum(0)
        return (value + found.surrogate - found.surrogate.detach()).mean()

    def prepared(
        self, inputs: Tensor, targets: Tensor | None, example_ids: Tensor | None = None
    ) -> Batch:
        """Return checked inputs, targets as the regime wants them, and int64 names of the rows.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *feat]
            Full inputs.
        targets : Tensor, optional
            As the likelihood takes them; none where the regime makes them of a model's outputs.
        example_ids : Tensor, shape [batch], optional
            int64 names of the rows.

        Returns
        -------
        Batch

        Raises
        ------
        ValueError
            If shapes or values do not fit.
        """
        check_real("inputs", check_tensor("inputs", inputs))
        if inputs.dim() < 2 or inputs.numel() == 0:
            raise ValueError(
                f"inputs must have examples and features, got shape {list(inputs.shape)}"
            )
        check_finite("inputs", inputs)
        self.law.check(self.groups.count(inputs))
        inputs = inputs.detach()
        if self.regime.target != "label":
            model = self._black_box[0] or self.predictor
            outputs = Runner(model, target=EveryOutput()).outputs((inputs,))
            targets = self.likelihood.as_target(outputs, self.regime.hard_target).detach()
        elif targets is None:
            raise ValueError("targets must be given where they are labels, got None")
        check_device("targets", check_tensor("targets", targets), inputs.device)
        return Batch(inputs, targets, name_examples(example_ids, (inputs,)))

    def scores(self, inputs: Tensor) -> Tensor:
        """Return the selector's scores of full inputs ``[batch, *feat]``, ``[batch, n_groups]``.

        Raises
        ------
        ValueError
            If the selector does not return one number for each group.
        """
        found = check_tensor("scores of the selector", self.selector(inputs))
        n_groups = self.groups.count(inputs)
        if len(found) != len(inputs) or found[0].numel() != n_groups:
            raise ValueError(
                f"selector must return {n_groups} scores for each row, one for each group, "
                f"got shape {list(found.shape)}"
            )
        return found.flatten(1)

    def row_losses(self, scores: Tensor, batch: Batch, seed: int, parts: Sequence[str]) -> Losses:
        """Return what each row costs, of scores that are known.

        Parameters
        ----------
        scores : Tensor, shape [batch, n_groups]
            Of the selector.
        batch : Batch
            As `prepared` returns it.
        seed : int
            Of masks and imputations.
        parts : sequence of str
            See `loss`.

        Returns
        -------
        Losses
        """
        for part in parts:
            check_choice("parts", part, PARTS)
        terms: dict[str, Tensor] = {}
        total: list[Tensor] = []

        def add(name: str, surrogate: Tensor, value: Tensor) -> None:
            terms[name] = value.detach()
            total.append(surrogate)

        joint = self.regime.predictor == "joint" and "predictor" in parts
        question = self._question(scores, batch, seed, joint)
        if "selector" in parts:
            self.estimator.check(self.law, self.outer_masks, self.n_masks)
            if self.estimator.along_masks and not batch.inputs.is_floating_point():
                raise TypeError(
                    f"inputs must be floating point for {type(self.estimator).__name__}, which "
                    f"keeps features in part, got {batch.inputs.dtype}; take an estimator of hard "
                    f"masks, such as REINFORCE"
                )
            add("bound", *self.estimator.estimate(question))
            for regulariser in self.regularisers:
                marginals = self.law.marginals(scores, seed=seed, example_ids=batch.ids)
                penalty = regulariser.penalty(marginals)
                add("penalty", penalty, penalty + terms.get("penalty", 0))
        elif joint:
            loss = self._bound_of_samples(question)
            add("bound", loss, loss)
        random = "predictor" in parts and self.regime.predictor == "random_masks"
        if random or "random" in parts:
            loss = random_mask_loss(self, batch, seed)
            add("predictor", loss, loss)
        if "predictor" in parts:
            own = self.estimator.own_loss(question)
            if own is not None:
                add("baseline", own, own)
        if "full" in parts:
            loss = full_loss(self, self.predictor, batch)
            add("full", loss, loss)
        return Losses(torch.stack(total).sum(0), terms)

    def score(
        self,
        inputs: Tensor,
        targets: Tensor | None = None,
        *,
        seed: int = 0,
        example_ids: Tensor | None = None,
        parts: Sequence[str] = ("selector",),
    ) -> Tensor:
        """Return what each row costs, without a gradient: for validation.

        Parameters
        ----------
        inputs, targets, seed, example_ids
            See `loss`.
        parts : sequence of str
            ``"selector"``: the bound with all penalties; ``"full"`` or ``"random"``: the
            predictor's loss on full inputs or on random masks.

        Returns
        -------
        Tensor, shape [batch]
            In nats.
        """
        with torch.no_grad(), in_evaluation(find_modules(self)):
            batch = self.prepared(inputs, targets, example_ids)
            if "full" in parts:
                return full_loss(self, self.predictor, batch)
            if "random" in parts:
                return random_mask_loss(self, batch, seed)
            scores = self.scores(batch.inputs)
            marginals = self.law.marginals(scores, seed=seed, example_ids=batch.ids)
            total = self._bound_of_samples(self._question(scores, batch, seed, False))
            for regulariser in self.regularisers:
                total = total + regulariser.penalty(marginals)
            return total

    def _bound_of_samples(self, question: Question) -> Tensor:
        """Return the loss of the selector's masks, held fixed, ``[batch]``."""
        with torch.no_grad():
            masks = question.sample()
        return question.evaluate(masks, question.n_inner).loss.mean(1)

    def _question(self, scores: Tensor, batch: Batch, seed: int, joint: bool) -> Question:
        def evaluate(masks: Tensor, n_inner: int) -> Bound:
            return bound_of_masks(self, masks, n_inner, batch, seed, train=joint)

        def relaxed(masks: Tensor) -> Tensor:
            options = {"train": False, "smooth": True}
            return bound_of_masks(self, masks, self.n_masks, batch, seed, **options).loss

        return Question(
            law=self.law,
            scores=scores,
            n_outer=self.outer_masks,
            n_inner=self.n_masks,
            seed=seed,
            example_ids=batch.ids,
            evaluate=evaluate,
            relaxed=relaxed,
            baseline=lambda model: full_loss(self, model, batch),
        )

    def attribute(
        self,
        inputs: Tensor,
        target: Any = None,
        *,
        seed: int = 0,
        example_ids: Tensor | None = None,
        n_samples: int = 100,
    ) -> Tensor:
        """Return how likely each feature is kept.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *feat]
            What to explain.
        target : int, tuple, list or Tensor, optional
            Taken and not used: the selection is for the label's distribution, all outputs at once.
        seed : int
            Of the samples, for laws whose marginals have no closed form.
        example_ids : Tensor, shape [batch], optional
            int64 names of the rows.
        n_samples : int
            Masks that such marginals are the mean of.

        Returns
        -------
        Tensor, shape of ``inputs``
            In [0, 1]; features of one group have one value.

        Raises
        ------
        ValueError
            If inputs do not fit.
        """
        with torch.no_grad():
            scores, ids = self._known_scores(inputs, example_ids)
            n_samples = check_int("n_samples", n_samples, minimum=1)
            check_int("seed", seed, minimum=0)
            marginals = self.law.marginals(scores, seed=seed, example_ids=ids, n_samples=n_samples)
            return self.groups.on_features(marginals, inputs)

    def select(self, inputs: Tensor, k: int | None = None) -> Tensor:
        """Return one hard mask of groups for each row.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *feat]
            What to explain.
        k : int, optional
            Groups to keep; default: the law's number, or those that are likelier kept than not.

        Returns
        -------
        Tensor, shape [batch, n_groups]
            bool.
        """
        with torch.no_grad():
            return self.law.hard(self._known_scores(inputs, None)[0], k)

    def predict(
        self,
        inputs: Tensor,
        masks: Tensor | None = None,
        *,
        n_masks: int = 10,
        n_imputations: int = 10,
        seed: int = 0,
        predictor: Callable[..., Any] | None = None,
    ) -> Tensor:
        """Return the predictive distribution (or mean) of the label, given what is kept.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *feat]
            Full inputs.
        masks : Tensor, shape [batch, n_groups], optional
            bool; default: ``n_masks`` masks drawn for each row.
        n_masks : int
            Masks to draw.
        n_imputations : int
            Imputations of each mask.
        seed : int
            Of masks and imputations.
        predictor : callable, optional
            Another predictor than the model's own.

        Returns
        -------
        Tensor, shape [batch, classes] or [batch, values]
            Means over masks and imputations: of probabilities, for classes. The predictor is in
            evaluation mode meanwhile.

        Raises
        ------
        ValueError
            If shapes or numbers do not fit.
        """
        check_int("n_imputations", n_imputations, minimum=1)
        check_int("n_masks", n_masks, minimum=1)
        network = self.predictor if predictor is None else predictor
        with torch.no_grad(), in_evaluation(find_modules(network)):
            scores, ids = self._known_scores(inputs, None)
            if masks is None:
                drawn = self.law.sample(scores, n_masks, seed=seed, example_ids=ids)
            else:
                check_shape("masks", check_tensor("masks", masks), list(scores.shape))
                drawn = masks.unsqueeze(1).to(scores.dtype)
            batch = Batch(inputs, ids, ids)  # no labels are looked at
            rows = completed(self, drawn, batch, seed, n_draws=n_imputations)
            outputs = network(rows.flatten(0, 1))
            return self.likelihood.predictive(by_row(outputs, len(inputs)))

    def fit(
        self, data: Any, *, validation: Any = None, resume: bool = False, **options: Any
    ) -> TrainingResult:
        """Train all that the regime trains; the options are those of `Trainer` and its `fit`.

        Parameters
        ----------
        data, validation, resume
            See `Trainer.fit`.
        **options
            See `Trainer`.

        Returns
        -------
        TrainingResult
        """
        from pyxai.lex.trainer import Trainer

        return Trainer(self, **options).fit(data, validation=validation, resume=resume)

    def _known_scores(self, inputs: Tensor, ids: Any) -> tuple[Tensor, Tensor]:
        """Return scores of a selector that is left as found, and names of the rows."""
        check_finite("inputs", check_tensor("inputs", inputs))
        n_groups = self.groups.count(inputs)
        self.law.check(n_groups)
        names = name_examples(ids, (inputs,))
        runner = Runner(self.selector, target=EveryOutput())
        scores = runner.outputs((inputs,)).detach().reshape(len(inputs), -1)
        if scores.shape[1] != n_groups:
            raise ValueError(
                f"selector must return {n_groups} scores for each row, one for each group, "
                f"got {scores.shape[1]}"
            )
        return scores, names


def _of_kind(name: str, value: Any, kind: type[Any], default: Callable[[], Any]) -> Any:
    """Return the value, or a default for None, if it is of the right class."""
    if value is None:
        return default()
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of class {kind.__name__}, got {describe(value)}")
    return value


def _regularisers(
    given: Regulariser | Sequence[Regulariser], law: MaskLaw
) -> tuple[Regulariser, ...]:
    found = (given,) if isinstance(given, Regulariser) else tuple(given)
    for each in found:
        if not isinstance(each, Regulariser):
            raise TypeError(f"regulariser must be of class Regulariser, got {describe(each)}")
    if found and not isinstance(law, Bernoulli):
        raise ValueError(
            f"regulariser must be none for {type(law).__name__}, which fixes how much is kept, "
            f"got {len(found)}"
        )
    return found


def _checked_black_box(black_box: Any, regime: Regime) -> Any:
    if (black_box is None) == (regime.target == "black_box"):
        what = "given" if black_box is None else "None"
        raise ValueError(
            f"black_box must be {what} for target {regime.target!r}, got {describe(black_box)}"
        )
    if black_box is not None:
        check_model("black_box", black_box)
    return black_box
