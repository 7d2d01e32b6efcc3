"""Pages in a browser: whole on a phone and on a screen, sorted and narrowed by clicks."""

from __future__ import annotations

import pytest
import torch
from audit_cases import make_net, make_rows
from browser import FAULTS, browser, opened
from matplotlib import pyplot
from playwright.sync_api import expect
from small_audits import digits_audit

import pyxai
from pyxai.cli.page import page as page_of
from pyxai.report import Report, of_audit
from pyxai.report.records import Column, records

NUMBERS = [10.0, 9.0, None, 100.0, -1.0, 2e-7, float("inf"), 0.5, None, 1.0]


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


def wide():
    report = Report("Everything that is wide", "a lead " * 20)
    section = report.section("Figures and tables", "with a lead")
    section.figure(lambda: pyplot.figure(figsize=(12, 1)), alt="wide", least_width=900)
    section.figure(
        lambda: pyplot.figure(figsize=(12, 1)),
        alt="in two forms",
        least_width=900,
        narrow=lambda: pyplot.figure(figsize=(3.5, 1)),
    )
    section.table([f"column {n}" for n in range(30)], [range(30)], caption="c " * 60)
    section.text("w" * 200).conclusions(["x" * 90], ["y"])
    section.fold("Folded").fold("Deeper").table(("name",), [("v" * 120,)])
    rows = [(value, "one" if at % 2 else "two", f"t{at}") for at, value in enumerate(NUMBERS)]
    columns = [Column("n", "number"), Column("which", "choice"), Column("text", "text")]
    section.html(records(columns, rows, "elsewhere"))
    return report


def explained():
    net = make_net()
    names = [f"a long name of feature {n}" for n in range(6)]
    made = pyxai.explain(
        net, make_rows(3), method="integrated_gradients", target=1, feature_names=names
    )
    return page_of(made)


def pictured():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)).eval()
    return page_of(pyxai.explain(net, torch.rand(1, 1, 8, 8), method="input_x_gradient", target=1))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    audit, data = digits_audit(folder / "audit")
    made = {"wide": wide(), "row": explained(), "map": pictured(), "audit": of_audit(audit, data)}
    return {name: report.write(folder / f"{name}.html") for name, report in made.items()}


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", ["wide", "row", "map", "audit"])
def test_pages_are_whole_on_a_phone_and_on_a_screen(context, pages, name, width):
    with opened(context, pages[name], width) as page:
        assert page.evaluate(FAULTS) == []
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        page.wait_for_timeout(50)  # what is unfolded is measured by an observer
        assert page.evaluate(FAULTS) == []


def test_a_phone_gets_the_narrow_form_and_scrolls_what_has_none(context, pages):
    drawn = "[...document.querySelectorAll('figure img')].slice(0, 2).map((i) => i.clientWidth)"
    with opened(context, pages["wide"], 400) as page:
        assert page.evaluate(drawn)[0] == 900
        assert 250 < page.evaluate(drawn)[1] <= 400
        pan = page.locator(".pan").first
        pan.evaluate("(pan) => pan.scrollTo(10000, 0)")
        # not by wait_for_function: the page's policy forbids the script that it polls with
        expect(page.locator(".wide").first).to_contain_class("end")


def column(page, place):
    cells = page.locator(f".records tbody td:nth-child({place})")
    return cells.all_text_contents()


def test_heads_sort_numbers_as_numbers_and_empty_cells_come_last(context, pages):
    up = ["-1", "2.00e-7", "0.500", "1", "9", "10", "100", "Infinity", "", ""]
    with opened(context, pages["wide"]) as page:
        head = page.get_by_role("button", name="n", exact=True)
        head.click()
        assert column(page, 1) == up
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
        head.press("Enter")
        assert column(page, 1) == [*up[7::-1], "", ""]
        page.get_by_role("button", name="which").click()
        assert column(page, 2) == ["one"] * 5 + ["two"] * 5


def test_rows_are_narrowed_by_choices_and_by_words(context, pages):
    with opened(context, pages["wide"]) as page:
        page.get_by_label("which").select_option("two")
        assert column(page, 3) == ["t0", "t2", "t4", "t6", "t8"]
        page.get_by_label("find").fill("T6")
        assert column(page, 3) == ["t6"]
        assert "1 of 1 rows" in page.locator(".records .note").text_content()
        page.get_by_label("which").select_option("all")
        page.get_by_label("find").fill("")
        assert len(column(page, 3)) == 10


def test_folds_open_by_click_and_by_key_and_on_paper(context, pages):
    with opened(context, pages["wide"]) as page:
        fold = page.locator("details").first
        is_open = "(fold) => fold.open"
        page.get_by_text("Folded").click()
        assert fold.evaluate(is_open)
        page.get_by_text("Folded").press("Enter")
        assert not fold.evaluate(is_open)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details[open]").count() == 2
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0


def test_rows_of_an_audit_are_shown_a_page_at_a_time(context, pages):
    with opened(context, pages["audit"]) as page:
        assert len(column(page, 1)) == 25
        page.get_by_role("button", name="Show").click()
        assert len(column(page, 1)) == 36
        page.locator("select").first.select_option("saliency")
        assert column(page, 2) == ["saliency"] * 12
        page.get_by_label("find").fill("finite")
        assert column(page, 1) == ["5"]
