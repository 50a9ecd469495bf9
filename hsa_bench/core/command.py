"""What the commands' options share: paths that may begin with `~`. Free of torch."""

from __future__ import annotations

from pathlib import Path

import typer

from hsa_bench.core.errors import UsageError
from hsa_bench.core.user_path import user_path


def home(path: Path | None) -> Path | None:
    """Return an option's path with a home for `~`; the shell leaves `--out=~/x` as it is."""
    try:
        return path if path is None else user_path(path)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


def homes(paths: list[Path]) -> list[Path]:
    """Return several paths so."""
    return [place for place in map(home, paths) if place is not None]


def home_file(path: Path | None) -> Path | None:
    """Return an option's path of a file so; it needs a name, which `''` and `/` have not."""
    place = home(path)
    if place is not None and not place.name:
        raise typer.BadParameter(f"{str(place)!r} is a folder; name a file")
    return place
