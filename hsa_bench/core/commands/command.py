"""What the commands share: an application that ends in words, and paths that may begin with `~`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.commands.streams import speak_utf8
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.user_path import user_path


class Command(typer.Typer):
    """A console application in UTF-8, no error of which is shown as a traceback."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **settings
        )

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run it as the console does; what a command does not catch itself, e.g. in --help, ends here."""
        speak_utf8()
        with exit_with_its_message():
            return super().__call__(*arguments, **settings)


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
