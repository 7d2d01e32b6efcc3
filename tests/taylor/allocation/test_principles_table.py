"""The table of methods and principles: its marks, how it prints, how it is drawn."""

from __future__ import annotations

import matplotlib
import pytest
from closed_forms import CASES

from pyxai import plot
from pyxai.attribution import (
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
)
from pyxai.taylor import (
    attribution_from_effects,
    harsanyi_dividends,
    principles_table,
)


def shapley(net):
    return lambda x: attribution_from_effects("shapley_value", harsanyi_dividends(net, x))


def test_table_marks_print_and_plot(tmp_path):
    matplotlib.use("Agg")
    case = CASES["T3"]
    table = principles_table(
        {
            "IntegratedGradients": IntegratedGradients,
            "FeatureAblation": FeatureAblation,
            "InputXGradient": InputXGradient,
            "shapley": shapley(case.net()),
        },
        case.net(),
        case.inputs(),
        tests=("A", "B", "C"),
    )
    marks = {row.name: row.marks() for row in table.rows}
    assert marks == {
        "IntegratedGradients": (True, True, True),
        "FeatureAblation": (True, True, False),
        "InputXGradient": (False, True, False),
        "shapley": (True, True, True),
    }
    assert table["shapley"].neuron is None
    text = str(table)
    assert "P2 no unrelated allocation" in text
    assert len(text.splitlines()) == 8
    values = table.to_dict()["FeatureAblation"]
    assert values["P3"] is False
    assert values["c"] == pytest.approx((18 + 6 + 2 * 12) / 46)
    assert "epsilon" in values
    with pytest.raises(KeyError, match="there are"):
        table["nothing"]
    axes = plot.principles(table, title="T3")
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == list(marks)
    axes.figure.savefig(tmp_path / "principles.png")
    with pytest.raises(TypeError, match="table must be a PrinciplesTable"):
        plot.principles({})
