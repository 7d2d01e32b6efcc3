"""Reports: standalone, escaped, readable; numbers written as people write them."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from html_reader import Reader
from markupsafe import Markup
from matplotlib import pyplot

from pyxai.report import Bar, Report, Signed, format_number, format_seconds


def example() -> Report:
    report = Report("A <b>title</b>", "lead & more", "facts")
    section = report.section('One "section" & <more>')
    section.text("1 < 2", "<script>alert(1)</script>").heading("A <i>heading</i>")
    section.table(
        ("name", "value <x>"),
        [("<img src=x>", 1234.5678), ("b", None), ("c", Bar("<3", 0.5))],
        caption="<caption>",
    )
    section.conclusions(["<can>"], ["<cannot>"])
    return report


def test_text_from_outside_is_shown_and_not_interpreted():
    reader = Reader(example().to_html())
    names = {tag for tag, _ in reader.tags}
    assert not names & {"b", "i", "can", "cannot", "more", "img", "x"}
    assert sum(tag == "script" for tag, _ in reader.tags) == 1  # the page's own
    for text in ("<script>alert(1)</script>", "<img src=x>", "<can>", "<caption>", "<3", "1 < 2"):
        assert text in reader.words


def test_nothing_is_loaded_from_outside():
    report = example()
    report.section("Picture").figure(lambda: pyplot.figure(figsize=(1, 1)), alt='a "<picture>"')
    page = report.to_html()
    addresses = Reader(page).addresses()
    assert addresses
    for address in addresses:
        assert address.startswith(("#", "data:image/png;base64,"))
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|https?:", page)


def test_a_figure_is_drawn_for_light_and_for_dark_screens_and_closed():
    inks = []

    def draw():
        inks.append(pyplot.rcParams["text.color"])
        figure = pyplot.figure(figsize=(2, 1))
        figure.text(0.1, 0.1, "words")
        return figure

    before = pyplot.get_fignums(), pyplot.rcParams["text.color"]
    report = Report("t")
    report.section("s").figure(draw, alt="nothing", caption="c", least_width=300)
    assert (pyplot.get_fignums(), pyplot.rcParams["text.color"]) == before
    assert len(set(inks)) == 2
    tags = Reader(report.to_html()).tags
    (source,) = [attributes for tag, attributes in tags if tag == "source"]
    (image,) = [attributes for tag, attributes in tags if tag == "img"]
    assert source["media"] == "(prefers-color-scheme: dark)"
    assert source["srcset"] != image["src"]
    assert image["alt"] == "nothing"
    assert int(image["width"]) > 0


def test_more_than_four_sections_have_a_table_of_contents():
    report = Report("t")
    for title in ("What it sees", "Why? And how!", "3", "4"):
        report.section(title)
    assert not [tag for tag, _ in Reader(report.to_html()).tags if tag in ("a", "nav")]
    report.section("5", "its lead")
    reader = Reader(report.to_html())
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    ids = [attributes["id"] for tag, attributes in reader.tags if tag == "section"]
    assert (
        links
        == [f"#{name}" for name in ids]
        == ["#what-it-sees", "#why-and-how", *["#3", "#4", "#5"]]
    )
    assert "its lead" in reader.words


def test_folds_hold_any_blocks_and_are_closed():
    report = Report("t")
    fold = report.section("s").text("before").fold("the <others>", "what <they> are")
    fold.table(("a",), [(1,)]).fold("deeper").text("the end")
    reader = Reader(report.to_html())
    folds = [attributes for tag, attributes in reader.tags if tag == "details"]
    assert folds == [{}, {}]
    order = ["before", "the <others>", "what <they> are", "deeper", "the end"]
    places = [reader.words.index(text) for text in order]
    assert places == sorted(places)


def test_only_marked_markup_is_taken_as_it_is():
    section = Report("t").section("s").html(Markup('<p class="mine">as it is</p>'))
    assert '<p class="mine">as it is</p>' in section.blocks
    with pytest.raises(TypeError, match=r"markup must be a markupsafe\.Markup, got '<p>text"):
        section.html("<p>text</p>")


def test_the_page_lets_its_own_script_run_and_no_other():
    page = Report("t").to_html()
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_a_narrow_form_of_a_figure_is_for_phones_alone():
    report = Report("t")
    report.section("s").figure(
        lambda: pyplot.figure(figsize=(8, 1)), narrow=lambda: pyplot.figure(figsize=(2, 1)), alt="x"
    )
    sources = [attributes for tag, attributes in Reader(report.to_html()).tags if tag == "source"]
    assert [source["media"] for source in sources] == [
        "(max-width: 40rem) and (prefers-color-scheme: dark)",
        "(max-width: 40rem)",
        "(prefers-color-scheme: dark)",
    ]
    widths = [int(source["width"]) for source in sources]
    assert widths[0] == widths[1] < widths[2]


def test_a_row_of_the_wrong_length_is_named():
    with pytest.raises(ValueError, match="rows must have 2 cells each, got 3 in row 1"):
        Report("t").section("s").table(("a", "b"), [(1, 2), (1, 2, 3)])


@pytest.mark.parametrize(("share", "width"), [(-1.0, "0.0"), (0.25, "25.0"), (7.0, "100.0")])
def test_bars_stay_in_their_cell(share, width):
    report = Report("t")
    report.section("s").table(("a",), [(Bar("x", share),)])
    assert f'style="width:{width}%"' in report.to_html()


@pytest.mark.parametrize(
    ("share", "side", "width"),
    [
        (-2.0, "minus", "50.0"),
        (-0.25, "minus", "12.5"),
        (0.0, "plus", "0.0"),
        (0.5, "plus", "25.0"),
    ],
)
def test_signed_bars_go_to_their_side_of_the_middle(share, side, width):
    report = Report("t")
    report.section("s").table(("a",), [(Signed("x", share),)])
    assert f'class="{side}" style="width:{width}%"' in report.to_html()


def test_columns_of_numbers_are_aligned_right_and_others_left():
    report = Report("t")
    report.section("s").table(("word", "number"), [("a", 1), ("b", 2.5)])
    heads = [attributes for tag, attributes in Reader(report.to_html()).tags if tag == "th"]
    assert heads == [{"scope": "col"}, {"scope": "col", "class": "number"}]


def test_write_makes_the_folder(tmp_path):
    path = Report("Größe").write(tmp_path / "a" / "b.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "Größe" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1797, "1,797"),
        (1234.5678, "1,235"),
        (12.345, "12.3"),
        (0.03124, "0.0312"),
        (-0.5, "-0.500"),
        (2.1e-7, "2.10e-07"),
        (3e12, "3.00e+12"),
        (float("nan"), "not a number"),
        (float("-inf"), "-infinite"),
    ],
)
def test_numbers(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2e-5, "20 µs"), (0.0051, "5.1 ms"), (0.25, "250 ms"), (1.44, "1.4 s"), (125, "2 min 5 s")],
)
def test_durations(seconds, text):
    assert format_seconds(seconds) == text


def test_sections_have_names_of_their_own():
    report = Report("title")
    for title in ("数字", "数字", "!", "?", "Digits", "digits", "digits-2", "Ünïcode _x_"):
        report.section(title)
    page = report.to_html()
    ids = re.findall(r'<section id="([^"]*)"', page)
    assert ids == re.findall(r'<a href="#([^"]*)"', page)
    assert len(set(ids)) == len(ids) == 8
    assert all(each and not re.search(r"\s", each) for each in ids)
    assert ids[0] == "数字"
