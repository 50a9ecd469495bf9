"""The small Markdown of a table's cell as plain text and as LaTeX."""

from __future__ import annotations

from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from hsa_bench.core.printable import printable

LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$",
    "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "Δ": r"$\Delta$",
    "–": "--", "—": "---", "…": r"\dots{}", "✓": r"$\surd$",
}  # fmt: skip
"""What stands for a character outside a formula. Others are left to the document's encoding, UTF-8."""

MARKED = frozenset("\\`*_[]<>&!\n")
"""Text without any of these is itself."""

AROUND = {"strong_open": r"\textbf{", "em_open": r"\emph{", "strong_close": "}", "em_close": "}"}


def lines(markdown: str) -> list[str]:
    """A cell as plain text, a string for each of its lines."""
    return _split(markdown, plain=True)


def text(markdown: str) -> str:
    """A cell as plain text on one line."""
    return "; ".join(part for part in lines(markdown) if part)


def latex(markdown: str, align: str = "l") -> str:
    """A cell for a LaTeX table, without any package; several lines become a small table of their own.

    Args:
        markdown: The cell. Links leave their text.
        align: Of several lines, "l" or "r".
    """
    parts = _split(markdown, plain=False)
    if len(parts) == 1:
        return parts[0]
    stacked = r" \\ ".join(parts)
    return rf"\begin{{tabular}}[t]{{@{{}}{align}@{{}}}}{stacked}\end{{tabular}}"


def escaped(plain: str) -> str:
    """Plain text for LaTeX."""
    return "".join(LATEX.get(letter, letter) for letter in printable(plain))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True})


def _split(markdown: str, plain: bool) -> list[str]:
    if not MARKED & set(markdown):
        return [markdown if plain else escaped(markdown)]
    parts = [""]
    for token in _parser().parseInline(markdown.replace(r"\|", "|"))[0].children or []:
        if token.type == "html_inline" and token.content == "<br>":
            parts.append("")
        else:
            parts[-1] += _written(token, plain)
    return parts


def _written(token: Token, plain: bool) -> str:
    if token.type == "softbreak":
        return " "
    if token.type in {"text", "code_inline"}:
        content = token.content if plain else escaped(token.content)
        return rf"\texttt{{{content}}}" if token.type == "code_inline" and not plain else content
    return "" if plain else AROUND.get(token.type, "")
