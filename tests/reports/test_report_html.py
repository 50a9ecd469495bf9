"""The report as one HTML page: its structure, and how it behaves in a real browser."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from PIL import Image

from reports.writing.html import page
from reports.writing.table import plain
from tests.reports.browser import CONTRAST, ORDERS, REPORT, SORTED, TEXTS, chromium, ground, opened, rows

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NOWHERE = Path("no-such-folder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A report's folder with a picture of 160 x 80 pixels for print, at 192 pixels an inch."""
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (160, 80), "white").save(tmp_path / "figures" / "x.png", dpi=(192, 192))
    return tmp_path


def body(markdown: str, folder: Path = NOWHERE) -> str:
    return page(markdown, folder, "title").partition("<main>")[2]


def test_the_page_is_one_file_whose_policy_allows_its_own_style_and_script_alone(folder: Path) -> None:
    html = page(REPORT, folder, "R & <D>")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)

    assert policy is not None and policy[1].startswith("default-src 'none'; img-src data:;")
    for element in ("style", "script"):
        inside = re.findall(rf"<{element}>(.*?)</{element}>", html, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert len(inside) == 1 and f"{element}-src 'sha256-{digest}'" in policy[1]
    assert "<title>R &amp; &lt;D&gt;</title>" in html
    assert not re.search(r"""\s(style|on\w+)=|@import|url\(|\ssrc="(?!data:)|<link(?! rel="icon")""", html)
    assert html == page(REPORT, folder, "R & <D>")


def test_headings_get_the_ids_that_github_gives_them() -> None:
    html = body("# Où? `a_b`, -c\n\n## Tasks\n\n## Tasks\n\n## Tasks-1\n\n## &lt;x&gt; & *y*\n\n## ?\n")

    assert re.findall(r'id="([^"]*)"', html) == ["où-a_b--c", "tasks", "tasks-1", "tasks-1-1", "x--y", "-1"]


def test_the_contents_list_sections_and_fold_their_parts() -> None:
    html = page("# T\n\n## One\n\n## Two & `b`\n\n### a\n\n### b\n", NOWHERE, "T")
    beside = html.partition('<nav class="beside"')[2].partition("</nav>")[0]

    assert re.findall(r'href="#(\S+)">(.*?)</a>', beside) == [
        ("one", "One"), ("two--b", "Two &amp; b"), ("a", "a"), ("b", "b"),
    ]  # fmt: skip
    assert beside.count("<details>") == 1 and "<summary>2 parts</summary>" in beside
    assert '<details class="above">' in html
    assert "<nav" not in page("Only a line.", NOWHERE, "T")


def test_pictures_are_inside_with_their_size_text_and_caption(folder: Path) -> None:
    (folder / "a b.svg").write_text('<svg xmlns="s" viewBox="0 0 30.2 20"></svg>')
    Image.new("RGB", (30, 20)).save(folder / "p.jpg", dpi=(300, 300))
    pictures = ("![A **bold** <x>](figures/x.png)", "*The `caption`\nends.*", "![](a%20b.svg)", "![](p.jpg)")

    html = body("\n\n".join(pictures), folder)
    content = base64.b64encode((folder / "figures" / "x.png").read_bytes()).decode()
    assert f'<img src="data:image/png;base64,{content}" alt="A bold " width="80" height="40"' in html
    assert "<figcaption>The <code>caption</code>\nends.</figcaption>\n</figure>" in html
    assert re.findall(r"data:(image/[\w+]+);.*?(width.*?) decoding", html)[1:] == [
        (kind, 'width="30" height="20"') for kind in ("image/svg+xml", "image/jpeg")
    ]


@pytest.mark.parametrize("name", ["figures/lost.png", "https://example.org/x.png", "page.css", "text.png"])
def test_a_picture_that_is_not_there_is_named(name: str, folder: Path) -> None:
    (folder / "text.png").write_text("no picture")
    html = body(f"![Scores]({name})\n\n*Caption.*", folder)

    assert f"Scores: no such picture, <code>{name}</code>" in html and "<img" not in html


def test_only_italic_text_after_a_picture_is_a_caption(folder: Path) -> None:
    html = body("![](figures/x.png)\n\n*Some* text *here*.\n\n*Alone.*\n", folder)
    assert "<figcaption>" not in html and "<p><em>Some</em> text" in html


def test_foreign_text_never_becomes_an_element() -> None:
    label = plain("<script>alert(1)</script>")
    raw = "<script>alert(2)</script>\n\n<b onclick=x>raw</b> <br onload=x>\n\n<details ontoggle=x>\n"

    html = body(f"## {label}\n\n| {label} | a |\n| --- | --- |\n| `<img src=x>` | {label} |\n\n{raw}")

    assert set(re.findall(r"<(\w+)", html)) == {
        "h2", "div", "table", "thead", "tbody", "tr", "th", "td", "code", "p",
    }  # fmt: skip
    assert 'id="scriptalert1script"' in html
    assert 'aria-label="Table 1: &lt;script&gt;alert(1)&lt;/script&gt;"' in html


def test_links_to_other_sites_tell_nothing_of_this_page_and_others_stay() -> None:
    html = body("[a](https://example.org/x?a=1&b=2) [b](results/a/b.json) [c](#tasks)")

    assert '<a href="https://example.org/x?a=1&amp;b=2" rel="noreferrer">a</a>' in html
    assert '<a href="results/a/b.json">b</a> <a href="#tasks">c</a>' in html


def test_a_link_that_would_run_something_stays_text() -> None:
    targets = ("javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "vbscript:x")
    assert "<a" not in body(" ".join(f"[words]({target})" for target in targets))


def test_tables_stand_in_named_regions_with_columns_set_as_their_markdown_says() -> None:
    html = body(f"## Results\n{SORTED}\n| a |  |\n| --- | --- |\n| {'long ' * 20} | b |\n")

    assert '<div class="table" role="region" tabindex="0" aria-label="Table 1: Results">\n<table>' in html
    assert '<div class="table facts" role="region" tabindex="0" aria-label="Table 2: Results">' in html
    assert '<td class="number short">9.5 ± 0.1<br>\n<small>+1.2 [0.3, 2.1]</small></td>' in html
    assert '<th class="tight">backbone</th>' in html and '<td class="long">long long' in html


def test_markdown_inside_a_fold_is_rendered(folder: Path) -> None:
    html = body(REPORT, folder)

    assert "<details>\n<summary>One row each</summary>\n" in html
    assert "<p>Folded <strong>text</strong>.</p>\n</details>" in html


def test_every_fragment_and_picture_of_the_demo_is_inside(demo_run: Path, tmp_path: Path) -> None:
    from reports.report import write_report  # only now: it loads matplotlib

    markdown = write_report(demo_run, tmp_path / "report.md").read_text()
    html = page(markdown, tmp_path, "demo")

    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(re.findall(r'id="([^"]+)"', html))
    assert html.count("<img src=") == len(re.findall(r"^!\[", markdown, flags=re.MULTILINE)) > 0
    assert html.count("<figcaption>") == html.count("<figure>")
    assert 'class="missing"' not in html and not re.search(r"&lt;/?(details|summary|br)", html)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def tab(browser: Browser, folder: Path) -> Iterator[Page]:
    """The example's page, opened; nothing may go wrong or leave the machine until the test ends."""
    file = folder / "page.html"
    file.write_text(page(REPORT, folder, "A report"), encoding="utf-8")
    with opened(browser, file.as_uri()) as tab:
        yield tab


@pytest.mark.parametrize("column", list(ORDERS))
def test_a_click_sorts_up_then_down_then_not_at_all(column: str, tab: Page) -> None:
    header = tab.locator("th", has_text=column)
    found = []
    for _ in range(3):
        header.locator("button").click()
        found.append((rows(tab), header.get_attribute("aria-sort")))

    ascending, descending = ORDERS[column]
    original = "b10 b9 lost c broken"
    assert found == [(ascending, "ascending"), (descending, "descending"), (original, None)]
    assert tab.locator("button").count() == 7  # the theme's, and none in tables of facts or of one row


def test_the_keyboard_sorts_and_reaches_the_table(tab: Page) -> None:
    tab.get_by_role("region", name="Table 2: Results").focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert rows(tab).startswith("b9 b10")
    tab.keyboard.press("Space")
    assert rows(tab).startswith("c b10")
    assert tab.locator("[aria-sort]").all_inner_texts() == ["top1\npercent"]


@pytest.mark.parametrize("width", [360, 700, 1280])
def test_the_page_itself_never_scrolls_sideways(width: int, tab: Page) -> None:
    tab.set_viewport_size({"width": width, "height": 800})

    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    from_left = "(e) => { e.scrollLeft = 60; return e.querySelector('td').getBoundingClientRect().left; }"
    wide = tab.locator(".wide")
    assert abs(wide.evaluate(from_left) - wide.evaluate("(e) => e.getBoundingClientRect().left")) < 1
    assert wide.evaluate("(e) => e.scrollLeft") == 60
    assert tab.locator(".beside").is_visible() == (width == 1280) != tab.locator(".above").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_colour_schemes(scheme: Literal["light", "dark"], tab: Page) -> None:
    tab.emulate_media(color_scheme=scheme)
    tab.locator("th button").first.click()
    tab.locator("tbody tr").last.hover()

    assert (ground(tab) == "rgb(255, 255, 255)") == (scheme == "light")
    for what in TEXTS:
        contrasts = tab.evaluate(CONTRAST, what)
        assert contrasts and min(contrasts) >= 4.5, what


def test_the_button_sets_the_colours_and_the_page_remembers(tab: Page) -> None:
    found = []
    for _ in range(4):
        tab.locator(".theme").click()
        found.append((tab.locator(".theme").inner_text(), ground(tab)))
    white, black = "rgb(255, 255, 255)", "rgb(23, 25, 27)"
    light, dark, auto = ("Colours: light", white), ("Colours: dark", black), ("Colours: auto", white)
    assert found == [light, dark, auto, light]
    labels = ((tab.reload(), tab.locator(".theme").inner_text())[1] for _ in range(50))
    assert "Colours: light" in labels  # the browser writes it down a little later


def test_the_page_works_where_nothing_may_be_stored(tab: Page) -> None:
    tab.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})")
    tab.reload()
    tab.locator(".theme").click()
    assert tab.locator(".theme").inner_text() == "Colours: light"


def test_a_link_into_a_fold_opens_it(tab: Page) -> None:
    tab.locator("main a", has_text="the fold").click()
    assert tab.get_by_text("Folded text").is_visible()


def test_print_opens_folds_hides_navigation_and_cuts_nothing_off(tab: Page) -> None:
    assert not tab.get_by_text("Folded text").is_visible()
    assert tab.pdf().startswith(b"%PDF")
    assert not tab.get_by_text("Folded text").is_visible()  # folded again

    tab.set_viewport_size({"width": 690, "height": 900})  # A4 within its margins
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.get_by_text("Folded text").is_visible()
    assert (
        tab.locator("nav, .theme, .above").count() == 4
        and not tab.locator("nav:visible, .theme:visible").count()
    )
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert ground(tab) == "rgb(255, 255, 255)"
