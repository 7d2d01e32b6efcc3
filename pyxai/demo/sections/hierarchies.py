"""The demonstration's hierarchies: phrases of sentences and strokes of digits, from their parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pyxai.decomposition import ACD, Hierarchy
from pyxai.demo.sections.sentiment import Sentiment
from pyxai.demo.sentences import Sentence, words_of
from pyxai.demo.tasks import Task
from pyxai.demo.words import listed, percent
from pyxai.report import Section, format_number

__all__ = [
    "MeasuredHierarchies",
    "Phrases",
    "conclusions",
    "measure_hierarchies",
    "section",
]

DIGITS = 2  # drawn
LENGTHS = 4  # numbers of words: a recurrent model is traced anew for each, which takes a second


@dataclass(frozen=True, eq=False)
class Phrases:
    """The hierarchy of a sentence that the reader read right.

    Attributes
    ----------
    sentence : Sentence
        What it says.
    tree : Hierarchy
        Scores are logits of praise minus those of complaint.
    """

    sentence: Sentence
    tree: Hierarchy

    @property
    def words_alone(self) -> float:
        """Sum of the scores of all words, each by itself."""
        return sum(node.score for node in self.tree.nodes[: self.tree.n_units])

    @property
    def turned(self) -> bool:
        """Whether the sentence says the opposite of the sum of its words."""
        return self.words_alone * self.tree.whole_score < 0


@dataclass(frozen=True, eq=False)
class MeasuredHierarchies:
    """What was found out about parts and wholes.

    Attributes
    ----------
    reader : Sentiment
        The trained reader of sentences.
    lengths : tuple of int
        The most frequent numbers of words among the unseen sentences.
    phrases : tuple of Phrases
        Of those of these lengths that it reads right.
    digits : tuple of Hierarchy
        Of the first digits of different classes that the model of the digits reads right.
    """

    reader: Sentiment
    lengths: tuple[int, ...]
    phrases: tuple[Phrases, ...]
    digits: tuple[Hierarchy, ...]

    def example(self, kind: str) -> Phrases | None:
        """Return the sentence of a kind whose words alone say most of the opposite."""
        some = [each for each in self.phrases if each.sentence.kind == kind]
        return max(some, key=_opposite, default=None)

    def turned(self, kind: str) -> tuple[int, int]:
        """Return how many sentences of a kind are turned, and how many there are."""
        some = [each.turned for each in self.phrases if each.sentence.kind == kind]
        return sum(some), len(some)


def _opposite(phrases: Phrases) -> float:
    """Return how far the whole is from its words, in the direction in which it turns them."""
    whole, words = phrases.tree.whole_score, phrases.words_alone
    return min(abs(whole), abs(words)) if phrases.turned else -abs(words) / abs(whole)


def measure_hierarchies(task: Task, reader: Sentiment) -> MeasuredHierarchies:
    """Build hierarchies of sentences and of digits.

    Parameters
    ----------
    task : Task
        The digits.
    reader : Sentiment
        The trained reader of sentences.

    Returns
    -------
    MeasuredHierarchies
    """
    method = ACD(reader.model, subtract=True)
    counts = Counter(len(words_of(sentence.text)) for sentence in reader.unseen)
    lengths = tuple(sorted(length for length, _ in counts.most_common(LENGTHS)))
    phrases = []
    for sentence in reader.unseen:
        if len(words_of(sentence.text)) in lengths and (reader.margin(sentence.text) > 0) == bool(
            sentence.label
        ):
            names = words_of(sentence.text)
            [tree] = method.agglomerate(reader.encode(sentence.text), 1, names=names)
            phrases.append(Phrases(sentence, tree))
    rows = _rows(task)
    target = task.labels[rows].tolist()
    digits = ACD(task.model, n_iter=6).agglomerate(task.inputs[rows], target)
    return MeasuredHierarchies(reader, lengths, tuple(phrases), tuple(digits))


def _rows(task: Task) -> list[int]:
    """Return the first rows of different classes that are read right."""
    chosen: dict[int, int] = {}
    for row in (task.predictions == task.labels).nonzero().flatten().tolist():
        chosen.setdefault(int(task.labels[row]), row)
    return list(chosen.values())[:DIGITS]


def section(above: Section, measured: MeasuredHierarchies) -> None:
    """Append a fold about hierarchies.

    Parameters
    ----------
    above : Section
        To append to.
    measured : MeasuredHierarchies
        What it is about.
    """
    reader = measured.reader
    turned, count = measured.turned("negation")
    part = above.fold(
        f"What parts say together: {turned} of {count} negations turn the sum of their words"
    )
    part.text(
        f"The reader of sentences again, on those of the {len(reader.unseen)} unseen ones that it "
        "reads right. Contextual decomposition scores any group of words by what it adds to the "
        "output by itself, and agglomeration joins words whose phrase adds most to its parts, "
        "until the sentence is one."
    )
    for kind, what in (("negation", "negation"), ("contrast", "two clauses that disagree")):
        found = measured.example(kind)
        if found is None:
            continue
        part.figure(
            lambda tree=found.tree: tree.plot().figure,  # type: ignore[misc]
            alt=f"Hierarchy of phrases of a sentence with {what}: {found.sentence.text}",
            caption=f"A sentence with {what}. Red praises, blue complains, in logits. A box "
            "scores the words below it together; it stands above the parts that it joins.",
            least_width=560,
        )
    part.text(
        "The same on the digits: pixels that speak for the class come first, grow by neighbours "
        "that add to them, and meet."
    )
    for tree in measured.digits:
        part.figure(
            lambda tree=tree: tree.plot().figure,  # type: ignore[misc]
            alt=f"Groups of pixels of a digit that speak for class {_class(tree)}, step by step",
            caption=f"A {_class(tree)}. Each outlined group has one score for it, in logits; all "
            f"pixels together have {format_number(tree.whole_score)}, which is the logit.",
            least_width=640,
        )
    part.conclusions(*conclusions(measured))


def _class(tree: Hierarchy) -> int:
    assert tree.target is not None
    return tree.target[0]


def conclusions(measured: MeasuredHierarchies) -> tuple[list[str], list[str]]:
    """Say what the hierarchies allow.

    Parameters
    ----------
    measured : MeasuredHierarchies
        Of sentences and digits.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    can, cannot = [], []
    shares = [
        f"{turned} of {count} {kind}"
        for kind, (turned, count) in (
            ("sentences with a negation", measured.turned("negation")),
            ("with two clauses", measured.turned("contrast")),
            ("plain ones", measured.turned("plain")),
        )
        if count
    ]
    can.append(
        "Where the reader goes beyond single words: the scores of the words, each alone, add up to "
        f"the opposite of what it says of the sentence in {listed(shares)} that it reads right, of "
        f"those of {listed([str(length) for length in measured.lengths])} words."
    )
    for tree in measured.digits:
        top = max(tree.roots, key=lambda node: len(node.members))
        ink = int((tree.inputs > 0).sum())
        can.append(
            f"Where the {_class(tree)} is: a group of {len(top.members)} pixels scores "
            f"{format_number(top.score)} by itself, all {tree.n_units} together "
            f"{format_number(tree.whole_score)}, which is the logit; {ink} pixels have ink."
        )
    cannot.append(
        "That the tree is how the model computes. It is one order, in which groups were joined "
        "greedily; the scores in it are exact for their groups, whichever way they came about."
    )
    if measured.reader.accuracy < 1:
        wrong = 1 - measured.reader.accuracy
        cannot.append(
            f"That the reader understands. It misreads {percent(wrong)} of the unseen sentences, "
            "and has learnt from few words."
        )
    return can, cannot
