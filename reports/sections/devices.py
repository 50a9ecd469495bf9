"""What a reader must know of the devices: mixed ones, mixed number formats, and ones that no test knows."""

from __future__ import annotations

from hsa_bench.core.results.device import TESTED, kind_of, precision_of
from hsa_bench.core.results.result import TaskResult
from reports.run_folder.collected import Collected
from reports.run_folder.devices import Fact, device, mixed, unlike
from reports.run_folder.grid import Grid
from reports.statistics.comparison import Comparison
from reports.statistics.difference import Difference
from reports.writing.table import plain


def several_devices(grid: Grid) -> tuple[str, ...]:
    """Name the columns that mix devices, and whose numbers came from which."""
    return _mixtures(grid, device)


def several_precisions(grid: Grid) -> tuple[str, ...]:
    """Name the columns that mix number formats."""
    return _mixtures(grid, precision_of)


def untested(collected: Collected) -> tuple[str, ...]:
    """Name the numbers from devices that this suite's tests do not know, e.g. mps."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for result in collected.results:
        if result.status == "ok" and kind_of(result.provenance.hardware) not in {*TESTED, ""}:
            tasks = found.setdefault(device(result), {})
            tasks.setdefault(result.spec.task, {})[result.label] = None
    return tuple(
        f"{plain(name)}: " + "; ".join(f"{plain(task)} ({_listed(of)})" for task, of in tasks.items()) + "."
        for name, tasks in found.items()
    )


def by_task(results: list[TaskResult], fact: Fact) -> str:
    """State each value of a fact with its tasks and how many results have it; one by itself."""
    tasks: dict[str, list[str]] = {}
    for result in results:
        if value := fact(result):
            tasks.setdefault(value, []).append(result.spec.task)
    if len(tasks) == 1:
        return plain(next(iter(tasks)))
    return "<br>".join(
        f"{plain(value)}: {_listed(dict.fromkeys(of))} ({len(of)} result{'s' if len(of) > 1 else ''})"
        for value, of in tasks.items()
    )


def any_unlike(grid: Grid, comparison: Comparison) -> bool:
    """Whether a difference is between two devices or number formats."""
    return any(
        isinstance(found, Difference) and unlike(grid.at(row, column), grid.at(base, column))
        for (row, base, column), found in comparison.differences.items()
    )


def _mixtures(grid: Grid, fact: Fact) -> tuple[str, ...]:
    return tuple(
        f"{', '.join(map(plain, columns))}: "
        + "; ".join(f"{plain(value)} for {plain(rows)}" for value, rows in split)
        + "."
        for split, columns in mixed(grid, fact).items()
    )


def _listed(names: dict[str, None]) -> str:
    return ", ".join(map(plain, names))
