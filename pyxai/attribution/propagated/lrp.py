"""Layer-wise relevance propagation on the traced graph of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from pyxai._checks import check_choice, check_finite, check_module
from pyxai._inputs import flat_features, format_inputs, restore_form
from pyxai.methods.base import GradientAttribution
from pyxai.methods.store import register
from pyxai.propagation.relevance import (
    AlphaBetaRule,
    EpsilonRule,
    GammaRule,
    RelevanceEngine,
    RelevanceRule,
    ZBoxRule,
)
from pyxai.propagation.relevance.attention import COMPOSITES
from pyxai.propagation.relevance.named import NAMED, as_rule
from pyxai.propagation.relevance.table import RELEVANCE
from pyxai.propagation.row_passes import row_passes
from pyxai.runner import Target
from pyxai.runner.arguments import as_arguments, take_arguments
from pyxai.runner.mixing import per_output
from pyxai.runner.state import find_modules, warn_if_training
from pyxai.tracing import RuleTable, trace_rows

__all__ = ["LRP"]

TensorOrTuple = Tensor | tuple[Tensor, ...]


@register(
    "lrp",
    summary="relevance, shared layer by layer in proportion to contributions",
    cost="1 output + 1 gradient, traced",
    use=(
        "deep nets, with a rule for each kind of layer; the rules are part of the answer, and "
        "of ReLU nets epsilon is gradient times input"
    ),
    axioms=("null_player", "symmetry"),
    needs="module",
)
class LRP(GradientAttribution):
    """Share an output among the inputs, layer by layer, in proportion to contributions.

    Linear and convolutional layers follow ``rule``; residual sums, average pools and norms share
    by contribution (epsilon rule); activations pass relevance on; a max pool gives it to the
    maximum; in a product of an activation with a gate (a sigmoid or softmax: LSTM, attention) the
    signal takes all, and other products share in halves, those of a gated MLP too. Norms and
    activations that a model spells out (``x * rsqrt(mean(x**2))``, ``x * (1 + tanh(x))``) follow
    the rules of the whole. A batch norm is part of the layer before it, also behind ops that only
    move values. Linear maps between real values that are made of complex ones (Fourier transforms)
    are one layer by the epsilon rule. An op without a rule is an error that names it.

    So attention weights are constants by default (conservative propagation [3]_). With
    ``composite="attn_lrp"`` they are explained too, so that queries and keys take relevance [4]_:
    every product of two factors shares it in halves, also ``A V``, ``Q K'`` and a sigmoid's
    (propositions 3.2 and 3.3), and softmax by its first-order terms at its input, ``x_i (R_i - s_i
    sum_j R_j)`` (proposition 3.1). Norms (proposition 3.4) and activations are as by default.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example.
    rule : str or RelevanceRule
        ``"epsilon"``, ``"alpha_beta"``, ``"gamma"``, ``"z_plus"``, ``"w_square"``, ``"z_box"``,
        ``"flat"``, or an object of `pyxai.propagation.relevance`. captum's way is honoured too:
        a submodule's attribute ``rule``, one of the same, decides for that layer, and stays there.
    composite : mapping or "attn_lrp", optional
        Rules of single layers, by name or as objects: keys are names of submodules, submodules,
        their types, or ``"first"`` for the layers that read the inputs. Or the name of a set of
        rules for the ops beside the linear layers, which follow ``rule`` or their module's own.
    epsilon : float
        Of the epsilon rule, and of sums and pools where that is the rule.
    alpha, beta : float
        Of the alpha-beta rule; ``alpha - beta = 1``.
    bias : "absorb" or "ignore"
        Whether biases take part in the denominators of the epsilon and alpha-beta rules.
    gamma : float
        Of the gamma rule.
    low, high : float or Tensor
        Bounds of the inputs, for the z^B rule.
    strict : bool
        Whether an op without a rule is an error; otherwise its gradient is used, with a warning.

    Raises
    ------
    TypeError
        If ``model`` is no ``nn.Module`` or a rule is none.
    ValueError
        If a name is unknown or a number out of range.

    Notes
    -----
    With the epsilon rule, epsilon 0 and no biases, relevance is conserved: the attributions sum
    to the output. What biases and epsilon absorb is the convergence delta, and with ``"attn_lrp"``
    what the first order of softmax leaves unexplained, which may have either sign. What is added to
    a layer's values behind the inputs, as position embeddings are to word embeddings, is a bias. On
    ReLU nets the epsilon rule equals input x gradient, also with biases. The arithmetic of the
    layers is that of two forward passes and a backward one (epsilon), or of some five passes
    (alpha-beta, gamma), besides tracing once.

    References
    ----------
    .. [1] S. Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
       Layer-Wise Relevance Propagation", PLOS ONE 10(7), 2015, eqs. 58 and 60.
    .. [2] L. Arras et al., "Explaining and Interpreting LSTMs", in: Explainable AI, LNCS 11700,
       2019, section 11.3 (signal-take-all).
    .. [3] A. Ali et al., "XAI for Transformers: Better Explanations through Conservative
       Propagation", ICML 2022.
    .. [4] R. Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for
       Transformers", ICML 2024, section 3.3.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        rule: str | RelevanceRule = "epsilon",
        composite: Mapping[Any, str | RelevanceRule] | str | None = None,
        epsilon: float = 1e-9,
        alpha: float = 2.0,
        beta: float = 1.0,
        bias: str = "absorb",
        gamma: float = 0.25,
        low: float | Tensor = 0.0,
        high: float | Tensor = 1.0,
        strict: bool = True,
    ) -> None:
        super().__init__(model)
        check_module("model", model)
        self.model, self.strict = model, strict
        made: dict[str, Callable[[], RelevanceRule]] = {
            **NAMED,
            "epsilon": lambda: EpsilonRule(epsilon, bias),
            "alpha_beta": lambda: AlphaBetaRule(alpha, beta, bias),
            "gamma": lambda: GammaRule(gamma),
            "z_box": lambda: ZBoxRule(low, high),
        }
        self.rule = as_rule(rule, "rule", made)
        if isinstance(composite, str):
            self._table = COMPOSITES[check_choice("composite", composite, tuple(COMPOSITES))]
            composite = None
        self.composite = {
            key: as_rule(each, "each rule of composite", made)
            for key, each in dict(composite or {}).items()
        }

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: relevance is in output units."""
        return True

    def has_convergence_delta(self) -> bool:
        """Tell that relevance can be compared with the output."""
        return True

    @property
    def delta_is_remainder(self) -> bool:
        """True: the delta is what biases and stabilisers have absorbed of the output."""
        return True

    def compute_convergence_delta(  # type: ignore[override] # captum's LRP has this signature
        self, attributions: TensorOrTuple, output: Tensor
    ) -> Tensor:
        """Return ``output - sum(attributions)``: what biases and stabilisers have absorbed.

        Parameters
        ----------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            Relevance, in output units.
        output : Tensor, shape [batch]
            The explained outputs.

        Returns
        -------
        Tensor, shape [batch]
            In output units. As in captum, the sign is opposite to that of other methods.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        parts = attributions if isinstance(attributions, tuple) else (attributions,)
        total = sum(flat_features(part).sum(1) for part in parts)
        assert isinstance(total, Tensor)
        if output.numel() not in (1, total.numel()):
            raise ValueError(
                f"output must have {total.numel()} values, one per example, got {output.numel()}"
            )
        return output.flatten() - per_output(total, output.flatten())

    def attribute(
        self,
        inputs: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        verbose: bool = False,
    ) -> Any:
        """Compute the relevance of every input.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            float32, float64, bfloat16 or float16.
        target : int, tuple, list or Tensor, optional
            Which output, in any of captum's forms.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        return_convergence_delta : bool
            Whether to return the delta too.
        verbose : bool
            Whether to print the rule of every linear layer.

        Returns
        -------
        Tensor or tuple of Tensor, shape of ``inputs``
            Relevance in output units, float64 for float64 inputs, else float32. With
            ``return_convergence_delta`` a pair with the delta, [batch].

        Raises
        ------
        UnsupportedOperationError
            If an op has no rule and ``strict``; the message names it and its source line.
        ValueError, TypeError
            If an argument does not fit.
        """
        given, is_tuple = format_inputs(inputs, gradients=True)
        arguments = as_arguments(additional_forward_args)
        chosen = Target(target)
        chosen.check_examples(given[0].shape[0])
        warn_if_training(find_modules(self.model), self.model)
        engine = self._engine(given, arguments)
        batch = given[0].shape[0]

        def work(examples: slice) -> tuple[Tensor, ...]:
            part, further = take_arguments((given, arguments), examples, batch)
            found, output = engine.propagate(part, further, chosen, self._start, examples)
            return *found, output

        # The values of the forward pass, and about as much relevance on its way back.
        *relevance, output = row_passes(engine.graph, given, 2, work)
        if verbose:
            for layer, rule in engine.chosen().items():
                print(f"{layer}: {rule}")
        finished = self._finish(tuple(relevance), output)
        for part in finished:
            check_finite("relevance", part)
        result = restore_form(finished, is_tuple)
        if not return_convergence_delta:
            return result
        return result, self.compute_convergence_delta(result, output)

    _start = "output"
    _table: RuleTable = RELEVANCE

    def _engine(self, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> RelevanceEngine:
        graph = trace_rows(self.model, inputs, arguments)
        return RelevanceEngine(graph, self.rule, self.composite, self.strict, self._table)

    def _finish(self, relevance: tuple[Tensor, ...], output: Tensor) -> tuple[Tensor, ...]:
        return relevance
