"""Texts of others without the characters that act instead of being seen. Free of torch."""

from __future__ import annotations

import unicodedata

SHOWN_AS = "\N{REPLACEMENT CHARACTER}"

TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What changes the direction of the text after it, so that a name reads as another."""


def printable(text: str) -> str:
    """Return a text as a terminal, a page or a figure can show it; lines and tabs stay.

    Control characters (a terminal obeys them), half characters and those that turn the direction of text
    become `SHOWN_AS`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(SHOWN_AS if _acts(letter) else letter for letter in text)


def _acts(letter: str) -> bool:
    return letter not in "\n\t" and (letter in TURNING or unicodedata.category(letter) in {"Cc", "Cs"})
