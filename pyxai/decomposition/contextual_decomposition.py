"""Contextual decomposition of the outputs of a model, for groups of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from pyxai._checks import check_bool, check_module
from pyxai._inputs import format_feature_mask, format_inputs, restore_form
from pyxai.decomposition.groups import groups_of_players, interactions_of
from pyxai.decomposition.question import GroupParts, Question
from pyxai.decomposition.relevant_inputs import RelevantInputs, groups_of
from pyxai.game.players import spread_players
from pyxai.methods.base import Attribution
from pyxai.methods.store import register
from pyxai.propagation.decomposed import NodeError, Policies

__all__ = ["ContextualDecomposition"]

TensorOrTuple = Tensor | tuple[Tensor, ...]


@register(
    "contextual_decomposition",
    summary=(
        "what a group of features adds to the output by itself, every value of the model "
        "split in two"
    ),
    cost="3 * n_features + 1 outputs, traced",
    use=(
        "phrases, parts of images and what they do together, in LSTMs, convolutional nets and "
        "transformers; scores do not add up"
    ),
    axioms=("null_player", "symmetry"),
    needs="module",
)
class ContextualDecomposition(Attribution):
    """Tell how much a group of features adds to an output by itself.

    Every value of the model is the sum of a relevant part, which comes from the group, and of the
    rest. Linear ops act on each part, a nonlinearity is shared by ``policy``, a max pool takes the
    part of the element that the total selects, a normalisation divides by the deviation of the
    total. An op without a rule is an error that names it. Totals are computed once for all groups.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example. Where its last op is a softmax, the logits before it
        are explained.
    preset : {"default", "acd", "cd", "cdt", "scd"}
        Where the choices below that are None come from, see the notes.
    policy : {"acd", "shapley", "complement"}
        Relevant part of ``f`` of a value with relevant part r and total t: ``f(r)`` [1]_,
        ``(f(r) + f(t) - f(t - r)) / 2`` [2]_, or ``f(t) - f(t - r)`` [3]_.
    bias : {"proportional", "irrelevant", "stream"}
        A bias is shared in proportion to what both parts add up to before it, or belongs to the
        rest, or to a third part, which only biases make.
    norm_bias : {"after", "before"}
        Whether parts are compared for the bias of a layer norm and its like after they are
        centred and scaled, or before [3]_.
    ties : {"coverage", "official", "irrelevant"}
        Who gets a bias where neither part is other than 0 (a black background): the group its share
        of the features that are read there, and all features together what reads none; or half,
        but nothing of a batch norm, as the authors' code has it; or nothing.
    product : {"acd", "shapley", "complement", "freeze"}
        For products of two values that are split; ``"freeze"`` reads the first as a constant.
    softmax : {"freeze", "acd", "shapley", "complement"}
        Whether the probabilities of attention are constants, and so are inverse roots (the
        deviation of a norm that is spelled out), or shared by a policy too.
    clean_up : {"never", "sublayer", "layer"}
        Whether parts of opposite signs become one, the larger gets both, at the end of every
        sub-layer with a residual sum, or of those without attention [3]_.
    lstm_bias : {"phrase_inclusive", "phrase_exclusive", "paper"}
        What gates make of biases alone in a step of an LSTM, GRU or RNN belongs to the group that
        has the token, so that the whole sentence explains the state; or not at the last token of
        a phrase (the first code [2]_); or never (equation 32 of the paper [2]_).
    gates : {"bias_first", "shapley"}
        A function in such a step is shared by the mean over the orders of the three parts in which
        biases come first [2]_, or over all six orders [5]_.
    gate_products : several of "rel-rel", "rel-bias", "rel-irrel"
        Which products of parts count as the group's in such a step; the first two by default [5]_.
    output_gate : {"freeze", "split"}
        Whether the output gate of an LSTM is a constant, or has parts (equation 23 of [2]_).
    anchored : bool
        Whether ``f(0)`` of functions like a sigmoid is a bias. Otherwise the policy holds for it
        too, and an empty group may have a score.
    fast_path : bool
        Whether to take a way that is equal but for rounding where the model shows one and it is
        less work by the count. `pyxai.explain` then says ``path="incremental"``, of a conv net of
        which only what a group reaches is computed.

    Raises
    ------
    TypeError
        If ``model`` is no ``nn.Module``, or ``fast_path`` is not True or False.
    ValueError
        If a choice is none of those above.

    Notes
    -----
    An empty group scores 0, and the group of all features the output, with the policies by default.
    What is left to the rest beside a group that has nearly all is rounding: where it is below 1e-11
    of the terms of a sum in float64, otherwise 2.4e-7, or 1e-6 for a group of all features, it
    counts as nothing, and the value is the group's. Of other groups a bias that is much larger than
    what it is added to multiplies the rounding of its share; where many layers do so, take float64.
    Scores of several groups do not add up to the output: biases and nonlinearities make them
    interact, see `interactions`. In a recurrent layer ``gates`` and its like decide, whatever
    ``policy`` says. Deterministic. Costs one pass of totals, and for each group the arithmetic of
    three forward passes.

    Presets: ``"default"`` is policy acd, bias proportional, norm_bias after, ties coverage,
    product acd, softmax freeze, clean_up never, lstm_bias phrase_inclusive, gates bias_first,
    anchored. ``"acd"`` [1]_ differs by ties official; ``"cd"`` [2]_ by policy shapley and bias
    stream, so that scores are without the last bias; ``"cdt"`` [3]_ by policy complement,
    norm_bias before, ties irrelevant and clean_up layer; ``"scd"`` [4]_ by policy shapley and bias
    irrelevant. With the last two the group of all features need not score the output.

    References
    ----------
    .. [1] C. Singh, W. J. Murdoch, B. Yu, "Hierarchical interpretations for neural network
       predictions", ICLR 2019, equations 5 to 11.
    .. [2] W. J. Murdoch, P. J. Liu, B. Yu, "Beyond Word Importance: Contextual Decomposition to
       Extract Interactions from LSTMs", ICLR 2018.
    .. [3] A. R. Hsu et al., "Efficient Automated Circuit Discovery in Transformers using Contextual
       Decomposition", arXiv 2407.00886.
    .. [4] X. Jin et al., "Towards Hierarchical Importance Attribution: Explaining Compositional
       Semantics for Neural Sequence Models", ICLR 2020, and its code.
    .. [5] J. Jumelet, W. Zuidema, D. Hupkes, "Analysing Neural Language Models: Contextual
       Decomposition Reveals Default Reasoning in Number and Gender Assignment", CoNLL 2019.

    Examples
    --------
    >>> layer = torch.nn.Linear(2, 2)
    >>> with torch.no_grad():
    ...     layer.weight[:] = torch.tensor([[1.0, 3.0], [-2.0, 1.0]])
    ...     layer.bias[:] = torch.tensor([4.0, -6.0])
    >>> cd = ContextualDecomposition(layer)
    >>> cd.scores(torch.tensor([[2.0, -1.0]]), torch.tensor([[[True, False]]]))
    tensor([[[ 3.6000, -8.8000]]])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        preset: str = "default",
        policy: str | None = None,
        bias: str | None = None,
        norm_bias: str | None = None,
        ties: str | None = None,
        product: str | None = None,
        softmax: str | None = None,
        clean_up: str | None = None,
        lstm_bias: str | None = None,
        gates: str | None = None,
        gate_products: Sequence[str] | None = None,
        output_gate: str | None = None,
        anchored: bool | None = None,
        fast_path: bool = True,
    ) -> None:
        super().__init__(model)
        check_module("model", model)
        self.model = model
        self.fast_path = check_bool("fast_path", fast_path)
        self.policies = Policies.of_preset(
            preset,
            policy=policy,
            bias=bias,
            norm_bias=norm_bias,
            ties=ties,
            product=product,
            softmax=softmax,
            clean_up=clean_up,
            lstm_bias=lstm_bias,
            gates=gates,
            gate_products=gate_products,
            output_gate=output_gate,
            anchored=anchored,
        )

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: scores are in output units."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        *,
        internal_batch_size: int | None = None,
    ) -> TensorOrTuple:
        """Score every feature, or every group of a feature mask, by itself.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            Floating point, or whole numbers that an embedding reads (words).
        target : int, tuple, list or Tensor, optional
            Which output, in any of captum's forms.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        feature_mask : Tensor or tuple of Tensor, optional
            Features with the same number are one group, which is scored as a whole.
        internal_batch_size : int, optional
            Upper bound of the rows in a pass: examples times groups. The result does not depend on
            it.

        Returns
        -------
        Tensor or tuple of Tensor, shape of ``inputs``
            The score of each feature's group in output units, float64 for float64 inputs, else
            float32.

        Raises
        ------
        UnsupportedOperationError
            If an op has no rule; the message names it and its source line.
        ValueError, TypeError
            If an argument does not fit.
        """
        given, is_tuple = format_inputs(inputs)
        players = format_feature_mask(feature_mask, given)
        run = self._question(
            given, target, additional_forward_args, internal_batch_size, every=False
        )
        scores = run.parts(groups_of_players(players, given)).relevant
        return restore_form(spread_players(scores, players, given), is_tuple)

    def scores(
        self,
        inputs: TensorOrTuple,
        groups: TensorOrTuple | RelevantInputs,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        internal_batch_size: int | None = None,
        create_graph: bool = False,
    ) -> Tensor:
        """Score groups that masks describe.

        Parameters
        ----------
        inputs, target, additional_forward_args, internal_batch_size
            As for `attribute`; without a target all outputs are scored.
        groups : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each
            Which features are in each group: truth values, or shares from 0 to 1. Sizes of
            features may be 1, to broadcast. Or `RelevantInputs`, any parts of the inputs.
        create_graph : bool
            Whether the scores can be differentiated, by parameters of the model and by inputs.

        Returns
        -------
        Tensor, shape [batch, groups], or [batch, groups, *outputs] without a target
            In output units, float64 for float64 inputs, else float32.
        """
        return self._parts(
            inputs, groups, target, additional_forward_args, internal_batch_size, create_graph
        ).relevant

    def parts(
        self,
        inputs: TensorOrTuple,
        groups: TensorOrTuple | RelevantInputs,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        internal_batch_size: int | None = None,
        create_graph: bool = False,
    ) -> GroupParts:
        """Return the score of each group, what is left of the output, and the part of biases.

        Parameters
        ----------
        inputs, groups, target, additional_forward_args, internal_batch_size, create_graph
            As for `scores`.

        Returns
        -------
        GroupParts
            The three add up to the output.
        """
        return self._parts(
            inputs, groups, target, additional_forward_args, internal_batch_size, create_graph
        )

    def interactions(
        self,
        inputs: TensorOrTuple,
        groups: TensorOrTuple | RelevantInputs,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        internal_batch_size: int | None = None,
    ) -> Tensor:
        """Return what pairs of groups add to an output beyond what each adds by itself.

        ``I(S, U) = score(S and U) - score(S) - score(U)``, of groups without common features.

        Parameters
        ----------
        inputs, groups, target, additional_forward_args, internal_batch_size
            As for `scores`.

        Returns
        -------
        Tensor, shape [batch, groups, groups], or [batch, groups, groups, *outputs]
            Symmetric, 0 on the diagonal.

        Raises
        ------
        ValueError
            If groups share a feature.
        """
        given, _ = format_inputs(inputs)
        single = groups_of(groups, given)
        run = self._question(given, target, additional_forward_args, internal_batch_size)
        return interactions_of(lambda some: run.parts(some).relevant, single)

    def completeness_errors(
        self,
        inputs: TensorOrTuple,
        groups: TensorOrTuple | RelevantInputs,
        additional_forward_args: Any = None,
    ) -> list[NodeError]:
        """Tell for every op how far the parts of its value are from the value itself.

        Parameters
        ----------
        inputs, groups, additional_forward_args
            As for `scores`.

        Returns
        -------
        list of NodeError
            In order of execution, over all groups; rounding, where the rules are right.
        """
        given, _ = format_inputs(inputs)
        run = self._question(given, None, additional_forward_args, None)
        run.errors = {}
        run.parts(groups_of(groups, given))
        ordered = sorted(run.errors.items(), key=lambda item: item[0].index)
        return [NodeError(node.op, node.where, error) for node, error in ordered]

    def _parts(
        self,
        inputs: TensorOrTuple,
        groups: TensorOrTuple | RelevantInputs,
        target: Any,
        additional_forward_args: Any,
        internal_batch_size: int | None,
        create_graph: bool,
    ) -> GroupParts:
        given, _ = format_inputs(inputs)
        masks = groups_of(groups, given)
        if create_graph:
            given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
        run = self._question(given, target, additional_forward_args, internal_batch_size)
        run.create_graph = create_graph
        return run.parts(masks)

    def _question(
        self,
        inputs: tuple[Tensor, ...],
        target: Any,
        additional_forward_args: Any,
        internal_batch_size: int | None,
        *,
        every: bool | None = None,
    ) -> Question:
        """Ask for a target, or for all outputs without one."""
        found = Question(
            self.model,
            self.policies,
            inputs,
            target,
            additional_forward_args,
            internal_batch_size,
            every=target is None if every is None else every,
        )
        found.fast_path = self.fast_path
        return found
