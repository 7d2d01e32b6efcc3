"""From a classifier of texts and a sentence to attributions of its words."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai.adapters.labels import class_names, each_target, targets_of
from pyxai.adapters.layers import with_own_layers
from pyxai.adapters.text.agglomeration import hierarchy_of
from pyxai.adapters.text.asking import Answer, Question, about_units, at_embeddings
from pyxai.adapters.text.baselines import Baseline, baseline_of, hides
from pyxai.adapters.text.batches import Batch, Text, batches, make_batch
from pyxai.adapters.text.text_model import TextModel, embedding_of, most_positions
from pyxai.adapters.text.ways import AT_UNITS, OF_LENGTH, check_options, found_method, with_baseline
from pyxai.adapters.units.hierarchy import nested_units
from pyxai.adapters.units.tokens import Tokens, read_tokens
from pyxai.attribution.layers.cuts.cut import Cut, cut_at
from pyxai.attribution.layers.cuts.from_layers import FromLayersModule
from pyxai.decomposition import Hierarchy
from pyxai.explanation import Explanation
from pyxai.methods.store import Method
from pyxai.runner import EveryOutput, Runner, one_scope

__all__ = ["TextClassifier"]

_TRACED = 16  # lengths for which a model is traced are multiples of it


class TextClassifier:
    """A classifier of texts and its tokenizer, to be explained in words.

    Parameters
    ----------
    model : nn.Module
        A sequence classifier of transformers, or any module of ids and mask, int64 [batch, tokens],
        that returns [batch, classes].
    tokenizer : transformers tokenizer, or callable
        A fast one says where its tokens stand in the text; of others this is found from their
        pieces, see `read_tokens`.
    labels : sequence of str, or dict, optional
        Names of the classes; default: those of the model's configuration.
    embedding : nn.Module or str, optional
        The layer that gives each token its vector, or its name; default: the model's
        ``get_input_embeddings()``, or its only table of embeddings.
    forward : callable, optional
        What to call with ids and mask in place of the model, such as the model with a head.
    device : torch.device or str, optional
        Where ids are made; default: where the embedding is. The model is not moved.
    pieces : callable, optional
        From ids to pieces of text, for tokenizers that know neither offsets nor pieces.

    Raises
    ------
    TypeError
        If the model is no module or the tokenizer cannot be called.
    ValueError
        If the embedding is not found, or the tokenizer has more tokens than it.

    Examples
    --------
    >>> import torch
    >>> from pyxai.adapters import TextClassifier
    >>> words = {"not": 0, "bad": 1, "good": 2}
    >>> class Sum(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.table = torch.nn.Embedding.from_pretrained(torch.eye(3))
    ...     def forward(self, ids, mask):
    ...         return (self.table(ids) * mask[..., None]).sum(1)
    >>> classifier = TextClassifier(
    ...     Sum(),
    ...     lambda text: [words[word] for word in text.split()],
    ...     labels=["no", "negative", "positive"],
    ...     pieces=lambda ids: [list(words)[each] for each in ids],
    ... )
    >>> given = {"method": "feature_ablation", "baseline": "zero"}
    >>> classifier.explain("not bad", target="negative", **given).top()
    [('bad', 1.0), ('not', 0.0)]
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        labels: Any = None,
        embedding: Any = None,
        forward: Callable[..., Any] | None = None,
        device: torch.device | str | None = None,
        pieces: Callable[[list[int]], Sequence[str]] | None = None,
    ) -> None:
        self._embedding, self.embedding_name = embedding_of(model, embedding)
        for name, value in (("tokenizer", tokenizer), ("forward", forward)):
            if not (callable(value) or (value is None and name == "forward")):
                raise TypeError(f"{name} must be callable, got {describe(value)}")
        self.model, self.tokenizer, self._pieces = model, tokenizer, pieces
        self.labels = class_names(labels, model)
        self._text_model = TextModel(model, forward)
        # Kept, so that what is traced of it is traced once.
        self._rest = FromLayersModule(self._text_model, self._embedding, False, 1, 1)
        self._most = most_positions(model)
        self._n_vectors = getattr(self._embedding, "num_embeddings", None)
        self._check_vocabulary()
        weight = next(self._embedding.parameters(), next(model.parameters(), torch.zeros(())))
        self.device = torch.device(weight.device if device is None else device)

    @overload
    def explain(self, texts: str, **options: Any) -> Explanation: ...
    @overload
    def explain(self, texts: Sequence[str], **options: Any) -> list[Explanation]: ...

    @one_scope
    def explain(
        self,
        texts: str | Sequence[str],
        *,
        method: Any = "integrated_gradients",
        target: Any = None,
        unit: Any = "word",
        baseline: Any = "mask",
        **options: Any,
    ) -> Explanation | list[Explanation]:
        """Attribute the score of a class to the units of texts.

        Parameters
        ----------
        texts : str or sequence of str
        method : str or type
            Name of a method, or its class. Methods that perturb ask about whole units; others ask
            about the embedding, and what the numbers of a unit's tokens get is added up.
        target : None, int, str, or list of these
            The class that is explained, its label, or one for each text; ``None``: the class
            that the model predicts.
        unit : "token", "word", "sentence", re.Pattern, callable, or sequence of (int, int)
            What is a player, see `text_units`.
        baseline : "mask", "pad", "zero", "unknown", "unattended" or Tensor, shape [hidden]
            What stands for the tokens of absent units: a token, nothing but zeros at the embedding,
            or a vector; ``"unattended"`` hides them from attention, for methods that ask about
            units. Special tokens stay, and so do positions.
        **options
            Further arguments of the method.

        Returns
        -------
        Explanation, or list of Explanation
            One for each text, a batch of one: ``attributions`` [1, n_units] in units of the model's
            output, ``inputs`` the ids [1, n_tokens], ``feature_names`` the units. Among the
            ``options`` are ``text``, the ``spans`` of the units in it, ``unit``, ``baseline``, the
            ``label`` of the target, the name of the ``embedding``, and ``other_tokens``: what
            special tokens got, and others that belong to no unit. ``convergence_delta`` is that of
            the units alone, so ``convergence_delta + other_tokens`` is what the method misses.

        Raises
        ------
        ValueError
            If a text is empty or longer than the model's positions, there is no such method, label,
            unit or baseline, or the tokenizer does not fit the model.
        TypeError
            If an argument is not of its type, or the method does not take an option.
        UnsupportedOperationError
            If the method has no rule for an op of the model; it is named.

        Notes
        -----
        Texts of like lengths share a batch. Padding is hidden from attention and belongs to no
        unit, so a text gets what it gets alone, to rounding. Methods that draw random numbers at
        the embedding take texts one by one.
        """
        several = not isinstance(texts, str)
        listed = self._read(texts, unit)
        entry = found_method(method)
        check_options(options)
        options = with_own_layers(options, self.model)
        question = self._question(entry, baseline, options)
        found: list[Explanation | None] = [None] * len(listed)
        goals = each_target(target, len(listed), "texts")
        keys = [self._key(entry, text) for text in listed]
        traces = entry.needs == "module"
        for numbers in batches(listed, keys, traces):
            chosen = [listed[number] for number in numbers]
            width = self._traced_width(chosen) if traces else 0
            batch = make_batch(chosen, self._pad, self.device, width)
            some = [goals[number] for number in numbers]
            for number, one in zip(numbers, self._batch(question, batch, some), strict=True):
                found[number] = one
        results = [one for one in found if one is not None]
        return results if several else results[0]

    @overload
    def agglomerate(self, texts: str, **options: Any) -> Hierarchy: ...
    @overload
    def agglomerate(self, texts: Sequence[str], **options: Any) -> list[Hierarchy]: ...

    @one_scope
    def agglomerate(
        self,
        texts: str | Sequence[str],
        *,
        target: Any = None,
        unit: Any = "word",
        baseline: Any = "zero",
        **options: Any,
    ) -> Hierarchy | list[Hierarchy]:
        """Build the hierarchy of phrases of texts, by contextual decomposition of the model.

        Parameters
        ----------
        texts : str or sequence of str
        target, unit : optional
            As of `explain`.
        baseline : "mask", "pad", "zero", "unknown" or Tensor, shape [hidden]
            What of a token is no part of its unit. Special tokens and positions belong to none:
            they are shared out as biases are, so that the whole text scores the output.
        **options
            Arguments of `pyxai.decomposition.AgglomerativeDecomposition`, such as ``scorer``.

        Returns
        -------
        Hierarchy, or list of Hierarchy
            One for each text, whose leaves are its units.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.
        UnsupportedOperationError
            If an op of the model has no rule; it is named.

        Notes
        -----
        Takes texts one by one, and traces the model for each number of units.
        """
        listed = self._read(texts, unit)
        taken = baseline_of(baseline, self.tokenizer)
        if hides(baseline):
            raise ValueError(f"baseline must be a token or a vector here, got {baseline!r}")
        self._follow_mode()
        found = []
        for text, goal in zip(listed, each_target(target, len(listed), "texts"), strict=True):
            batch = make_batch([text], self._pad, self.device, self._traced_width([text]))
            [goal], cut = self._cut(batch, [goal])
            found.append(hierarchy_of(self._rest, taken, batch, cut, goal, options))
        return found[0] if isinstance(texts, str) else found

    def _read(self, texts: Any, unit: Any) -> list[Text]:
        """Return texts as tokens and units, checked."""
        listed = [texts] if isinstance(texts, str) else texts
        if not isinstance(listed, Sequence):
            raise TypeError(f"texts must be a string or a list of strings, got {describe(texts)}")
        if not listed:
            raise ValueError("texts must hold at least one text, got none")
        found = []
        for number, text in enumerate(listed):
            name = "texts" if isinstance(texts, str) else f"texts[{number}]"
            if not isinstance(text, str):
                raise TypeError(f"{name} must be a string, got {describe(text)}")
            if not text.strip():
                raise ValueError(f"{name} must have a character that is no space, got {text!r}")
            tokens = read_tokens(self.tokenizer, text, pieces=self._pieces)
            if self._most is not None and len(tokens) > self._most:
                raise ValueError(
                    f"{name} must have at most {self._most} tokens for the positions of the model, "
                    f"got {len(tokens)}"
                )
            self._check_ids(tokens)
            found.append(Text(tokens, tokens.units(unit)))
        return found

    def _check_ids(self, tokens: Tokens) -> None:
        for number, piece in zip(tokens.ids, tokens.pieces, strict=True):
            if self._n_vectors is not None and not 0 <= number < self._n_vectors:
                raise ValueError(
                    f"tokenizer must give ids from 0 to {self._n_vectors - 1}, for which the "
                    f"embedding has vectors, got {number} for {piece!r}"
                )

    def _check_vocabulary(self) -> None:
        try:
            count = len(self.tokenizer)
        except TypeError:  # of a callable
            return
        if self._n_vectors is not None and count > self._n_vectors:
            raise ValueError(
                "tokenizer must have no more tokens than the embedding has vectors, "
                f"{self._n_vectors}, got {count}: it belongs to another model"
            )

    def _traced_width(self, texts: list[Text]) -> int:
        """Return how many tokens a batch gets, so that few lengths are traced, each once.

        Where it is not known how many positions the model has, it may have none beyond the text.
        """
        if self._pad is None or self._most is None:
            return 0
        width = max(len(text.tokens) for text in texts)
        return min(width + -width % _TRACED, self._most)

    @property
    def _pad(self) -> int | None:
        return getattr(self.tokenizer, "pad_token_id", None)

    def _follow_mode(self) -> None:
        """Let what is put around the model be in its mode."""
        self._rest.training = self._text_model.training = self.model.training

    def _question(self, entry: Method, baseline: Any, options: dict[str, Any]) -> Question:
        """Return what is asked; a baseline only of methods that take one."""
        self._follow_mode()
        taken: Baseline | None = None
        if with_baseline(entry, options):
            taken = baseline_of(baseline, self.tokenizer)
            if hides(baseline) and (entry.name not in AT_UNITS or entry.name == "greedy_pig"):
                raise ValueError(
                    f"baseline must be a token or a vector for {entry.name}, which takes "
                    f"gradients on the way to it, got {baseline!r}"
                )
        elif not (isinstance(baseline, str) and baseline == "mask"):
            raise ValueError(
                f"baseline must be left out for {entry.name}, which takes none, got "
                f"{describe(baseline)}"
            )
        return Question(self._rest, entry, taken, options)

    def _key(self, entry: Method, text: Text) -> Hashable:
        """Return what texts must share to be explained together."""
        length = len(text.tokens) if self._pad is None or entry.name in OF_LENGTH else 0
        if entry.name == "partition_shap":
            return str(nested_units(text.tokens, text.units)), length
        if entry.name in AT_UNITS:
            return len(text.units), length
        # Random numbers are those of all numbers of a row, padding and all.
        alone = entry.stochastic or entry.baselines == "distribution"
        return id(text) if alone else length

    def _cut(self, batch: Batch, goals: list[Any]) -> tuple[list[int | None], Cut]:
        """Return the class of each text, None where there is but one, and the vectors of tokens."""
        outputs = Runner(self._text_model, target=EveryOutput()).outputs((batch.ids, batch.mask))
        single = outputs.dim() == 1
        targets = targets_of(goals, outputs[:, None] if single else outputs, self.labels)
        cut = cut_at(self._text_model, (self._embedding,), False, batch.ids, (batch.mask,))
        first = cut.values[0]
        if len(cut.values) != 1 or first.dim() < 3 or first.shape[:2] != batch.ids.shape:
            shapes = ", ".join(str(list(part.shape)) for part in cut.values)
            raise ValueError(
                f"embedding must give a vector for each of the tokens {list(batch.ids.shape)}, "
                f"got {shapes}"
            )
        return [None if single else target for target in targets], cut

    def _batch(self, question: Question, batch: Batch, goals: list[Any]) -> list[Explanation]:
        """Explain the texts of a batch."""
        targets, cut = self._cut(batch, goals)
        ask = about_units if question.entry.name in AT_UNITS else at_embeddings
        answer = ask(question, batch, cut, targets)
        ids = None if question.baseline is None else question.baseline.ids(batch)
        return [
            self._result(question, batch, answer, row, target or 0, ids)
            for row, target in enumerate(targets)
        ]

    def _result(
        self,
        question: Question,
        batch: Batch,
        answer: Answer,
        row: int,
        target: int,
        baseline_ids: Tensor | None,
    ) -> Explanation:
        """Return the explanation of one text."""
        text = batch.texts[row]
        n_units, n_tokens = len(text.units), len(text.tokens)
        rows = slice(row, row + 1)
        baseline = question.baseline
        told = {
            "text": text.tokens.text,
            "spans": [list(unit.span) for unit in text.units],
            "unit": text.units.kind,
            "label": self.labels.get(target),
            "embedding": self.embedding_name,
            "other_tokens": float(answer.others[row]),
        }
        if baseline is not None:
            told["baseline"] = baseline.given
        delta, outputs, error = answer.delta, answer.found.outputs, answer.error
        return Explanation(
            attributions=answer.units[rows, :n_units].clone(),
            inputs=batch.ids[rows, :n_tokens].clone(),
            baselines=baseline_ids[rows, :n_tokens].clone()
            if baseline_ids is not None
            else None
            if baseline is None
            else baseline.vector,
            target=target,
            method=answer.found.method,
            options={**question.options, **told},
            convergence_delta=None if delta is None else delta[rows].clone(),
            error=None if error is None else error[rows, :n_units].clone(),
            outputs=None if outputs is None else outputs[rows].clone(),
            feature_names=[text.units.labels],
        )
