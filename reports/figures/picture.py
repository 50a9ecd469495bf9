"""A drawn figure as a file beside the report, drawn again only if what it shows has changed."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure  # not pyplot: no window system, no global state
from matplotlib.text import Text
from PIL import Image

from hsa_bench.core.digest import WHOLE, digest
from hsa_bench.core.files import whole_file
from hsa_bench.core.printable import printable
from reports.figures.style import STYLE
from reports.run_folder.collected import Collected

FOLDER = "figures"
"""Beside the report."""


@dataclass(frozen=True)
class Picture:
    """A file in the report's figures folder."""

    path: Path
    """Relative to the report."""
    title: str
    """What it shows, in a few words; for readers who do not see it, too."""
    caption: str = ""
    """What one must know to read it, in a sentence or two; plain text."""


def cache_of(collected: Collected) -> Path:
    """Where drawn figures are kept; may be deleted at any time."""
    return collected.out / "cache" / "report"


def saved(
    report: Path,
    cache: Path | None,
    name: str,
    key: object,
    draw: Callable[[], Figure],
    title: str,
    caption: str,
) -> Picture:
    """Draw a figure, or take an equal one from the cache, and put it beside the report.

    Args:
        report: The Markdown file.
        cache: Folder of drawn figures; None to draw in any case. One that cannot be written only costs time.
        name: Of the file, without ".png".
        key: All that the figure shows, as JSON values, dataclasses and NumPy arrays. Versions of matplotlib
            and of this package's source are added.
        draw: Called where the cache does not help; in the report's style.
        title: See `Picture`.
        caption: See `Picture`.
    """
    picture = Picture(Path(FOLDER, f"{name}.png"), title, caption)
    target = report.parent / picture.path
    kept = cache and cache / f"{name}-{_digest(key)}.png"
    try:
        if kept and not _is_whole(kept):
            _draw(draw, kept)
            _forget(name, kept)
    except OSError:  # e.g. the run folder of somebody else
        kept = None
    if kept is None:
        _draw(draw, target)
        return picture
    with whole_file(target) as file:
        file.write(kept.read_bytes())
    return picture


def _is_whole(picture: Path) -> bool:
    """Whether a drawn figure is there and is not damaged."""
    try:
        with Image.open(picture) as image:
            image.verify()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def _draw(draw: Callable[[], Figure], path: Path) -> None:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the reader's own settings do not get in
        matplotlib.rcParams.update(STYLE)
        with warnings.catch_warnings():
            # signs that the font lacks are drawn as boxes, and long names may leave too little room
            warnings.simplefilter("ignore", UserWarning)
            figure = draw()
            for text in figure.findobj(Text):
                text.set_text(printable(text.get_text()))
            with whole_file(path) as file:
                figure.savefig(file, format="png", metadata={"Software": None})


def _forget(name: str, kept: Path) -> None:
    """Remove older drawings of a figure."""
    older = re.compile(rf"{re.escape(name)}-[0-9a-f]{{16}}\.png")
    for file in kept.parent.iterdir():
        if older.fullmatch(file.name) and file != kept:
            file.unlink(missing_ok=True)


def _digest(key: object) -> str:
    shown = json.dumps([_source(), matplotlib.__version__, key], sort_keys=True, default=_plain)
    return digest(shown)


@once
def _source() -> str:
    """Hash of this package's source, so that no changed drawing is taken for the old one."""
    return digest(*(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))), length=WHOLE)


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a figure's key cannot hold {type(value).__name__}")
