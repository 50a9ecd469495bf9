"""Names of files after texts of anybody's: letters, digits and dots that every file system takes."""

from __future__ import annotations

import re

from hsa_bench.core.digest import digest

LONGEST = 180
"""Bytes of a name without its ending; a temporary file beside it has a longer one."""


def file_stem(text: str, taken: set[str]) -> str:
    """Return a file's name without its ending, unlike all that are taken, and take it.

    Args:
        text: What the file is of.
        taken: Names of other files.
    """
    stem = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    if not stem or len(stem.encode()) > LONGEST:
        stem = f"{stem.encode()[: LONGEST - 20].decode(errors='ignore')}-{digest(text)}".strip("-")
    while stem in taken:  # two texts that differ in signs alone
        stem += "-"
    taken.add(stem)
    return stem
