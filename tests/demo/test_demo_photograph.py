"""The demonstration's photograph: where the dahlia is is known, and so is what is said of it."""

from __future__ import annotations

import dataclasses
import functools

import matplotlib as mpl
import pytest
import torch
from html_reader import Reader

from pyxai.demo.sections import photograph
from pyxai.demo.sections.photograph_task import train_finder
from pyxai.demo.words import percent
from pyxai.report import Report, pictures

mpl.use("Agg")


@pytest.fixture(scope="module")
def measured():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photograph, "N_REGIONS", 16)
        patch.setattr(photograph, "N_COALITIONS", 60)
        return photograph.measure_photograph(0, n_train=400, epochs=4)


def test_the_picture_differs_where_the_dahlia_is_only(measured):
    scene = measured.scene
    changed = (scene.picture != scene.plain).any(1)[0]
    assert bool((changed <= scene.dahlia).all())
    assert float(changed.sum()) > 0.98 * float(scene.dahlia.sum())
    assert 0.1 < measured.area < 0.3
    assert scene.picture.shape == scene.plain.shape == (1, 3, *scene.dahlia.shape)
    assert float(scene.picture.min()) >= 0
    assert float(scene.picture.max()) <= 1


def test_all_methods_find_the_dahlia(measured):
    assert measured.scene.accuracy > 0.85
    assert measured.logit > measured.without
    for name in measured.maps:
        assert measured.on_dahlia(name) > 2 * measured.area


def test_attributions_are_in_output_units(measured):
    whole = measured.maps[photograph.REGIONS].sum()  # Kernel SHAP adds up exactly
    assert float(whole) == pytest.approx(measured.logit - measured.blank, rel=1e-3)
    pixels = measured.maps[photograph.PIXELS].sum()
    assert float(pixels) == pytest.approx(measured.logit - measured.blank, rel=0.05)


def test_the_sentences_have_the_measured_numbers(measured):
    can, _ = photograph.conclusions(measured)
    for name in measured.maps:
        assert percent(measured.on_dahlia(name)) in can[0]
    assert can[0].startswith("That it was the dahlia") == all(
        measured.on_dahlia(name) > 0.5 for name in measured.maps
    )
    away = {name: -values for name, values in measured.maps.items()}
    away |= {photograph.PIXELS: (~measured.scene.dahlia).float()}
    other = dataclasses.replace(measured, maps=away, logit=-1.0, without=-2.0)
    can, _ = photograph.conclusions(other)
    assert can[0].startswith("That not only it was the dahlia")
    assert "0.0 % by integrated gradients" in can[0]
    assert "stays the same" in can[1]


def test_the_section_has_its_picture(measured, monkeypatch):
    monkeypatch.setattr(pictures, "_png", functools.partial(pictures._png, scale=1))
    report = Report("title")
    photograph.section(report, measured)
    reader = Reader(report.to_html())
    assert sum(tag == "img" for tag, _ in reader.tags) == 1
    assert f"It says {'yes' if measured.logit > 0 else 'no'}" in reader.words


def test_one_seed_is_one_answer_and_leaves_torch_alone():
    state = torch.random.get_rng_state()
    first, again = (train_finder(1, n_train=60, epochs=1) for _ in range(2))
    other = train_finder(2, n_train=60, epochs=1)
    assert torch.equal(state, torch.random.get_rng_state())
    outputs = [each.model(first.picture) for each in (first, again, other)]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert first.accuracy == again.accuracy
