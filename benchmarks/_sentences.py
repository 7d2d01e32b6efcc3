"""A pretrained transformer with a trained head, and sentences that the head has not seen."""

from __future__ import annotations

import itertools
import random
from typing import NamedTuple

import torch
from pretrained_encoder import classifier_and_tokenizer
from torch import Tensor, nn

__all__ = ["Sentence", "trained"]

THINGS = (
    *("the movie", "this film", "the plot", "her acting", "the music", "the whole story"),
    *("the new play", "his last book", "the second act", "every scene", "the dialogue"),
)
PRAISE = (
    *("was surprisingly good", "is warm and funny", "made me smile all evening"),
    *("deserves every prize it won", "is beautiful", "kept us on the edge of our seats"),
    *("was worth the price of the ticket", "is the best that I have seen this year"),
)
BLAME = (
    *("was painfully bad", "is dull and slow", "put me to sleep twice", "was a waste of money"),
    *("is ugly", "makes no sense at all", "falls apart after ten minutes"),
    *("is the worst that I have seen this year", "annoyed everybody in the room"),
)
ENDS = ("", ", and I would say so again", ", said my brother", " in spite of its length")
CLS, SEP, PAD = 101, 102, 0


class Sentence(NamedTuple):
    """One sentence without padding: word numbers, and those where only its ends are left."""

    words: Tensor
    baseline: Tensor
    mask: Tensor
    target: int


def trained(n_sentences: int, *, n_train: int = 300) -> tuple[nn.Module, list[Sentence]]:
    """Train a logistic regression on the mean of the words: what is praised and what is not."""
    model, tokenizer = classifier_and_tokenizer()
    model.requires_grad_(False)
    texts = [
        (f"{thing} {said}{end}", label)
        for label, kind in enumerate((BLAME, PRAISE))
        for thing, said, end in itertools.product(THINGS, kind, ENDS)
    ]
    random.Random(0).shuffle(texts)
    train, rest = texts[:n_train], texts[n_train : n_train + n_sentences]
    labels = torch.tensor([label for _, label in train])
    tokens = tokenizer([text for text, _ in train], return_tensors="pt", padding=True)
    model.head = nn.Identity()
    mask = tokens["attention_mask"]
    means = torch.cat(
        [model(tokens["input_ids"][some], mask[some]) for some in torch.arange(n_train).split(50)]
    )
    head = nn.Linear(means.shape[1], 2)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=200)

    def loss() -> Tensor:
        optimizer.zero_grad()
        entropy = nn.functional.cross_entropy(head(means), labels)
        total: Tensor = entropy + 1e-3 * head.weight.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    model.head = head.requires_grad_(False)
    found = []
    for text, _ in rest:
        tokens = tokenizer([text], return_tensors="pt")
        words, mask = tokens["input_ids"], tokens["attention_mask"]
        baseline = torch.where((words == CLS) | (words == SEP), words, PAD)
        found.append(Sentence(words, baseline, mask, int(model(words, mask).argmax())))
    return model, found
