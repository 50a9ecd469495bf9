"""The command `python -m hsa_bench.cache`: show what run folders keep to save time, and free it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from hsa_bench.core.commands.command import Command, home
from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.suggest import did_you_mean
from hsa_bench.core.runs.folder_lock import refuse_while_worked_in
from hsa_bench.suite.run_cache import KINDS, Entry, entries, free, run_folders

WIDE = 200
"""Letters of a line where nobody looks at a terminal."""

app = Command()


@app.command()
def main(
    out: Annotated[
        Path, typer.Argument(callback=home, help="A run folder, or a folder of run folders.")
    ] = Path("runs"),
    show: Annotated[
        bool, typer.Option("--list", help="Show what is cached, with sizes (the default).")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Free it.")] = False,
    only: Annotated[str, typer.Option(help=f"One kind alone: {', '.join(KINDS)}.")] = "",
) -> None:
    """List or clear the caches of runs. Results, checkpoints and reports are no cache and stay.

    Whatever is cleared is made again when it is needed. A folder in which a command works is not cleared.
    """
    with exit_with_its_message():
        if show and clear:
            raise UsageError("give --list or --clear, not both")
        if only and only not in KINDS:
            raise UsageError(f"--only {only}: no such kind; {did_you_mean(only, KINDS)}")
        runs = run_folders(out)
        if clear:
            _clear(runs, only)
            return
    _show(_found(runs, only))


def _found(runs: list[Path], only: str) -> list[Entry]:
    return [one for run in runs for one in entries(run) if only in {"", one.kind}]


def _clear(runs: list[Path], only: str) -> None:
    """Free what is cached in all these folders, or nothing where a command works in one of them."""
    with ExitStack() as held:
        for run in runs:
            held.enter_context(refuse_while_worked_in(run))
        found = _found(runs, only)
        for one in found:
            free(one)
    print(f"freed {_bytes(sum(one.size for one in found))} in {len(found)} entries")


def _show(found: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("run", "kind", Column("size", justify="right"), "what", "file", box=None)
    for one in sorted(found, key=lambda entry: -entry.size):
        table.add_row(str(one.run), one.kind, _bytes(one.size), one.said, one.path.name)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table)
    total = sum(one.size for one in found)
    console.print(f"{_bytes(total)} in {len(found)} entries; --clear frees them", highlight=False)


def _bytes(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


if __name__ == "__main__":
    app()
