"""One call from a prompt to what a language model's continuation owes to its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from pyxai._checks import check_bool, check_int, check_module, describe
from pyxai.adapters.language.answers import (
    Answer,
    Question,
    answer_about_units,
    answer_about_vectors,
)
from pyxai.adapters.language.causal_model import CausalModel
from pyxai.adapters.language.continuations import (
    Continuation,
    check_ids,
    check_positions,
    greedy_continuation,
    read_continuation,
)
from pyxai.adapters.language.methods import (
    TRACED,
    UNITS,
    WITH_BASELINE,
    check_options,
    read_method,
    read_output,
)
from pyxai.adapters.language.prompts import Prompt, read_prompt
from pyxai.adapters.language.reader import Reader
from pyxai.adapters.language.removal import Removal, check_removal, read_removal
from pyxai.adapters.language.result import LanguageExplanation
from pyxai.adapters.language.scores import EmbeddingScores
from pyxai.adapters.layers import with_own_layers
from pyxai.runner import one_scope

__all__ = ["LanguageModel"]


class LanguageModel:
    """A causal language model and its tokenizer, ready to be explained.

    Parameters
    ----------
    model : nn.Module or callable
        A causal language model of transformers, or what looks like one: it takes ``input_ids`` by
        name, and returns logits [rows, tokens, vocabulary] alone, first in a tuple, or as
        ``logits``. To leave tokens away it must take ``attention_mask``, for gradients
        ``inputs_embeds``.
    tokenizer : callable
        The model's tokenizer, of transformers; or a function from a text to ids.
    pieces : callable, optional
        From ids to the pieces of text that they stand for, for a tokenizer that has no
        ``convert_ids_to_tokens``.

    Raises
    ------
    TypeError
        If the model takes no ``input_ids``, or the tokenizer cannot be called.

    Notes
    -----
    All tokens of the continuation are scored in one pass over prompt and continuation, since what
    the model says at a token's place knows nothing of what follows. So a method costs as many rows
    as it asks for coalitions of units, however long the continuation.

    The start of the prompt, up to the first token that belongs to a unit, is the same for all rows;
    from 16 tokens on its keys and values are computed once, where the model keeps those of every
    token.

    Examples
    --------
    >>> import torch
    >>> words = ["rain", "sun", "wet", "dry", "."]
    >>> weights = torch.zeros(5, 5)
    >>> weights[0, 2], weights[1, 3] = 2.0, 3.0
    >>> def model(input_ids):  # a word adds to the logits of all that follow it
    ...     return weights[input_ids].cumsum(1)
    >>> explainer = LanguageModel(
    ...     model,
    ...     lambda text: [words.index(word) for word in text.split()],
    ...     pieces=lambda ids: [words[number] for number in ids],
    ... )
    >>> result = explainer.explain("rain sun", " wet dry", baseline=4, output="logit")
    >>> result.attributions  # of "wet" and of "dry" to "rain" and to "sun"
    tensor([[2., 0.],
            [0., 3.]])
    """

    def __init__(
        self,
        model: Callable[..., Any],
        tokenizer: Any,
        *,
        pieces: Callable[[list[int]], Sequence[str]] | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.pieces = pieces
        self._model = CausalModel(model)
        self._scores = EmbeddingScores(self._model)  # kept, so that what is traced is traced once
        Reader(tokenizer, pieces)  # or an error

    @one_scope
    def explain(
        self,
        prompt: str,
        continuation: str | Sequence[int] | Tensor | None = None,
        *,
        max_new_tokens: int = 16,
        method: Any = "feature_ablation",
        unit: Any = "word",
        baseline: Any = None,
        output: str | None = None,
        values: Mapping[str, str] | None = None,
        spans: Sequence[tuple[int, int]] | None = None,
        special_tokens: bool = True,
        **options: Any,
    ) -> LanguageExplanation:
        """Explain a continuation, token by token and as a whole.

        Parameters
        ----------
        prompt : str
            What the model reads. With ``values`` a template with named slots in braces.
        continuation : str, sequence of int or Tensor, optional
            What follows the prompt, as text, which begins with a space where one stands between
            them, or as ids of tokens. Default: what the model writes, the most likely token each
            time, up to its end-of-text token, which is not explained.
        max_new_tokens : int
            How much it writes at most.
        method : str or type
            A method that takes units away: ``"feature_ablation"``, ``"shapley_values"``,
            ``"shapley_value_sampling"``, ``"kernel_shap"``, ``"lime"``, ``"partition_shap"``; or
            one that asks at the embedding, whose values are summed over the vectors of a unit's
            tokens: by gradients, ``"saliency"``, ``"input_x_gradient"``,
            ``"integrated_gradients"``, or by rules on the traced model, ``"lrp"``, ``"deep_lift"``.
        unit : str, re.Pattern, callable, or sequence of (int, int)
            What is present or absent as a whole: ``"word"``, ``"token"``, ``"sentence"``; with
            values or spans ``"slot"``, each of them; an expression, whose matches are the units; a
            function from the text to spans; or spans.
        baseline : str, int or Tensor, optional
            What stands where a unit is absent: ``"mask"``, ``"pad"``, ``"unknown"``, the
            tokenizer's token of that name, or the id of a token. For methods that take units away
            also ``"remove"``, their default: the row is that of the prompt without those tokens,
            which closes up. For integrated gradients and DeepLIFT also a vector [width] of the
            embedding, and ``"zero"``, their default.
        output : str, optional
            What is explained of each token: ``"log_probability"``, the default, ``"probability"``
            or ``"logit"``, which is all that LRP can share out, and its default.
        values : mapping of str to str, optional
            What stands in the slots of the template. Only these have units: fixed parts are always
            present.
        spans : sequence of (int, int), optional
            Parts of the prompt, in characters, that have units, in place of a template.
        special_tokens : bool
            Whether the tokenizer adds its special tokens; False for a prompt that has them already,
            as chat templates write them. Special tokens are never units.
        **options
            Further arguments of the method, such as ``n_samples``, ``n_steps`` or
            ``composite="attn_lrp"``.

        Returns
        -------
        LanguageExplanation
            ``attributions`` [tokens, units] in units of the output, and ``total`` for the whole
            continuation.

        Raises
        ------
        ValueError
            If prompt or continuation is empty or too long for the model, the continuation begins
            within a token, unit, method, baseline or output is not known or does not fit, the
            tokenizer has tokens that the model has not, or the model is not causal.
        TypeError
            If an argument is not of its type, an option not one of the method's, or the model no
            module for a method that traces it.
        UnsupportedOperationError
            If LRP or DeepLIFT has no rule for an op of the model; it is named.

        Notes
        -----
        Cost: the rows of the method for one example (``n_units + 1`` for feature ablation), each of
        prompt and continuation; two to five to score the whole prompt and to see that the model
        takes it as said here, and ten more when lengths are new, to see what memory a row takes;
        and one for each token that the model writes. Methods that ask at the embedding go back once
        for each token: rows times ``n_tokens + 1``. Those that trace the model do so once for each
        pair of lengths, of prompt and continuation.
        """
        name = read_method(method)
        check_options(name, options)
        output = read_output(name, output)
        if name in TRACED:
            check_module("model", self.model)
        asked = with_own_layers(options, self.model)
        reader = Reader(self.tokenizer, self.pieces, check_bool("special_tokens", special_tokens))
        removal = self._removal(name, reader, baseline)
        read = read_prompt(reader, prompt, unit, values=values, spans=spans)
        if removal is not None:
            all_go = name != "feature_ablation"
            check_removal(removal, self._model, read, all_go=all_go)
        written = self._written(reader, read, continuation, max_new_tokens)
        question = Question(self._model, read, written, output)
        if name in UNITS:
            assert removal is not None
            answer = answer_about_units(name, question, removal, asked)
        else:
            answer = answer_about_vectors(name, question, self._scores, removal, asked)
        told = {
            "unit": "slot" if isinstance(unit, str) and unit == "slot" else read.units.kind,
            "baseline": None if removal is None else removal.name,
            "output": output,
            **options,
        }
        return _result(name, question, answer, told)

    def _removal(self, name: str, reader: Reader, baseline: Any) -> Removal | None:
        if name in UNITS or name in WITH_BASELINE:
            gradients = name not in UNITS
            return read_removal(baseline, reader, self._model, gradients=gradients)
        if baseline is not None:
            raise ValueError(
                f"baseline must be None for {name}, which has none, got {describe(baseline)}"
            )
        return None

    def _written(
        self, reader: Reader, read: Prompt, continuation: Any, max_new_tokens: int
    ) -> Continuation:
        """Return the continuation, given or the model's own; all ids and positions are known."""
        model, length = self._model, len(read.tokens)
        check_ids(model, read.tokens.ids)
        if continuation is None:
            check_int("max_new_tokens", max_new_tokens, minimum=1)
            check_positions(model, length, max_new_tokens, "max_new_tokens")
            return greedy_continuation(reader, model, read, max_new_tokens)
        written = read_continuation(reader, read, continuation)
        check_ids(model, written.ids, None if isinstance(continuation, str) else "continuation")
        check_positions(model, length, len(written.ids), "continuation")
        return written


def _result(
    name: str, question: Question, answer: Answer, options: dict[str, Any]
) -> LanguageExplanation:
    prompt, written = question.prompt, question.continuation
    n_tokens = len(written.ids)
    parts = {
        "attributions": answer.attributions,
        "outputs": answer.outputs,
        "fixed": answer.fixed,
        "earlier": answer.earlier,
        "convergence_delta": answer.delta,
        "error": answer.error,
    }
    known = {part: value for part, value in parts.items() if value is not None}
    rows: dict[str, Any] = {part: value[:n_tokens] for part, value in known.items()}
    whole = {part: value[n_tokens:] for part, value in known.items()}
    return LanguageExplanation(
        inputs=question.present.expand(n_tokens, -1).clone(),
        method=name,
        options=options,
        feature_names=[prompt.units.labels] * n_tokens,
        tokens=written.labels,
        whole=whole,
        prompt=prompt.tokens.text,
        continuation=written.text,
        fixed_tokens=tuple(prompt.fixed),
        **rows,
    )
