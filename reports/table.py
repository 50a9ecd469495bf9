"""A table of finished text, and how text and numbers are written in it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "—"
SHOWN = 4
"""Of a long list of names, how many are written out."""


@dataclass(frozen=True)
class Table:
    """A header and rows; the first column names the row."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[str] = frozenset()
    """Columns of words, set flush left like the first; the others hold numbers."""

    def markdown(self) -> str:
        """As GitHub-flavoured Markdown."""
        rule = [":---" if i == 0 or name in self.words else "---:" for i, name in enumerate(self.header)]
        return "\n".join(_line(cells) for cells in (self.header, rule, *self.rows))


def plain(text: str) -> str:
    """Foreign text (a message, a recipe) on one line, so that Markdown shows it as it is."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|").replace("*", "\\*")


def code(text: str) -> str:
    """A file, key or command in fixed width."""
    line = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return f"`{line}`" if line else MISSING


def signed(value: float) -> str:
    """A difference in percentage points, with a true minus sign."""
    return f"{value:+.1f}".replace("-", "−")


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def setting(value: Any) -> str:
    """A value of a settings record, short."""
    if value is None or value in ("", [], {}):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{plain(str(name))} {setting(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value)
    return plain(str(value))


def shortened(names: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = len(names) - SHOWN
    shown = ", ".join(code(name) for name in names[:SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
