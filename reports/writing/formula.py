"""Cells of CSV that a spreadsheet would run as formulas, made texts."""

from __future__ import annotations

import re

import pandas as pd

from hsa_bench.core.printable import printable

STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with."""

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
GAP = re.compile(r"[-+][\d.,]+ \[[-+−]?[\d.,]+, [-+−]?[\d.,]+\](?:[;,] [\w ;,.<]*|[\w ]*)")
"""A difference with its interval, and in words what is shown by it, as our tables have them."""


def disarmed(text: str) -> str:
    """Return the text of a cell, with an apostrophe before what would begin a formula; numbers stay."""
    if not text.lstrip(" ").startswith(STARTS) or NUMBER.fullmatch(text) or GAP.fullmatch(text):
        return text
    return f"'{text}"


def disarmed_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose texts are disarmed and can be seen; what is no text stays."""
    return frame.map(lambda cell: disarmed(printable(cell)) if isinstance(cell, str) else cell)
