"""Paths as people write them: `~` is a home, wherever it stands. Free of torch."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.errors import UsageError

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes."""
SHOWN = 60
"""Letters of a path that is longer."""


def user_path(path: str | Path) -> Path:
    """Return a path with `~` and `~name` at its beginning as that home; a shell leaves `--out=~/x` as it is.

    Raises:
        UsageError: There is no such user, the path holds a NUL, is not UTF-8, or longer than systems take.
    """
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r}: a path does not hold a NUL character")
    if any("\ud800" <= letter <= "\udfff" for letter in str(path)):  # bytes that are no text
        raise UsageError(f"{str(path)!r}: a name that is not UTF-8, which no record can hold; rename it")
    longest = max((len(part.encode()) for part in Path(path).parts), default=0)
    if longest > LONGEST_NAME or len(str(path).encode()) > LONGEST_PATH:
        raise UsageError(f"{str(path)[:SHOWN]}…: a path longer than systems take; shorten it")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: nobody's home is known by that name; write the whole path") from error
