"""The pieces there are: one for each file of `pieces`; figures of which already stand in the docs."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

from tools.device import pieces
from tools.device.piece import Piece

FIGURES = Path(__file__).parents[2] / "docs" / "benchmarks-device.md"
"""Where tables that were measured are kept."""


def found() -> dict[int, Piece]:
    """Every piece by its number, in order."""
    names = [module.name for module in pkgutil.iter_modules(pieces.__path__)]
    there = [importlib.import_module(f"{pieces.__name__}.{name}").PIECE for name in names]
    assert len({piece.number for piece in there}) == len(there), "two pieces have one number"
    return {piece.number: piece for piece in sorted(there, key=lambda piece: piece.number)}


def standing(number: int, file: Path = FIGURES) -> str:
    """With what a piece's figures in the docs were measured; "" where there are none.

    A piece's table begins with a heading, `## Piece 2: fast?`, and under it a line that says this.
    """
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    heading = re.search(rf"^## Piece {number}\b.*\n+(?!#)(.+)", text, flags=re.MULTILINE)
    return heading.group(1) if heading else ""
