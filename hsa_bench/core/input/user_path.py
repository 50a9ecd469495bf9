"""Paths as people write them: `~` is a home, wherever it stands. Free of torch."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.errors import UsageError


def user_path(path: str | Path) -> Path:
    """Return a path with `~` and `~name` at its beginning as that home; a shell leaves `--out=~/x` as it is.

    Raises:
        UsageError: There is no such user, the path holds a NUL, or is not UTF-8.
    """
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r}: a path does not hold a NUL character")
    if any("\ud800" <= letter <= "\udfff" for letter in str(path)):  # bytes that are no text
        raise UsageError(f"{str(path)!r}: a name that is not UTF-8, which no record can hold; rename it")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: nobody's home is known by that name; write the whole path") from error
