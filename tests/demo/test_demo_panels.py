"""The demonstration's panels: what is said of them follows from what was measured."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import pytest
import torch
from html_reader import Reader

from pyxai.demo.sections import panels
from pyxai.demo.words import percent
from pyxai.report import Report

mpl.use("Agg")


@pytest.fixture(scope="module")
def measured():
    return panels.measure_panels(0)


def test_both_selections_have_one_rate(measured):
    assert set(measured.selections) == {panels.ZEROS, panels.DRAWS}
    for found in measured.selections.values():
        pixels = found.kept.flatten(1).sum(1)
        assert bool((pixels == 4 * panels.KEPT).all())
        wrong = (found.kept & ~measured.truth).flatten(1).sum(1) / pixels
        assert found.fdr == pytest.approx(float(wrong.double().mean()))
        assert found.accuracy > 0.7
    # One seed; examples/lex_panels.md has several.
    assert measured.selections[panels.DRAWS].fdr < measured.selections[panels.ZEROS].fdr < 0.5
    assert bool((measured.truth.flatten(1).sum(1) == 64).all())


def test_the_sentences_have_the_measured_numbers(measured):
    can, cannot = panels.conclusions(measured)
    zeros, draws = (measured.selections[name] for name in (panels.ZEROS, panels.DRAWS))
    assert f"{percent(zeros.fdr)} lie in the half" in can[0]
    assert f"imputation {percent(draws.fdr)}" in can[0]
    assert percent(draws.accuracy) in can[1]
    assert "one seed" in cannot[0]
    for fdr, word in ((0.0, "so fewer here"), (1.0, "so no fewer here")):
        changed = {**measured.selections, panels.DRAWS: dataclasses.replace(draws, fdr=fdr)}
        other = dataclasses.replace(measured, selections=changed)
        assert word in panels.conclusions(other)[0][0]


def test_the_section_has_its_picture(measured):
    report = Report("title")
    panels.section(report.section("more"), measured)
    reader = Reader(report.to_html())
    assert sum(tag == "img" for tag, _ in reader.tags) == 1
    assert "Where it has to look" in reader.words


def test_one_seed_is_one_answer_and_leaves_torch_alone():
    state = torch.random.get_rng_state()
    first, again = (panels.measure_panels(1, epochs=1) for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    for name, found in again.selections.items():
        assert torch.equal(found.kept, first.selections[name].kept)
