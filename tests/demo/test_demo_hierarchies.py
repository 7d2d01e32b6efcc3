"""The demonstration's hierarchies: what is said of them follows from what was measured."""

import dataclasses

import matplotlib as mpl
import pytest
import torch
from html_reader import Reader
from torch import nn

from pyxai.demo.sections import hierarchies
from pyxai.demo.sections.sentiment import train_reader
from pyxai.demo.tasks import Task
from pyxai.report import Report

mpl.use("Agg")


def squares():
    """Two kinds of pictures, told apart by where the ink is."""
    images = torch.zeros(6, 1, 8, 8)
    images[::2, :, 1:3, 1:4], images[1::2, :, 5:7, 2:6] = 1.0, 0.8
    with torch.random.fork_rng():
        model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(128, 2))
    weight = torch.zeros(2, 2, 8, 8)
    weight[0, :, :4], weight[1, :, 4:] = 1.0, 1.0
    model.requires_grad_(False)
    model[2].weight.copy_(weight.flatten(1))
    model[0].weight.fill_(0.1)
    return Task(
        name="pictures",
        model=model,
        inputs=images,
        labels=torch.arange(6) % 2,
        class_names=("top", "bottom"),
        feature_names=None,
        baseline_words="no ink",
        accuracy=1.0,
        n_train=6,
    )


@pytest.fixture(scope="module")
def measured():
    return hierarchies.measure_hierarchies(squares(), train_reader(0))


def test_the_reader_reads_and_its_sentences_are_explained_whole(measured):
    reader = measured.reader
    assert reader.accuracy > 0.75
    assert not reader.model.training
    texts = {each.sentence.text for each in measured.phrases}
    assert texts < {each.text for each in reader.unseen}
    for each in measured.phrases[:10]:
        assert each.tree.whole_score == pytest.approx(reader.margin(each.sentence.text), abs=1e-4)
        assert len(each.tree.roots) == 1
    found = measured.example("negation")
    assert found.turned
    assert found.words_alone * found.tree.whole_score < 0
    for tree in measured.digits:
        logit = squares().model(tree.inputs)[0, tree.target[0]]
        assert tree.whole_score == pytest.approx(float(logit), abs=1e-4)


def test_the_sentences_have_the_measured_numbers(measured):
    can, cannot = hierarchies.conclusions(measured)
    turned, count = measured.turned("negation")
    assert 0 < turned < count
    assert f"{turned} of {count} sentences with a negation" in can[0]
    assert len(can) == 1 + len(measured.digits) == 3
    assert "which is the logit; 6 pixels have ink" in can[1]
    assert "misreads" in cannot[1]
    perfect = dataclasses.replace(
        measured, reader=dataclasses.replace(measured.reader, accuracy=1.0)
    )
    assert len(hierarchies.conclusions(perfect)[1]) == 1


def test_the_section_has_its_pictures(measured):
    report = Report("title")
    hierarchies.section(report.section("more"), measured)
    reader = Reader(report.to_html())
    assert sum(tag == "img" for tag, _ in reader.tags) == 4
    turned, count = measured.turned("negation")
    assert f"{turned} of {count} negations turn the sum of their words" in reader.words


def test_training_depends_on_the_seed_alone_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train_reader(3, epochs=1)
    assert torch.equal(torch.rand(3), expected)
    again, other = train_reader(3, epochs=1), train_reader(4, epochs=1)
    text = first.unseen[0].text
    assert first.margin(text) == again.margin(text) != other.margin(text)
    assert first.encode("unheard good").tolist()[0][0] == 0
