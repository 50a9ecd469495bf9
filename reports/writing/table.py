"""A table of finished text in four formats, and how text and numbers are written in it."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd

from hsa_bench.core.printable import printable
from reports.writing.formula import disarmed
from reports.writing.inline import escaped, latex, text

MISSING = "—"
SIGNS = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])|!(?=\[|$)")
"""What means something in Markdown; an underscore only at an end of a word."""
BEGINNING = re.compile(r"^(\d{1,9}(?=[.)](?: |$))|(?=[-+](?:[ -]|$)|=+$|#))")
"""What begins a list, a heading or a line below one."""
ESCAPED_BAR = re.compile(r"(\\+)\|")
"""A bar after a backslash, of which readers of tables think differently."""
SHOWN = 4
"""Of a long list of names, how many are written out."""


@dataclass(frozen=True)
class Table:
    """A header and rows; the first column names the row."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[str] = frozenset()
    """Columns of words, set flush left like the first; the others hold numbers."""

    @property
    def frame(self) -> pd.DataFrame:
        """The table as it stands, cells in Markdown; every format is written from it."""
        return pd.DataFrame(list(self.rows), columns=list(self.header), dtype=object)

    def markdown(self) -> str:
        """As GitHub-flavoured Markdown."""
        rule = [":---" if words else "---:" for words in self._left]
        rows = self.frame.itertuples(index=False, name=None)
        return "\n".join(_line(cells) for cells in (self.header, rule, *rows))

    def csv(self) -> str:
        """As plain text between commas; the lines of a cell are joined by semicolons, formulas disarmed."""
        plain = self.frame.map(lambda cell: disarmed(text(cell)))
        header = [disarmed(text(name)) for name in self.header]
        return plain.to_csv(index=False, header=header, lineterminator="\n")

    def latex(self, caption: str = "") -> str:
        r"""As a LaTeX table in booktabs' style (`\usepackage{booktabs}`; UTF-8), with a caption or bare."""
        align = ["l" if words else "r" for words in self._left]
        lines = [[latex(c, a) for c, a in zip(row, align, strict=True)] for row in (self.header, *self.rows)]
        head, *body = [_row(cells) for cells in lines]
        columns = "".join(align)
        tabular = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
        tabular.append(r"\end{tabular}")
        if not caption:
            return "\n".join([*tabular, ""])
        around = [r"\begin{table}", r"\centering", rf"\caption{{{escaped(caption)}}}"]
        return "\n".join([*around, *tabular, r"\end{table}", ""])

    @property
    def _left(self) -> list[bool]:
        """Which columns are set flush left."""
        return [i == 0 or name in self.words for i, name in enumerate(self.header)]


def plain(text: str) -> str:
    """Foreign text (a message, a recipe) on one line, so that Markdown shows it as it is.

    It makes no link, picture, tag, emphasis, code or formula, and begins no heading or list.
    """
    line = html.escape(SIGNS.sub(r"\\\g<0>", one_line(text)), quote=False)
    return BEGINNING.sub(r"\1\\", line)


def code(text: str) -> str:
    """A file, key or command in fixed width."""
    line = ESCAPED_BAR.sub(r"\1¦", one_line(text)).replace("|", "\\|").replace("`", "'")
    return f"`{line}`" if line else MISSING


def one_line(text: str) -> str:
    """Foreign text on one line, without characters that act instead of being seen."""
    return printable(" ".join(text.split()))


def link(words: str, target: str) -> str:
    """Finished text that leads to a file or heading; as it is without a target."""
    place = target if target.startswith("#") else quote(target, safe="/")
    return f"[{words}]({place})" if target else words


def bold(words: str) -> str:
    """Finished text that stands out."""
    return f"**{words}**"


def slug(heading: str) -> str:
    """The fragment that GitHub and our page give a heading."""
    kept = "".join(letter for letter in text(heading).lower() if letter.isalnum() or letter in " -_")
    return kept.strip().replace(" ", "-")


def pvalue(p: float) -> str:
    """A p-value, two significant digits."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def signed(value: float, digits: int = 1) -> str:
    """A difference in percentage points, with a true minus sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def decimals(unit: str, digits: int, *values: float) -> int:
    """Decimals of numbers that stand together: as asked of percentages, else three digits of the largest."""
    most = max(map(abs, values))
    if unit == "%" or not most or not math.isfinite(most):
        return digits
    return min(9, max(0, 2 - math.floor(math.log10(most))))


def number(value: float, unit: str) -> str:
    """A number with its unit, for people."""
    return f"{value:.{decimals(unit, 1, value)}f} {unit}".rstrip()


def detail(value: float, unit: str) -> str:
    """A number in a table of all of them: two decimals, or three digits where these would be zeros."""
    return f"{value:.{2 if abs(value) >= 0.005 else decimals(unit, 2, value)}f}"


def sentence(words: str) -> str:
    """Words that begin a sentence; "kNN" stays as it is."""
    return words[:1].upper() + words[1:] if words[1:2].islower() else words


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


def _row(cells: Sequence[str]) -> str:
    r"""A row in LaTeX; the `\\` before it takes neither a star nor a bracket of it for its own."""
    start = "{}" if cells[0][:1] in {"[", "*"} else ""
    return start + " & ".join(cells) + r" \\"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
