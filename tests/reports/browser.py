"""A real browser for the report's page: the system's Chromium, driven by playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NEEDS = "needs Chromium (package chromium) and playwright"

NAMES = ("chromium", "chromium-browser", "google-chrome")

SORTED = """
| backbone | top1<br>percent | time | FLOPs | bytes | shown |
| :--- | ---: | ---: | ---: | ---: | :--- |
| b10 | 9.5 ± 0.1<br>+1.2 [0.3, 2.1] | 3 min, 812 MB | 2.1e+15 | 1,234 | ahead |
| b9 | −1.5<br>−12.0 [−14.0, −9.0] | 12.3 s, 812 MB | 9e+14 | 999 | — |
| lost | — | — | unknown | 5 | behind |
| c | [67.5](results/c.json) | 1.2 h, 812 MB | 3e+15 | n/a | ahead |
| broken | failed | 90 s | n/a | 20 | no difference |
"""

ORDERS = {
    "backbone": ("b9 b10 broken c lost", "lost c broken b10 b9"),
    "top1": ("b9 b10 c lost broken", "c b10 b9 lost broken"),
    "time": ("b9 broken b10 c lost", "c b10 broken b9 lost"),
    "FLOPs": ("b9 b10 c lost broken", "c b10 b9 lost broken"),
    "bytes": ("lost broken b9 b10 c", "b10 b9 broken lost c"),
    "shown": ("b10 c lost broken b9", "broken lost b10 c b9"),
}
"""The rows of that table, ascending and descending by each column."""

WIDE = "\n".join("|" + cell * 24 for cell in (" a heading |", " ---: |", " **63.6** ± 1.27 |"))

REPORT = (
    """# A report

| this report |  |
| :--- | :--- |
| preset | demo |
| command | `python -m hsa_bench.run` |

## Results

Text with a [link](results.csv), `code/with/a/path`, and [one elsewhere](https://example.org/a).

![The picture](figures/x.png)

*What it shows.*
"""
    + f"{SORTED}\n{WIDE}\n"
    + """
## All differences

See [the fold](#inside-the-fold).

<details>
<summary>One row each</summary>

### Inside the fold

Folded **text**.

</details>
"""
)

# Alone on the machine, without a word to anybody.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

CONTRAST = """
(selector) => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const [, , , alpha] = channels(getComputedStyle(e).backgroundColor);
      if (alpha !== 0) return getComputedStyle(e).backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll(selector)].map((element) => {
    const pair = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  });
}
"""
"""Contrast of text and ground, 1 to 21, of every element that a selector finds (WCAG 2, section 1.4.3)."""


TEXTS = (
    "h2", "p", "main a", "nav a", "td", "th button", "small", "figcaption", "code", "main summary", ".theme",
)  # fmt: skip
"""Selectors of everything that is read."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        program = None
    if program is None:
        pytest.skip(NEEDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """A page; in the end, there must have been no error, no warning, and no request off this machine."""
    tab = browser.new_page()
    troubles: list[str] = []
    tab.on("console", lambda m: troubles.append(m.text) if m.type in {"error", "warning"} else None)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("requestfailed", lambda request: troubles.append(f"failed: {request.url[:80]}"))
    tab.on("request", lambda request: troubles.append(request.url) if _leaves(request.url) else None)
    tab.goto(address)
    try:
        yield tab
    finally:
        tab.close()
    assert not troubles


def _leaves(address: str) -> bool:
    return not address.startswith(("file:", "data:"))


def rows(tab: Page) -> str:
    """First cells of the tables that sort, from top to bottom."""
    return " ".join(tab.locator("table:has(button) tbody td:first-child").all_inner_texts())


def ground(tab: Page) -> str:
    """Colour behind the page."""
    return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
