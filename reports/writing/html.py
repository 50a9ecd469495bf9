"""The report as one HTML page that needs no network: pictures inside, tables that sort."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from PIL import Image

TEMPLATES = Path(__file__).with_name("templates")

FOREIGN_TAG = re.compile(r"<(?!/?(?:br|details|summary|code|strong|em|small|sub|sup)(?: open)? ?/?>)")
"""The start of a tag that the report's Markdown does not use: shown as text."""

PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}
VIEW_BOX = re.compile(rb'<svg[^>]*\sviewBox="\S+ \S+ ([\d.]+) ([\d.]+)"')
ALIGNED = {"text-align:right": "number", "text-align:center": "centre"}
TIGHT, SHORT, LONG = 14, 30, 60
"""A column's longest line, characters: never wrapped, wrapped in print alone, given much room to wrap."""
PAPER = 90
"""Characters side by side on a printed page, in unbroken words; smaller type takes a quarter more."""


@dataclass(frozen=True)
class Heading:
    """An entry of the table of contents."""

    text: str
    slug: str
    parts: list[Heading] = field(default_factory=list)


def page(markdown: str, folder: Path, title: str) -> str:
    """The report as one HTML page: no network, pictures inside, tables that sort.

    The same text and pictures give the same page, byte for byte.

    Args:
        markdown: The report, GitHub-flavoured. Of HTML, `<details>`, `<summary>`, `<br>` and a few inline
            tags without attributes are kept; any other tag is shown as text.
        folder: The folder that its picture paths are relative to. A file that is missing, no picture or
            outside of it is named in the picture's place. Other relative links stay as they are.
        title: Of the browser's window, as plain text.
    """
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("code_inline", _code)
    tokens = parser.parse(markdown)
    for token in [*tokens, *(child for line in tokens for child in line.children or ())]:
        _prepare(token, folder)
    contents = _name_headings(tokens)
    body = parser.renderer.render(_frame_tables(_frame_figures(tokens)), parser.options, {})
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    content = {"title": title, "body": body, "contents": contents, "style": style, "script": script}
    return environment.get_template("page.html.j2").render(content, sha256=_sha256)


def _sha256(text: str) -> str:
    """As a content security policy writes the hash of an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _prepare(token: Token, folder: Path) -> None:
    """Make foreign tags text, put pictures inside, and tell other sites nothing of this page."""
    if token.type in {"html_block", "html_inline"}:
        token.content = FOREIGN_TAG.sub("&lt;", token.content)
        if _breaks(token):
            token.content += "\n"  # the page's script sorts by what stands before it
    elif token.type == "image":
        token.type, token.info = "html_inline", "picture"
        token.content = _picture(unquote(str(token.attrs["src"])), _text(token), folder)
    elif token.type == "link_open" and str(token.attrs["href"]).lower().startswith(("http:", "https:", "//")):
        token.attrSet("rel", "noreferrer")


def _breaks(token: Token) -> bool:
    """Whether this token starts a new line."""
    return token.type == "hardbreak" or (token.type == "html_inline" and token.content.startswith("<br"))


def _text(line: Token) -> str:
    """What a reader sees of a line of text, with a line break for `<br>`."""
    return "".join(
        "\n" if _breaks(child) else " " if child.type == "softbreak" else child.content
        for child in line.children or ()
        if child.type != "html_inline" or _breaks(child)
    )


def _heading(line: Token) -> str:
    return " ".join(_text(line).split())


def _code(renderer: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
    """A name or path in fixed width that may be broken after a slash."""
    return f"<code>{html.escape(tokens[i].content).replace('/', '/<wbr>')}</code>"


def _picture(name: str, alt: str, folder: Path) -> str:
    """The picture itself as an element, or a text that names the file."""
    try:
        kind = PICTURES[Path(name).suffix.lower()]
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise ValueError("not in the report's folder")
        content = path.read_bytes()
        size = _size(content, kind)
    except (KeyError, OSError, ValueError, Image.DecompressionBombError):
        words = f"{alt}: no such picture, " if alt else "No such picture: "
        return f'<span class="missing">{html.escape(words)}<code>{html.escape(name)}</code></span>'
    data = base64.b64encode(content).decode()
    return f'<img src="data:{kind};base64,{data}" alt="{html.escape(alt)}"{size} decoding="async">'


def _size(content: bytes, kind: str) -> str:
    """Width and height in CSS pixels as attributes, so that nothing moves while the page loads."""
    if kind == "image/svg+xml":
        box = VIEW_BOX.search(content)
        return f' width="{float(box[1]):.0f}" height="{float(box[2]):.0f}"' if box else ""
    with Image.open(BytesIO(content)) as image:
        # A figure drawn for print has more pixels than it should fill; a photograph's density says nothing.
        density = image.info.get("dpi", (96, 96))[0] if kind == "image/png" else 96
        width, height = (pixels * 96 / max(float(density), 96) for pixels in image.size)
    return f' width="{width:.0f}" height="{height:.0f}"'


def _name_headings(tokens: list[Token]) -> list[Heading]:
    """Give headings the ids that GitHub would; return those of level 2, with level 3 as their parts."""
    used: set[str] = set()
    contents: list[Heading] = []
    for token, line in pairwise(tokens):
        if token.type != "heading_open":
            continue
        text = _heading(line)
        stem = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        slug, number = stem, 0
        while slug in used or not slug:
            number += 1
            slug = f"{stem}-{number}"
        used.add(slug)
        token.attrSet("id", slug)
        if token.tag == "h2":
            contents.append(Heading(text, slug))
        elif token.tag == "h3" and contents:
            contents[-1].parts.append(Heading(text, slug))
    return contents


def _html(content: str, kind: str = "html_block") -> Token:
    return Token(kind, "", 0, content=content)


def _frame_figures(tokens: list[Token]) -> list[Token]:
    """Make a paragraph of pictures a figure, and an italic paragraph right after it its caption."""
    framed: list[Token] = []
    i = 0
    while i < len(tokens):
        if not (_is_paragraph(tokens[i : i + 2]) and _is_picture(tokens[i + 1])):
            framed.append(tokens[i])
            i += 1
            continue
        framed += [_html("<figure>\n"), tokens[i + 1]]
        i += 3
        if _is_paragraph(tokens[i : i + 2]) and _is_italic(tokens[i + 1]):
            caption = tokens[i + 1]
            caption.children = (caption.children or [])[1:-1]
            framed += [_html("\n<figcaption>"), caption, _html("</figcaption>")]
            i += 3
        framed.append(_html("\n</figure>\n"))
    return framed


def _is_paragraph(start: Sequence[Token]) -> bool:
    return len(start) == 2 and start[0].type == "paragraph_open" and start[0].level == 0


def _is_picture(line: Token) -> bool:
    return all(child.info == "picture" or child.type == "softbreak" for child in line.children or ())


def _is_italic(line: Token) -> bool:
    return [child.type for child in line.children or () if child.level == 0] == ["em_open", "em_close"]


def _frame_tables(tokens: list[Token]) -> list[Token]:
    """Put every table into a region that scrolls by itself, named after the heading above it."""
    framed: list[Token] = []
    heading, count = "", 0
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = ": " + _heading(tokens[i + 1])
        elif token.type == "table_open":
            count += 1
            label = f"Table {count}{html.escape(heading)}"
            kind = _dress_cells(_rows(tokens[i:]))
            framed.append(_html(f'<div class="{kind}" role="region" tabindex="0" aria-label="{label}">\n'))
        framed.append(token)
        if token.type == "table_close":
            framed.append(_html("</div>\n"))
    return framed


def _rows(tokens: list[Token]) -> list[list[tuple[Token, Token]]]:
    """The cells of the table that starts here, each with its line of text; the header is a row."""
    rows: list[list[tuple[Token, Token]]] = []
    for token, line in pairwise(tokens):
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type in {"th_open", "td_open"}:
            rows[-1].append((token, line))
    return rows


def _dress_cells(rows: list[list[tuple[Token, Token]]]) -> str:
    """Say by classes how columns are set (the page's policy allows no styles); return the table's own."""
    firm = words = 0
    for column in zip(*rows, strict=True):
        lines = [part for _, line in column for part in _text(line).split("\n")]
        widest = max(map(len, lines))
        size = "tight" if widest <= TIGHT else "short" if widest <= SHORT else "long" if widest > LONG else ""
        word = widest if size == "tight" else max(map(len, re.split(r"[\s/]", " ".join(lines))))
        words, firm = words + word, firm + (word if widest <= SHORT else 0)
        align = ALIGNED.get(str(column[0][0].attrs.get("style")), "")
        for cell, line in column:
            cell.attrs = {"class": f"{align} {size}".strip()} if align or size else {}
            if align == "number":
                _make_second_line_small(line)
    facts = not all(_text(line) for _, line in rows[0])
    return "table" + " facts" * facts + " wide" * (words > PAPER) + " crowded" * (firm > 1.25 * PAPER)


def _make_second_line_small(line: Token) -> None:
    children = line.children or []
    first = next((i for i, child in enumerate(children) if _breaks(child) and child.level == 0), None)
    if first is not None:
        small, end = _html("<small>", "html_inline"), _html("</small>", "html_inline")
        line.children = [*children[: first + 1], small, *children[first + 1 :], end]
