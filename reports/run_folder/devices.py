"""Which cells were measured on which device and in which number format, and which two were not alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hsa_bench.core.results.device import USUAL, device_of, differ, precision_of
from hsa_bench.core.results.result import TaskResult
from reports.run_folder.grid import Cell, Grid

Fact = Callable[[TaskResult], str]
"""What of a result is looked at; empty where it does not say."""


def device(result: TaskResult) -> str:
    """Name the model that computed a result."""
    return device_of(result.provenance.hardware)


def devices(cell: Cell) -> list[str]:
    """Name the models that computed the numbers of a cell, each once."""
    return list(dict.fromkeys(map(device, cell.runs)))


def precisions(cell: Cell) -> list[str]:
    """Name the number formats of a cell's numbers, each once."""
    return list(dict.fromkeys(precision_of(run) or USUAL for run in cell.runs))


def unlike(one: Cell, other: Cell) -> str:
    """Say what two cells do not share: "other device", "other precision" or both; empty where they do.

    A device that is not on file counts as alike.
    """
    pairs = [(a.provenance.hardware, b.provenance.hardware) for a in one.runs for b in other.runs]
    moved = set(devices(one)) != set(devices(other)) and any(differ(a, b) for a, b in pairs)
    rounded = set(precisions(one)) != set(precisions(other))
    what = [name for name, apart in (("device", moved), ("precision", rounded)) if apart]
    return f"other {' and '.join(what)}" if what else ""


def mixed(grid: Grid, fact: Fact) -> dict[tuple[tuple[str, str], ...], list[str]]:
    """Find the columns whose numbers differ in a fact.

    Returns:
        Columns by how they are mixed: each value of the fact with the rows that have it, in words.
    """
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for column in grid.columns:
        split = _split([(row, run) for row in grid.rows for run in grid.at(row, column).runs], fact)
        if len(split) > 1:
            found.setdefault(tuple(split.items()), []).append(column)
    return found


def _split(runs: Iterable[tuple[str, TaskResult]], fact: Fact) -> dict[str, str]:
    """Name by each value the rows that have it; a row that has several with the seeds of each."""
    seeds: dict[str, dict[str, list[int]]] = {}
    for row, run in runs:
        if value := fact(run):
            seeds.setdefault(value, {}).setdefault(row, []).append(run.spec.seed)
    several = {
        row for rows in seeds.values() for row in rows if sum(row in one for one in seeds.values()) > 1
    }
    return {
        value: ", ".join(
            f"{row} ({_numbered(found)})" if row in several else row for row, found in rows.items()
        )
        for value, rows in seeds.items()
    }


def _numbered(seeds: list[int]) -> str:
    names = list(dict.fromkeys(map(str, sorted(seeds))))
    return f"seed{'s' if len(names) > 1 else ''} {', '.join(names)}"
