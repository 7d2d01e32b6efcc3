"""The demonstration's section about a learnt wavelet."""

import pytest
import torch

from pyxai.demo.sections import wavelet
from pyxai.report import Report
from pyxai.transforms.wavelet import scaling_filter


@pytest.fixture(scope="module")
def measured():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)
    found = wavelet.measure_wavelet(0)
    torch.set_num_threads(threads)
    assert torch.equal(state, torch.get_rng_state())
    return found


def test_the_wavelet_of_the_labels_is_found_with_the_net_only(measured):
    start = measured.distance(measured.distilled.start_)
    assert measured.explained > 0.99
    assert measured.distilled.gradients_ == "closed_form"
    assert measured.distance(measured.distilled.filter_) < min(0.5, start / 10)
    assert measured.distance(measured.alone.filter_) > start / 3
    assert measured.distance(scaling_filter("db5")) < 1e-5


def test_the_section_says_what_was_measured(measured):
    can, cannot = wavelet.conclusions(measured)
    assert "the net does" in can[0]
    assert f"{measured.distance(measured.alone.filter_):.2f}" in can[0]
    assert len(cannot) == 2
    report = Report("title", "lead", "foot")
    wavelet.section(report.section("more"), measured)
    text = report.to_html()
    assert "A wavelet learnt from a net" in text
    assert "wavelet of the labels" in text or "<svg" in text or "<img" in text
