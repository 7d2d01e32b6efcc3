"""The demonstration's coloured words: values of a reader whose answers are known."""

from __future__ import annotations

import pytest
import torch
from html_reader import Reader as Page
from torch import nn

from pyxai.demo.sections import reading
from pyxai.demo.sections.sentiment import Sentiment
from pyxai.demo.sentences import Sentence
from pyxai.report import Report

WORTH = {"?": 0.0, "not": -3.0, "good": 2.0, "a": 0.5, "bad": -2.0, "film": 1.0}


class Sum(nn.Module):
    """Praise is the sum of what the words are worth, complaint is 0."""

    def __init__(self):
        super().__init__()
        self.worth = nn.Embedding.from_pretrained(torch.tensor(list(WORTH.values()))[:, None])

    def forward(self, words):
        praise = self.worth(words)[..., 0].sum(1)
        return torch.stack([torch.zeros_like(praise), praise], 1)


@pytest.fixture
def measured():
    unseen = (
        Sentence("not a good film", 1, "negation"),
        Sentence("not good", 0, "negation"),
        Sentence("a bad film", 0, "plain"),
        Sentence("not bad, a good film", 0, "contrast"),
        Sentence(" ".join(["good"] * (reading.LONGEST + 1)), 1, "plain"),
    )
    numbers = {word: number for number, word in enumerate(WORTH) if number}
    return reading.measure_reading(Sentiment(Sum(), numbers, unseen, 4, 0.6))


def test_words_get_what_they_are_worth(measured):
    assert len(measured.read) == 4  # one is too long
    for read in measured.read:
        assert read.values == pytest.approx({word: WORTH.get(word, 0.0) for word in read.values})
        assert read.margin == pytest.approx(sum(read.values.values()), abs=1e-6)
        assert read.said == ("praise" if read.margin > 0 else "a complaint")
    assert [read.right for read in measured.read] == [True, True, True, True]


def test_what_is_shown_is_chosen_by_the_values(measured):
    shown = [read.sentence.text for read in measured.shown]
    assert shown == ["not a good film", "not bad, a good film"]
    assert measured.mistake is None


def test_the_sentences_have_the_measured_numbers(measured):
    can, cannot = reading.conclusions(measured)
    assert "“not” in “not a good film”, with -3.00" in can[1]
    assert len(can) == 2
    assert "misreads 40.0 %" in cannot[1]
    wrong = Sentence("a good film", 0, "plain")
    other = Sentiment(Sum(), measured.reader.vocabulary, (wrong,), 4, 1.0)
    can, cannot = reading.conclusions(reading.measure_reading(other))
    assert "takes “a good film” for praise" in can[2]
    assert len(cannot) == 1


def test_the_section_shows_the_words(measured):
    report = Report("title")
    reading.section(report, measured)
    page = Page(report.to_html())
    assert "Read as praise" in page.words
    assert sum(tag == "figure" for tag, _ in page.tags) == 2
