"""Pages of reports in a headless browser: what it says, and what is wrong with what it shows."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Text below 12 px, elements beyond the right edge that nothing scrolls, pictures without words.
FAULTS = """() => {
  const faults = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const owner = node.parentElement;
    const text = node.textContent.trim();
    if (!text || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(owner.tagName)) continue;
    const size = parseFloat(getComputedStyle(owner).fontSize);
    if (size < 12) faults.push(`${size} px: ${text}`);
  }
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push("the page is wider than the screen");
  document.querySelectorAll("img").forEach((image) => {
    if (!image.alt.trim()) faults.push("a picture without words");
  });
  document.querySelectorAll(".pan").forEach((pan) => {
    if (!pan.clientWidth) return;
    const cut = pan.scrollWidth > pan.clientWidth + 1;
    const hint = getComputedStyle(pan.parentElement.querySelector(".hint")).display !== "none";
    if (cut !== hint) faults.push(`cut ${cut}, hint ${hint}: ${pan.textContent.slice(0, 60)}`);
  });
  return faults;
}"""


@contextmanager
def browser(folder):
    """Give a browser whose files are in ``folder``; without one the test fails."""
    if os.environ.get("PYXAI_SKIP_BROWSER") == "1":
        pytest.skip("PYXAI_SKIP_BROWSER is set")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(
            "reports are tested in a browser: apt-get install chromium, or set PYXAI_SKIP_BROWSER=1"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=found, headless=True, args=[*FLAGS]
        )
        context.set_default_timeout(10_000)
        yield context
        context.close()


@contextmanager
def opened(context, path, width=1400):
    """Open a page; in the end nothing was said on the console and nothing left the page."""
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"file://{path}")
    yield page
    page.close()
    assert said == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert [url for url in asked if url.startswith("file")] == [f"file://{path}"]
