"""The demonstration's section about columns, on a table whose answers are known."""

import dataclasses

import pytest
import torch
from torch import nn

from pyxai.demo.sections import columns
from pyxai.demo.tasks import Task
from pyxai.report import Report
from pyxai.selection import SelectionCurve


@pytest.fixture(scope="module")
def measured():
    """Ten columns of which the model reads two, the third more than the first."""
    x = torch.randn(150, 10, generator=torch.Generator().manual_seed(0))
    x = x - x[:100].mean(0)
    with torch.random.fork_rng():
        model = nn.Linear(10, 2).requires_grad_(False)
    model.bias.zero_()
    model.weight.zero_()
    model.weight[1, 0], model.weight[1, 2] = 2.0, 6.0
    labels = model(x).argmax(1)
    task = Task(
        name="rows",
        model=model,
        inputs=x[100:],
        labels=labels[100:],
        class_names=("no", "yes"),
        feature_names=tuple(f"column {i}" for i in range(10)),
        baseline_words="the mean",
        accuracy=1.0,
        n_train=100,
        train=(x[:100], labels[:100]),
    )
    return columns.measure_columns(task)


def test_the_columns_that_are_read_come_first(measured):
    assert set(measured.orders) == {"Greedy PIG", *columns.ORDERS, columns.OF_LOGIT}
    for order in measured.orders.values():
        assert order[:2].tolist() == [2, 0]
        assert order.sort().values.tolist() == list(range(10))
    assert list(measured.known) == [*measured.orders, "Random"] == list(measured.unseen)
    loss = measured.known["Greedy PIG"].values
    torch.testing.assert_close(loss[2:], loss[2].expand(9))
    assert loss[0] > loss[1] > loss[2]
    assert measured.n_enough == 2
    assert measured.known["Random"].mean > measured.known["Greedy PIG"].mean
    assert [row[:2] for row in columns._rows(measured)[:2]] == [
        (1, "column 2"),
        (2, "column 0"),
    ]


def test_enough_is_from_where_on_the_accuracy_stays(measured):
    sizes = torch.arange(5)
    for values, enough in (
        ([0.5, 0.9, 0.6, 0.88, 0.9], 3),
        ([0.9, 0.9, 0.9, 0.9, 0.9], 0),
        ([0.5, 0.5, 0.5, 0.5, 0.9], 4),
    ):
        hits = SelectionCurve(sizes, torch.tensor(values).double(), "accuracy")
        assert dataclasses.replace(measured, hits=hits).n_enough == enough


def test_the_section_says_what_was_measured(measured):
    can, cannot = columns.conclusions(measured)
    assert "With the first 2 of 10" in can[0]
    assert "(Greedy PIG)" in can[1]
    assert "(Random)" in cannot[0]
    for text in (can[1], cannot[0]):
        assert "(Mean |IG| of the loss)" in text  # there are two, and they rank otherwise
        assert "(Mean |IG| of the logit)" in text
    report = Report("title", "lead", "foot")
    columns.section(report.section("more"), measured)
    text = report.to_html()
    assert "How few measurements it needs: 2 of 10" in text
    assert "column 2" in text


def test_integrals_of_the_loss_and_of_the_logit_are_told_apart():
    # The first column decides; the second moves both logits, which leaves the loss as it is.
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))
    with torch.random.fork_rng():
        model = nn.Linear(2, 2).requires_grad_(False)
    model.bias.zero_()
    model.weight.copy_(torch.tensor([[-1.0, 9.0], [1.0, 9.0]]))
    labels = model(x).argmax(1)
    names = ("decides", "moves both")
    task = Task("rows", model, x, labels, ("no", "yes"), names, "0", 1.0, 60, train=(x, labels))
    found = columns.measure_columns(task)
    assert found.orders["Mean |IG| of the loss"].tolist() == [0, 1]
    assert found.orders[columns.OF_LOGIT].tolist() == [1, 0]
