"""The demonstration runs whole, and its sentences follow from its numbers."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from html_reader import Reader
from torch import nn

from pyxai import registry
from pyxai.demo import conclusions, measure, run, tasks, words
from pyxai.demo.measure import LEFT_OUT, Measured, Result
from pyxai.demo.sections import pixels as reveal
from pyxai.demo.tasks import Task
from pyxai.explanation import Explanation


def quiet(items, label):
    return items


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = run(tmp_path_factory.mktemp("demo"), rows=12)
    return path, path.read_text(encoding="utf-8")


def test_the_report_is_whole_and_standalone(page):
    path, text = page
    assert path.name == "report.html"
    reader = Reader(text)
    assert all(address.startswith(("#", "data:image/png;")) for address in reader.addresses())
    assert sum(tag == "section" for tag, _ in reader.tags) >= 5
    assert sum(tag == "img" for tag, _ in reader.tags) >= 6
    assert len(path.read_bytes()) < 10e6


def test_every_method_is_shown_or_left_out_for_a_known_reason(page):
    _, text = page
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
    first = tasks.breast_cancer(3, quiet)
    assert torch.equal(torch.rand(3), expected)
    again, other = tasks.breast_cancer(3, quiet), tasks.breast_cancer(4, quiet)
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
    measured = measure.measure(linear_task(weights, inputs), n_rows=2, n_removed=2, progress=quiet)
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


def test_a_method_no_better_than_the_plain_order_is_named():
    assert "not clearly beat" not in " ".join(conclusions.for_digits(made_up(0.0, STRONG))[0])
    weak = " ".join(conclusions.for_digits(made_up(0.0, WEAK))[0])
    assert "Integrated gradients does not clearly beat" in weak


def test_the_fall_of_the_output_is_the_measured_one():
    text = " ".join(conclusions.for_table(made_up(0.0, STRONG))[0])
    assert "without the 2 measurements" in text
    assert "falls by 8.02 on average, without 2 random ones by 1.50" in text


def test_the_most_correlated_features_are_named():
    measured = made_up(0.0, STRONG)
    inputs = torch.tensor([[1.0, 2.0, 0.0, 1.0], [2.0, 4.0, 1.0, 0.0], [3.0, 6.1, 0.0, 5.0]])
    measured.task = dataclasses.replace(measured.task, inputs=inputs)
    text = " ".join(conclusions.for_table(measured)[1])
    assert "“f0” and “f1” rise and fall together" in text


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
