"""The demonstration's coloured words: what each word of a sentence adds to praise or complaint."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from torch import Tensor

from pyxai import plot
from pyxai.demo.sections.sentiment import Sentiment
from pyxai.demo.sentences import Sentence, words_of
from pyxai.demo.words import listed, percent
from pyxai.explanation import Explanation
from pyxai.report import Report, format_number

__all__ = ["MeasuredReading", "Read", "conclusions", "measure_reading", "section"]

NEGATIONS = frozenset({"hardly", "never", "no", "nobody", "not", "nothing", "without"})
LONGEST = 9  # words: Shapley values ask for all their 2^9 subsets


@dataclass(frozen=True, eq=False)
class Read:
    """A sentence that the reader has not seen, and the Shapley values of its words.

    Attributes
    ----------
    sentence : Sentence
        What it says.
    explanation : Explanation
        Of the logit of praise minus that of complaint, one word a feature.
    """

    sentence: Sentence
    explanation: Explanation

    @property
    def margin(self) -> float:
        """By how much the logit of praise is above that of complaint."""
        assert self.explanation.outputs is not None
        return float(self.explanation.outputs[0])

    @property
    def right(self) -> bool:
        """Whether the reader understood it."""
        return (self.margin > 0) == bool(self.sentence.label)

    @property
    def values(self) -> dict[str, float]:
        """Value of each word; of a word that comes twice, the last."""
        names, values = self.explanation.feature_names, self.explanation.attributions
        assert names is not None
        assert isinstance(values, Tensor)
        return dict(zip(names[0], values[0].tolist(), strict=True))

    @property
    def said(self) -> str:
        """What the reader made of it."""
        return "praise" if self.margin > 0 else "a complaint"


@dataclass(frozen=True, eq=False)
class MeasuredReading:
    """What words say to the reader.

    Attributes
    ----------
    reader : Sentiment
        The trained reader.
    read : tuple of Read
        All short sentences that it has not seen.
    """

    reader: Sentiment
    read: tuple[Read, ...]

    @property
    def shown(self) -> list[Read]:
        """One whose negation weighs most, one with two clauses, and the worst mistake."""
        right = [each for each in self.read if each.right]
        negated = [each for each in right if each.sentence.kind == "negation"]
        clauses = [each for each in right if each.sentence.kind == "contrast"]
        chosen = (max(negated, key=_negation, default=None), max(clauses, key=_span, default=None))
        return [each for each in (*chosen, self.mistake) if each is not None]

    @property
    def mistake(self) -> Read | None:
        """The sentence that is misread by the widest margin."""
        wrong = [each for each in self.read if not each.right]
        return max(wrong, key=lambda each: abs(each.margin), default=None)


def _negation(read: Read) -> float:
    """Return the largest absolute value of a word that negates."""
    values = read.values.items()
    return max((abs(value) for word, value in values if word.lower() in NEGATIONS), default=0)


def _span(read: Read) -> float:
    values = read.values.values()
    return max(values) - min(values)


def measure_reading(reader: Sentiment) -> MeasuredReading:
    """Give each word of the short unseen sentences its Shapley value.

    Parameters
    ----------
    reader : Sentiment
        A trained reader.

    Returns
    -------
    MeasuredReading
    """
    short = [each for each in reader.unseen if len(words_of(each.text)) <= LONGEST]
    # A word that is taken away is read as one that the training did not show.
    found = reader.classifier.explain(
        [each.text for each in short], method="shapley_values", baseline="unknown"
    )
    return MeasuredReading(reader, tuple(map(Read, short, found)))


def section(report: Report, measured: MeasuredReading) -> None:
    """Append the section about words.

    Parameters
    ----------
    report : Report
        To append to.
    measured : MeasuredReading
        What it is about.
    """
    reader = measured.reader
    part = report.section("What a word says")
    part.text(
        f"A small LSTM, trained on {reader.n_train} short sentences, tells praise from complaint "
        f"in {percent(reader.accuracy)} of {len(reader.unseen)} others. Each word gets its Shapley "
        "value: what it adds to praise over complaint, in logits, averaged over all orders in "
        "which the words could come; those that are not there yet are read as unknown ones. Red "
        "praises, blue complains. pyxai.adapters.TextClassifier goes from the sentence as it is "
        "written to these pictures."
    )
    limit = max((abs(v) for each in measured.shown for v in each.values.values()), default=1.0)
    for each in measured.shown:
        truth = "" if each.right else ", which it is not"
        text = plot.text_html(
            each.explanation,
            limit=limit,
            legend=each is measured.shown[-1],
            title=f"Read as {each.said}{truth}: margin {format_number(each.margin)}",
        )
        part.html(Markup('<div style="font-size:1.25em">{}</div>').format(Markup(text)))
    part.conclusions(*conclusions(measured))


def conclusions(measured: MeasuredReading) -> tuple[list[str], list[str]]:
    """Say what the coloured words allow.

    Parameters
    ----------
    measured : MeasuredReading
        Of some sentences.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    can = [
        "What the answer is made of: the values of a sentence add up to its margin, less that of "
        "a sentence of unknown words."
    ]
    if measured.shown:
        heaviest = listed([_heaviest(each) for each in measured.shown])
        can.append(f"Which word weighs most: {heaviest}.")
    if measured.mistake is not None:
        can.append(
            f"What the reader mistakes: it takes “{measured.mistake.sentence.text}” for "
            f"{measured.mistake.said}, and the values say by which words."
        )
    cannot = [
        "That a word always says so: its value is an average over the company that it keeps in "
        "this sentence.",
    ]
    if measured.reader.accuracy < 1:
        cannot.append(
            f"That the reader understands. It misreads {percent(1 - measured.reader.accuracy)} of "
            "the unseen sentences, and has learnt from few words."
        )
    return can, cannot


def _heaviest(read: Read) -> str:
    word, value = max(read.values.items(), key=lambda pair: abs(pair[1]))
    return f"“{word}” in “{read.sentence.text}”, with {format_number(value)}"
