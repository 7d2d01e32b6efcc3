"""The demonstration runs whole, and its sentences follow from its numbers."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re

import pytest
import torch
from html_reader import Reader
from torch import nn

from pyxai import registry
from pyxai.audit import load
from pyxai.demo import conclusions, families, figures, main, measure, run, tasks, words
from pyxai.demo.fourteen import comparison
from pyxai.demo.measure import LEFT_OUT, Measured, Result
from pyxai.demo.sections import audited, frequencies, hierarchies, photograph, wavelet
from pyxai.demo.sections import pixels as reveal
from pyxai.demo.tasks import Task
from pyxai.explanation import Explanation
from pyxai.report import pictures

SMALL = {  # what takes long, made small: each part has tests of its own
    "measure_photograph": {"n_train": 120, "epochs": 1},
    "train_reader": {"epochs": 4},
    "measure_panels": {"epochs": 1},
    "measure_frequencies": {"n_signals": 20},
}
SHORT = (  # the same, of numbers that no caller gives
    (frequencies, "N_ROWS", 1200),
    (frequencies, "N_TRAIN", 1000),
    (wavelet, "N_SIGNALS", 400),
    (hierarchies, "LENGTHS", 1),
    (photograph, "N_COALITIONS", 20),
    (photograph, "N_REGIONS", 6),
    (audited, "METHODS", ("saliency", "input_x_gradient")),
    (comparison, "digit_patches", lambda: (measure._blocks(2), ("a", "b", "c", "d"))),
    (comparison, "tumour_properties", lambda: (torch.arange(30)[None] % 3, ("a", "b", "c"))),
)
DARK = ("", 1, 1)


def light(draw, scheme, real=pictures._png):
    """Draw for light screens only, and coarsely."""
    return real(draw, scheme, scale=1) if scheme is pictures.LIGHT else DARK


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    said = []
    with pytest.MonkeyPatch.context() as patch:
        for name, size in SMALL.items():
            patch.setattr(main, name, functools.partial(getattr(main, name), **size))
        patch.setattr(main, "measure_phrases", lambda seed: None)
        for place, name, value in SHORT:
            patch.setattr(place, name, value)
        patch.setattr(pictures, "_png", light)
        path = run(tmp_path_factory.mktemp("demo"), rows=12, say=said.append)
    return path, path.read_text(encoding="utf-8"), said


def test_the_report_is_whole_and_standalone(page):
    path, text, said = page
    assert path.name == "report.html"
    reader = Reader(text)
    links = {address for address in reader.addresses() if not address.startswith("#")}
    assert {link for link in links if link and not link.startswith("data:image/png;")} == {
        f"{audited.FOLDER}/report.html"
    }
    assert (path.parent / audited.FOLDER / "report.html").exists()
    assert sum(tag == "section" for tag, _ in reader.tags) == 8
    assert sum(tag == "img" for tag, _ in reader.tags) >= 25
    assert sum(tag == "details" for tag, _ in reader.tags) >= 20
    assert len(path.read_bytes()) < 2e6
    assert "all methods on digits" in said[6]
    assert len(said) == 18


def test_what_is_open_is_a_handful_of_pictures(page):
    _, text, _ = page
    shown, depth = 0, 0
    for part in re.findall(r"<(/?details|img)\b", text):
        depth += {"details": 1, "/details": -1}.get(part, 0)
        shown += part == "img" and depth == 0
    assert shown == 5  # and three sentences
    assert text.index("A dahlia over a lake") < text.index("What a word says")


def test_the_audit_is_beside_the_page_and_done_anew_for_another_model(page, tmp_path):
    path, text, _ = page
    assert audited.FOLDER in text
    assert load(path.parent / audited.FOLDER).complete
    inputs = torch.rand(4, 1, 8, 8)
    names = tuple("0123456789")
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)
        labels = model(inputs).argmax(1)
        task = Task("digits", model, inputs, labels, names, None, "no ink", 1.0, 0)
        found = audited.measure_audit(task, tmp_path, 0)
        rows = found.audit.maps("integrated_gradients")
        expected = inputs * model[1].weight[labels].view(4, 1, 8, 8)
        torch.testing.assert_close(rows, expected, atol=1e-5, rtol=1e-4)
    (tmp_path / "other" / audited.FOLDER).mkdir(parents=True)
    (tmp_path / "other" / audited.FOLDER / "mine.txt").write_text("kept")
    with contextlib.suppress(ValueError, OSError):
        audited.measure_audit(task, tmp_path / "other", 0)
    assert (tmp_path / "other" / audited.FOLDER / "mine.txt").read_text() == "kept"


def test_every_method_is_shown_or_left_out_for_a_known_reason(page):
    _, text, _ = page
    words_ = Reader(text).words
    for name in registry.names():
        assert words.title(name) in words_
    assert "Error:" not in words_
    for (_, name), reason in LEFT_OUT.items():
        assert name in registry.names()
        assert reason in words_


def test_too_few_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rows must be at least 10, got 3"):
        run(tmp_path, rows=3)


def test_training_depends_on_the_seed_alone_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = tasks.breast_cancer(3)
    assert torch.equal(torch.rand(3), expected)
    again, other = tasks.breast_cancer(3), tasks.breast_cancer(4)
    inputs = first.inputs
    assert torch.equal(first.model(inputs), again.model(inputs))
    assert not torch.equal(first.model(inputs), other.model(inputs))
    assert first.accuracy > 0.9
    assert not first.model.training


def linear_task(weights: torch.Tensor, inputs: torch.Tensor) -> Task:
    model = nn.Linear(len(weights), 2, bias=False).requires_grad_(False)
    model.weight.copy_(torch.stack([weights, torch.zeros_like(weights)]))
    return Task(
        name="rows",
        model=model,
        inputs=inputs,
        labels=model(inputs).argmax(1),
        class_names=("one", "other"),
        feature_names=tuple(f"f{i}" for i in range(len(weights))),
        baseline_words="nothing",
        accuracy=1.0,
        n_train=0,
    )


# Two of the methods say that a model without ReLUs gives them nothing to change.
@pytest.mark.filterwarnings("ignore:.*changes the gradient of ReLUs")
@pytest.mark.filterwarnings("ignore:the noise around examples")  # row 0 has no variance
def test_the_measurements_of_a_linear_model_are_those_on_paper():
    weights = torch.tensor([4.0, 3.0, 2.0, 1.0])
    inputs = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 5.0]])
    measured = measure.measure(linear_task(weights, inputs), n_rows=2, n_removed=2)
    torch.testing.assert_close(measured.difference, torch.tensor([10.0, 15.0]))
    result = measured["input_x_gradient"]
    torch.testing.assert_close(result.gap, torch.zeros(2), atol=1e-5, rtol=0)
    # Row 0 loses 4 then 3; row 1 loses 2 * 4, then 5 * 1.
    torch.testing.assert_close(result.drops, torch.tensor([[0.0, 4.0, 7.0], [0.0, 8.0, 13.0]]))
    # The largest input of row 1 is the last: it loses 5, then 8.
    torch.testing.assert_close(measured.plain_drops[1], torch.tensor([0.0, 5.0, 13.0]))
    assert result.rows >= 2
    assert measured.agreement.diagonal().sub(1).abs().max() < 1e-6


def test_the_reveal_of_a_linear_model_is_that_on_paper():
    # The probability is the sigmoid of the sum, which is 0.9 at 2.2.
    inputs = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 3.0, 0.0, 0.0]])
    task = linear_task(torch.tensor([0.1, 1.0, 1.0, 0.5]), inputs)
    found = reveal.measure_reveal(Measured(task, torch.zeros(2, dtype=torch.long), torch.ones(2)))
    assert found.orders["Greedy PIG"][0].tolist() == [1, 2, 3, 0]
    for name in found.orders:
        assert found.pixels_to_be_sure(name).tolist() == [3.0, 1.0]
        expected = torch.tensor([0.0, 1.0, 2.0, 2.5, 2.6]).sigmoid()
        torch.testing.assert_close(found.curves[name].y[0].float(), expected)
    assert found.shown("Greedy PIG", 2).count_nonzero() in (1, 2)


def test_ranks_average_ties():
    values = torch.tensor([[3.0, 1.0, 3.0, 2.0]])
    assert measure._ranks(values).tolist() == [[3.0, 0.5, 3.0, 1.5]]


def made_up(gap: float, drops: torch.Tensor, name: str = "integrated_gradients") -> Measured:
    """A measurement whose numbers are given."""
    inputs = torch.eye(4)
    task = linear_task(torch.tensor([4.0, 3.0, 2.0, 1.0]), inputs)
    measured = Measured(task, torch.zeros(4, dtype=torch.long), torch.full((4,), 10.0))
    measured.results = [
        Result(name, Explanation(inputs, inputs), 0.1, 4, torch.full((4,), gap), drops)
    ]
    measured.plain_drops = torch.tensor([[0.0, 2.0, 3.0]]).repeat(4, 1)
    measured.random_drops = torch.tensor([[0.0, 1.0, 1.5]]).repeat(4, 1)
    return measured


STRONG = torch.tensor([[0.0, 5.0, 8.0]]).repeat(4, 1) + torch.arange(4.0)[:, None] * 0.01
WEAK = STRONG - 5


def test_a_kept_promise_is_said_to_be_kept_and_a_broken_one_broken():
    kept = " ".join(conclusions.for_digits(made_up(0.01, STRONG))[0])
    assert "off by 0.1 % at most" in kept
    assert "roughly" not in kept
    broken = " ".join(conclusions.for_digits(made_up(3.0, STRONG))[0])
    assert "Integrated gradients (30.0 %) add up only roughly" in broken
    assert "at most" not in broken


def removal(drops, name="integrated_gradients"):
    return " ".join(conclusions.for_removal(made_up(0.0, drops, name), "pixels")[0])


def test_a_method_no_better_than_the_plain_order_is_named():
    assert "not clearly beat" not in removal(STRONG)
    assert "Integrated gradients does not clearly beat" in removal(WEAK)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("feature_permutation", {}),
        ("grad_cam", {}),
        ("xrai", {"segments": 0}),
        ("occlusion", {"sliding_window_shapes": 1}),
        ("shapley_values", {"feature_mask": 0}),
    ],
)
def test_who_was_asked_another_question_is_said_to_be_and_not_judged(name, options):
    measured = made_up(0.0, WEAK, name)
    explanation = dataclasses.replace(measured.results[0].explanation, options=options)
    measured.results[0] = dataclasses.replace(measured.results[0], explanation=explanation)
    assert conclusions.asked_otherwise(measured) == [words.title(name)]
    assert conclusions.for_removal(measured, "pixels")[0] == []
    assert conclusions.asked_otherwise(made_up(0.0, WEAK)) == []


def test_methods_that_explain_neither_model_are_named():
    one = made_up(0.0, STRONG)
    missing = conclusions.not_shown(one, made_up(0.0, STRONG, "saliency"))
    assert len(missing) == len(registry.names()) - 2
    assert not {"Saliency", "Integrated gradients"} & set(missing)


def test_the_fall_of_the_output_is_the_measured_one():
    text = removal(STRONG)
    assert "Without the 2 pixels" in text
    assert "falls by 8.02 on average, without 2 random ones by 1.50" in text


def test_the_most_correlated_features_are_named():
    measured = made_up(0.0, STRONG)
    inputs = torch.tensor([[1.0, 2.0, 0.0, 1.0], [2.0, 4.0, 1.0, 0.0], [3.0, 6.1, 0.0, 5.0]])
    measured.task = dataclasses.replace(measured.task, inputs=inputs)
    text = " ".join(conclusions.for_table(measured)[1])
    assert "“f0” and “f1” do most" in text


def test_every_method_has_its_family():
    assert {registry.get(name).family for name in registry.names()} == set(families.FAMILIES)
    for key, family in families.FAMILIES.items():
        assert registry.get(family.known_by).family == key
    measured = made_up(0.0, STRONG)
    measured.results.append(dataclasses.replace(measured.results[0], name="idgi"))
    measured.results.append(dataclasses.replace(measured.results[0], name="saliency"))
    found = families.members(measured)
    assert list(found) == ["gradients", "paths"]
    assert [result.name for result in found["paths"]] == ["integrated_gradients", "idgi"]
    shown = [result.name for result in families.representatives(measured)]
    assert shown == ["saliency", "integrated_gradients"]


def test_families_agree_as_their_methods_do():
    measured = made_up(0.0, STRONG)
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    for name, attributions in (("idgi", values), ("saliency", -values), ("lrp", values)):
        explanation = Explanation(attributions.repeat(4, 1), torch.ones(4, 4))
        measured.results.append(Result(name, explanation, 0.1, 4, torch.zeros(4), STRONG))
    measured.results.pop(0)
    names, grid = figures.agreement_of_families(measured)
    assert names == ["Gradients", "Paths", "Propagated"]
    assert grid[1, 0] == grid[2, 0] == pytest.approx(-1)
    assert grid[2, 1] == pytest.approx(1)
    assert bool(grid[0, 0].isnan())
    assert bool(grid[0, 1].isnan())


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (0.9722, "97.2 %"), (0.0312, "3.1 %"), (4e-6, "4e-04 %"), (0.001, "0.1 %")],
)
def test_percentages(share, text):
    assert words.percent(share) == text


def test_lists_read_like_sentences():
    assert [words.listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_the_value_of_a_group_is_shared_out_so_that_sums_stay_right():
    inputs = torch.ones(1, 1, 8, 8)
    blocks = measure._blocks(3)
    assert blocks.unique().tolist() == list(range(9))
    values = torch.arange(9.0)[blocks]  # a method gives every pixel of a block the block's value
    shared = measure._shared_out(Explanation(values, inputs), blocks)
    assert float(shared.sum()) == pytest.approx(36.0)
    torch.testing.assert_close(shared[0, 0, 0, 3], values[0, 0, 0, 3] / (blocks == 1).sum())
