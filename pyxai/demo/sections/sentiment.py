"""The demonstration's reader: a small LSTM that tells praise from complaint, trained at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.adapters import TextClassifier
from pyxai.demo.sentences import WORDS, Sentence, labelled_sentences, words_of
from pyxai.demo.tasks import one_thread

__all__ = ["Sentiment", "train_reader"]

UNKNOWN = 0  # number of words that the training did not show


class _Reader(nn.Module):
    """Words, one recurrent layer, and a logit for complaint and praise."""

    def __init__(self, n_words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(n_words, 24)
        self.drop = nn.Dropout(0.3)
        self.lstm = nn.LSTM(24, 32, batch_first=True)
        self.head = nn.Linear(32, 2)

    def forward(self, words: Tensor) -> Tensor:
        """Return logits [batch, 2] of words [batch, n_words]."""
        states, _ = self.lstm(self.drop(self.words(words)))
        logits: Tensor = self.head(self.drop(states[:, -1]))
        return logits


class _Tokenizer:
    """Words as a fast tokenizer of transformers gives them, with the places where they stand."""

    is_fast = True
    unk_token_id = UNKNOWN

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self._vocabulary = vocabulary

    def __call__(self, text: str, **_: Any) -> dict[str, list[Any]]:
        words = list(WORDS.finditer(text.lower()))
        return {
            "input_ids": [self._vocabulary.get(word[0], UNKNOWN) for word in words],
            "offset_mapping": [word.span() for word in words],
            "special_tokens_mask": [0] * len(words),
        }


@dataclass(frozen=True, eq=False)
class Sentiment:
    """A trained reader and the sentences that it has not seen.

    Attributes
    ----------
    model : Module
        From numbers of words [batch, n_words] to logits [batch, 2], complaint and praise.
    vocabulary : dict of str to int
        Number of each word of the training; 0 is any other.
    unseen : tuple of Sentence
        Sentences that were kept from the training.
    n_train : int
        How many it was trained on.
    accuracy : float
        Share of the unseen sentences that it reads right.
    """

    model: nn.Module
    vocabulary: dict[str, int]
    unseen: tuple[Sentence, ...]
    n_train: int
    accuracy: float

    def encode(self, text: str) -> Tensor:
        """Return the numbers of the words of a sentence, int64 [1, n_words]."""
        return torch.tensor([_Tokenizer(self.vocabulary)(text)["input_ids"]])

    def margin(self, text: str) -> float:
        """Return by how much the logit of praise is above that of complaint."""
        with torch.no_grad():
            return float(self._margins(self.encode(text))[0])

    @property
    def classifier(self) -> TextClassifier:
        """The reader as it is explained: one score, the margin; its sentences need no padding."""
        tokenizer = _Tokenizer(self.vocabulary)
        return TextClassifier(self.model, tokenizer, forward=lambda ids, _: self._margins(ids))

    def _margins(self, words: Tensor) -> Tensor:
        complaint, praise = self.model(words).T
        margins: Tensor = praise - complaint
        return margins


def train_reader(seed: int, *, epochs: int = 24) -> Sentiment:
    """Train on four fifths of the labelled sentences.

    Parameters
    ----------
    seed : int
        Decides the split, the initial weights and the order; the global generator is left alone.
    epochs : int
        Passes over the training sentences.

    Returns
    -------
    Sentiment
    """
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        sentences = labelled_sentences()
        order = torch.randperm(len(sentences)).tolist()
        n_train = 4 * len(sentences) // 5
        train = [sentences[place] for place in order[:n_train]]
        unseen = tuple(sentences[place] for place in order[n_train:])
        known = sorted({word for sentence in train for word in words_of(sentence.text)})
        vocabulary = {word: number for number, word in enumerate(known, UNKNOWN + 1)}
        model = _Reader(len(known) + 1)
        reader = Sentiment(model, vocabulary, unseen, n_train, 0.0)
        _fit(model, _batches(reader, train), epochs)
    model.eval().requires_grad_(False)
    right = sum((reader.margin(each.text) > 0) == bool(each.label) for each in unseen)
    return Sentiment(model, vocabulary, unseen, n_train, right / len(unseen))


def _batches(reader: Sentiment, sentences: list[Sentence]) -> list[tuple[Tensor, Tensor]]:
    """Put sentences of one length together, up to 16, so that none needs padding."""
    by_length: dict[int, list[tuple[Tensor, int]]] = defaultdict(list)
    for sentence in sentences:
        words = reader.encode(sentence.text)
        by_length[words.shape[1]].append((words, sentence.label))
    return [
        (torch.cat([words for words, _ in part]), torch.tensor([label for _, label in part]))
        for rows in by_length.values()
        for part in (rows[start : start + 16] for start in range(0, len(rows), 16))
    ]


def _fit(model: _Reader, batches: list[tuple[Tensor, Tensor]], epochs: int) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    for _ in range(epochs):
        for place in torch.randperm(len(batches)).tolist():
            words, labels = batches[place]
            # One word in ten is read as unknown, so that the model knows what that is.
            hidden = torch.rand(words.shape) < 0.1
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(words.masked_fill(hidden, UNKNOWN)), labels)
            torch.autograd.backward(loss)
            optimiser.step()
