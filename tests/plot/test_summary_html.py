import re
import sys

import pytest
import torch
from matplotlib import pyplot as plt

from pyxai import plot
from pyxai.explanation import Explanation


def test_features_are_bars_with_their_facts():
    values = torch.tensor([[1.0, -4.0, 2.0]])
    given = Explanation(values, values, method="deep_lift", feature_names=["a", "<b>", "c"])
    page = given._repr_html_()
    assert type(page) is str
    assert "Explanation by deep lift" in page
    rows = re.findall(r"<td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td>.*?width:([\d.]+)em", page)
    assert rows == [("&lt;b&gt;", "-4", "10.00"), ("c", "+2", "5.00"), ("a", "+1", "2.50")]
    assert "<b>b" not in page
    assert "float32 [1, 3] on cpu" in page
    several = Explanation(values.expand(2, 3), values.expand(2, 3))._repr_html_()
    assert "mean |attribution| over 2 examples" in several
    assert ">4<" in several
    assert Explanation(values[:0], values[:0])._repr_html_()


def test_words_are_coloured():
    values = torch.tensor([[1.0, -1.0]] * 5)
    words = [[f"w{row}", "x"] for row in range(5)]
    page = Explanation(values, values, feature_names=words)._repr_html_()
    assert page.count("<figure") == 3
    assert ">w2<" in page
    assert ">w3<" not in page
    assert "and 2 more" in page
    one = Explanation(values, values, feature_names=words)[4]
    assert ">w4<" in one._repr_html_()


def test_images_are_drawn_without_a_figure_of_pyplots():
    values = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    given = Explanation(values, values, method="saliency")
    plt.close("all")
    assert "data:image/png;base64" in given._repr_html_()
    assert not plt.get_fignums()


def test_images_are_listed_where_matplotlib_is_missing(monkeypatch):
    values = torch.ones(2, 3, 4, 4)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "feature [0, 0, 0]" in Explanation(values, values)._repr_html_()
    assert "matplotlib" in sys.modules  # of this process; what is asked is the finder


@pytest.mark.parametrize(
    "form",
    [
        lambda v: Explanation((v, v), (v, v)),
        lambda v: Explanation(v, v, options={"layer": "fc"}),
        lambda v: Explanation(v[:, :, None].expand(2, 4, 3), v[:, :3], outputs=torch.ones(2, 4)),
        lambda v: Explanation(v, torch.ones(2, 3), options={"layer": "fc"}),
        lambda v: Explanation(v * float("nan"), v),
        lambda v: Explanation(v * 0, v),
        lambda v: Explanation(v, v, method="xrai"),
    ],
)
def test_every_form_has_a_page(form):
    page = form(torch.rand(2, 4))._repr_html_()
    assert page.startswith("<div")
    assert page.count("<div") == page.count("</div>")


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="explanation must be an explanation, got 3"):
        plot.summary_html(3)
