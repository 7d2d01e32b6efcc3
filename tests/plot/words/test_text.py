import html
import re
from dataclasses import replace
from pathlib import Path

import jinja2
import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pyxai import plot
from pyxai.explanation import Explanation
from pyxai.plot.colours import contrast, ink, shade
from pyxai.plot.words.passage import read_passage

WORDS = ["The", "film", "is", "not", "good", "."]
VALUES = [0.01, 0.2, 0.0, -2.0, 1.0, float("nan")]


def passage(**fields):
    values = torch.tensor([[0.0] * 6, [*VALUES[:5], 0.0]])
    given = {"method": "deep_lift", "feature_names": WORDS, **fields}
    return Explanation(values, values, **given)


def boxes(ax):
    """Return left, bottom, right and top of each coloured box, in the order drawn."""
    return [patch.get_bbox().extents for patch in ax.patches]


def shown(ax):
    return [text.get_text() for text in ax.texts]


def marked(page):
    """Return text, title and style of each word of a page, the legend left out."""
    words = re.findall(r'<span title="([^"]*)"([^>]*)>([^<]*)</span>', page)
    return [(html.unescape(text), title, style) for title, style, text in words]


def test_words_stand_in_order_with_the_colours_of_the_scale():
    ax = plot.text((WORDS, VALUES), legend=False, title="mine")
    assert shown(ax) == WORDS
    assert ax.get_title(loc="left") == "mine"
    expected = [shade(share) for share in (0.1, -1.0, 0.5)]  # the others are too small to be seen
    assert [to_rgb(patch.get_facecolor()) for patch in ax.patches] == pytest.approx(
        [pytest.approx(colour) for colour in expected]
    )
    inks = {text.get_text(): text.get_color() for text in ax.texts}
    assert (inks["not"], inks["good"]) == ("#ffffff", "#000000")
    scale = mpl.colormaps["RdBu_r"]
    for share in (-0.5, -0.2, 0.0, 0.2, 0.5):  # the colours of the heatmaps, but for the darkest
        assert np.abs(np.subtract(shade(share), scale(0.5 + 0.4 * share)[:3])).max() < 0.02


def test_signs_are_lines_above_and_below():
    ax = plot.text((WORDS, VALUES), legend=False)
    (below, above, other), (film, neither, good) = ax.lines, boxes(ax)
    for line, box in ((below, film), (other, good)):
        assert line.get_linestyle() == "-"
        assert box[1] < line.get_ydata()[0] < (box[1] + box[3]) / 2
    assert above.get_linestyle() == "--"
    assert (neither[1] + neither[3]) / 2 < above.get_ydata()[0] < neither[3]
    assert list(above.get_xdata()) == pytest.approx([neither[0], neither[2]])
    for _, title, style in marked(plot.text_html((WORDS, VALUES))):
        assert ("border-bottom" in style) == (title in ("+0.2", "+1"))
        assert ("border-top" in style) == (title == "-2")


@pytest.mark.parametrize("form", ["picture", "page"])
@pytest.mark.parametrize("steps", [40])
def test_letters_can_be_read_on_every_colour(form, steps):
    shares = np.linspace(-1, 1, steps + 1)
    words = [f"w{at}" for at in range(len(shares))]
    if form == "picture":
        ax = plot.text((words, shares), legend=False)
        backs = [patch.get_facecolor() for patch in ax.patches]
        fronts = [text.get_color() for text in ax.texts if text.get_color().startswith("#")]
        pairs = list(zip(backs, fronts, strict=True))
    else:
        page = plot.text_html((words, shares))
        pairs = re.findall(r"background:(#\w+);color:(#\w+)", page)
    assert len(pairs) >= steps - 3
    assert min(contrast(to_rgb(back), to_rgb(front)) for back, front in pairs) >= 4.5


def test_contrast_is_that_of_wcag():
    # Worked examples of the definition: black on white 21, #777 on white just below 4.5.
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast(to_rgb("#777777"), (1, 1, 1)) == pytest.approx(4.478, abs=1e-3)
    assert contrast(to_rgb("#ff0000"), (1, 1, 1)) == pytest.approx(3.998, abs=1e-3)
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)] * 3), -1).reshape(-1, 3)
    assert min(contrast(colour, to_rgb(ink(colour))) for colour in grid) >= 4.5


@pytest.mark.parametrize("width", [3.0, 6.0])
def test_lines_break_within_the_axes_and_nothing_overlaps(width):
    words = [f"word{at}" * (1 + at % 3) for at in range(30)]
    figure = Figure(figsize=(width, 6))
    ax = plot.text((words, [1.0, -1.0] * 15), ax=figure.subplots())
    figure.draw_without_rendering()
    left, right, bottom, top = *ax.get_xlim(), *ax.get_ylim()
    found = np.array([text.get_window_extent().extents for text in ax.texts])
    frame = ax.get_window_extent().extents
    assert (found[:, :2] >= frame[:2] - 1.5).all()
    assert (found[:, 2:] <= frame[2:] + 1.5).all()
    for at, one in enumerate(found):
        for other in found[:at]:
            apart = (one[:2] >= other[2:] - 0.5) | (other[:2] >= one[2:] - 0.5)
            assert apart.any()
    assert 72 * figure.get_figwidth() == pytest.approx(right - left, abs=12)
    assert bottom < top == 0
    assert len({round(y) for y in found[:, 1]}) > (8 if width == 3.0 else 3)


def test_parts_of_figures_hold_texts_and_matrices():
    figure = Figure(figsize=(8, 3))
    left, right = figure.subfigures(1, 2)
    ax = plot.text((["word"] * 30, [1.0] * 30), ax=left.subplots(), legend=False)
    assert ax.get_xlim()[1] == pytest.approx(4 * 72, abs=12)
    assert plot.token_matrix(torch.ones(2, 3), ax=right.subplots()).texts


def test_letters_shrink_where_there_is_little_room():
    figure = Figure(figsize=(3, 1))
    ax = plot.text((["word"] * 40, [1.0] * 40), ax=figure.subplots(), legend=False)
    sizes = {text.get_fontsize() for text in ax.texts}
    assert len(sizes) == 1
    assert sizes.pop() < 12
    assert min(text.get_position()[1] for text in ax.texts) > ax.get_ylim()[0]


def test_a_new_figure_is_as_high_as_the_text():
    low = plot.text((["word"], [1.0])).figure.get_figheight()
    high = plot.text((["word"] * 200, [1.0] * 200))
    assert high.figure.get_figheight() > 3 * low
    assert {text.get_fontsize() for text in high.texts} == {12.0, 8.5}


def test_the_legend_says_what_colours_mean_and_what_adds_up():
    given = passage(outputs=torch.tensor([0.0, 1.0]), convergence_delta=torch.tensor([0.0, 0.05]))
    ax = plot.text(given, example=1)
    facts = "base value 1.84, attributions -0.79, missing -0.05, output 1"
    assert shown(ax)[6:] == ["for the output, up to +2", "against it, down to -2", facts]
    page = plot.text_html(given, example=1)
    assert facts in page
    assert "up to +2" in page
    assert "<b>deep lift</b>" in page
    complete = passage(outputs=torch.ones(2), convergence_delta=torch.zeros(2))
    assert "missing" not in plot.text_html(complete, example=1)
    assert "base value 1.79, attributions -0.79, output 1" in plot.text_html(complete, example=1)
    assert "output 1<" in plot.text_html(passage(outputs=torch.ones(2)), example=1)
    assert "output" not in plot.text_html(passage(), example=1, legend=False)


def test_sizes_have_no_sign():
    sizes = Explanation(torch.tensor([[1.0, 2.0]]), torch.ones(1, 2), method="saliency")
    page = plot.text_html(sizes, words=["a", "b"], limit=4.0)
    assert "border" not in page
    assert "against" not in page
    assert [each[:2] for each in marked(page)] == [("a", "1"), ("b", "2")]
    ax = plot.text(sizes, words=["a", "b"])
    assert not ax.lines
    assert shown(ax) == ["a", "b", "attribution, up to 2"]


def test_pages_are_escaped_and_taken_by_templates():
    words = ["<script>alert(1)</script>", 'a "quoted" & word', "fine"]
    page = plot.text_html((words, [1.0, -1.0, 0.5]), title="<i>")
    assert "<script" not in page
    assert "<i>" not in page
    assert [word for word, *_ in marked(page)] == words
    template = jinja2.Environment(autoescape=True).from_string("<p>{{ page }}</p>")
    assert template.render(page=page) == f"<p>{page}</p>"
    assert page._repr_html_() == page == page.__html__()
    assert type(page._repr_html_()) is str
    assert isinstance(page, str)
    assert "http" not in page  # nothing is loaded from anywhere


def test_words_of_a_group_are_one():
    words = ["un", "believ", "able", "film", "un", "do"]
    page = plot.text_html((words, [0.25, 0.5, 0.25, -2.0, 0.5, 0.25]), groups=[7, 7, 7, 3, 9, 9])
    assert [each[:2] for each in marked(page)] == [
        ("unbelievable", "+1"),
        ("film", "-2"),
        ("undo", "+0.75"),
    ]
    mask = torch.tensor([[0, 0, 1, 1, 0, 2]])
    values = torch.tensor([[1.0, 1.0, -2.0, -2.0, 1.0, 0.5]])
    options = {"feature_mask": mask}
    given = Explanation(values, values, feature_names=list("abcdef"), options=options)
    assert [each[:2] for each in marked(plot.text_html(given))] == [
        ("a b", "+1"),
        ("c d", "-2"),
        ("e", "+1"),
        ("f", "+0.5"),
    ]
    named = Explanation(values, values, feature_names=list("xyz"), options=options)
    assert [each[0] for each in marked(plot.text_html(named))] == ["x", "y", "x", "z"]


@pytest.mark.parametrize("mask", [torch.tensor([[0], [0], [1]]), torch.tensor([[0, 1, 0, 2]])])
def test_groups_of_the_numbers_of_an_embedding_count_once(mask):
    values = torch.arange(1.0, 13, dtype=torch.float64).view(1, 3, 4)
    found = Explanation(values, values, method="by_hand").grouped(mask)
    before = found.attributions.clone()
    ax = plot.text(found, words=["un", "real", "city"], legend=False)
    sums = [[10 + 26, 42], [15 + 18 + 21 + 24] * 3][len(mask) == 1]  # words; and all of each number
    shown = read_passage(found, ["un", "real", "city"], 0, None, None, None, None)
    assert [piece.value for piece in shown.pieces] == sums
    assert len(boxes(ax)) == len(sums)
    assert torch.equal(found.attributions, before)


def test_embeddings_are_added_up():
    values = torch.tensor([[[1.0, 2.0], [-1.0, 0.5], [0.25, 0.25]]])
    ids = torch.tensor([[3, 4, 5]])
    given = Explanation(values, ids, options={"layer": "embedding"})
    page = plot.text_html(given, words=["a", "b", "c"])
    assert [each[:2] for each in marked(page)] == [("a", "+3"), ("b", "-0.5"), ("c", "+0.5")]


def test_words_that_bring_spaces_and_line_breaks():
    page = plot.text_html((["A", " b", " c,\n", "d"], [1.0, 1.0, 1.0, 1.0]), legend=False)
    inside = re.sub("<[^>]+>", "", page)
    assert inside == "A b c,\nd"
    ax = plot.text((["A", " b", " c,\n", "d"], [1.0, 1.0, 1.0, 1.0]), legend=False)
    heights = [text.get_position()[1] for text in ax.texts]
    assert [text.get_text().strip() for text in ax.texts] == ["A", "b", "c,", "d"]
    assert heights[0] == heights[1] == heights[2] > heights[3]


def test_names_of_each_example_make_a_text():
    values = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    given = Explanation(values, values, feature_names=[["a", "b"], ["c", "d"]])
    assert [each[:2] for each in marked(plot.text_html(given, example=1))] == [
        ("c", "+3"),
        ("d", "-4"),
    ]
    assert given.plot("text", example=1).texts[0].get_text() == "c"


def test_dollars_and_long_words_are_drawn():
    ax = plot.text((["$x_{$", "y" * 400], [1.0, -1.0]), legend=False)
    ax.figure.canvas.draw()
    assert shown(ax)[0] == "$x_{$"
    assert "".join(shown(ax)[1:]) == "y" * 400


def test_what_does_not_fit_is_named():
    values = torch.zeros(1, 2)
    for call, error, message in (
        (lambda: plot.text(torch.zeros(2)), ValueError, "words must be given beside a tensor"),
        (
            lambda: plot.text(Explanation(values, values)),
            ValueError,
            "words must be given where the explanation has no feature_names, got None",
        ),
        (
            lambda: plot.text((["a"], torch.zeros(2))),
            ValueError,
            r"explanation must have one value for each of 1 words, got shape \[2\]",
        ),
        (
            lambda: plot.text(Explanation(values, values), words=["a"]),
            ValueError,
            r"words must be as many as the attributions of an example, of shape \[2\], got 1",
        ),
        (lambda: plot.text("a"), TypeError, "explanation must be .* got 'a'"),
        (lambda: plot.text((["a"], ["b"])), TypeError, "explanation must be .* a list of 1 item"),
        (lambda: plot.text((["a"], "b")), TypeError, "explanation must be .* got 'b'"),
        (lambda: plot.text(("a b", [1.0])), TypeError, "words must be a sequence of names"),
        (lambda: plot.text((["a"], [1.0]), limit=0), ValueError, "limit must be positive, got 0"),
        (lambda: plot.text((["a"], [1.0]), legend="no"), TypeError, "legend must be True or False"),
        (
            lambda: plot.text_html((["a"], [1.0]), separator=3),
            TypeError,
            "separator must be a string, got 3",
        ),
        (
            lambda: plot.text_html((["a"], [1.0]), groups=[0, 1]),
            ValueError,
            r"groups must be one integer for each of 1 words, got int64 of shape \[2\]",
        ),
        (lambda: plot.text(passage(), example=2), ValueError, "example must be below 2, got 2"),
        (
            lambda: plot.text(passage(outputs=torch.zeros(2, 3))),
            ValueError,
            "explanation must be of one output to be drawn so, got one of 3",
        ),
    ):
        with pytest.raises(error, match=message):
            call()


def test_pages_need_no_matplotlib():
    source = Path(plot.__file__).with_name("words") / "text_html.py"
    assert "matplotlib" not in source.read_text().replace("Needs neither matplotlib", "")


def placed(text, spans, values, **options):
    values = torch.tensor([values])
    told = {"text": text, "spans": spans, **options}
    names = [[text[start:end] or "-" for start, end in spans]]
    return Explanation(values, torch.ones(1, len(spans)), options=told, feature_names=names)


def read(explanation, **options):
    passage = read_passage(explanation, None, 0, None, None, options.get("separator"), None)
    return [(piece.text, piece.value) for piece in passage.pieces], passage.separator


def test_a_text_that_is_known_is_shown_as_it_was_written():
    found = placed("So: good,\n bad!", [(4, 8), (8, 9), (11, 14)], [1.0, -0.5, 0.25])
    assert read(found) == (
        [("So: ", None), ("good", 1.0), (",", -0.5), ("\n ", None), ("bad", 0.25), ("!", None)],
        "",
    )
    assert read(found, separator="|") == ([("good", 1.0), (",", -0.5), ("bad", 0.25)], "|")
    page = plot.text_html(found, legend=False, title="")
    assert page.count("title=") == 3
    assert "So: <span" in page
    assert page.index("</span>\n <span") > 0
    assert plot.text(found).texts


def test_units_of_one_place_are_one_piece():
    found = placed("a🙂 b", [(0, 0), (0, 1), (1, 2), (1, 2), (3, 4)], [0.5, 1.0, 2.0, 3.0, 4.0])
    assert read(found)[0] == [("a", 1.5), ("🙂", 5.0), (" ", None), ("b", 4.0)]


def test_places_that_do_not_fit_the_values_are_not_used():
    found = placed("a b", [(0, 1), (2, 3)], [1.0, 2.0])
    for options in ({"text": 3}, {"spans": [(0, 1)]}, {"spans": None}):
        other = replace(found, options={**found.options, **options})
        assert read(other) == ([("a", 1.0), ("b", 2.0)], " ")
