"""The main table, backbones x tasks, and what the runs cost."""

from __future__ import annotations

from reports.bootstrap import Impossible
from reports.compare import Comparison
from reports.grid import Cell, Grid
from reports.table import MISSING, Table, duration, plain, signed

FAILED, SKIPPED = "failed", "n/a"


def main_table(grid: Grid, comparison: Comparison) -> Table:
    """Main metric of every backbone on every task, then the difference to the baseline, 95 % interval."""
    names = (plain(column) + _metric(grid, column) for column in grid.columns)
    rows = tuple(
        (
            plain(row) + (" (baseline)" if row == comparison.baseline else ""),
            *(_with_difference(grid.at(row, column), comparison) for column in grid.columns),
        )
        for row in grid.rows
    )
    return Table(("backbone", *names), rows)


def score(cell: Cell) -> str:
    """Mean ± std of a cell, or the word for why there is no number."""
    if not cell.runs:
        states = {result.status for result in cell.results}
        return FAILED if "failed" in states else SKIPPED if "skipped" in states else MISSING
    text = f"{cell.mean:.1f}"
    if cell.repeated:
        text += f" ± {cell.std:.1f}"
    if len(cell.runs) < cell.planned:
        text += f" ({len(cell.runs)} of {cell.planned} runs)"
    return text


def cost_table(grid: Grid) -> Table:
    """Wall time over all runs of a cell, and the largest peak memory of one of them."""
    rows = tuple((plain(row), *(_cost(grid.at(row, column)) for column in grid.columns)) for row in grid.rows)
    return Table(("backbone", *map(plain, grid.columns)), rows)


def _with_difference(cell: Cell, comparison: Comparison) -> str:
    found = comparison.differences.get((cell.row, cell.column))
    if found is None:
        return score(cell)
    if isinstance(found, Impossible):
        return f"{score(cell)}<br>not paired"
    bounds = f"{signed(found.interval.low)}, {signed(found.interval.high)}"
    return f"{score(cell)}<br>{signed(found.value)} [{bounds}]"


def _metric(grid: Grid, column: str) -> str:
    engines = sorted({grid.at(row, column).engine for row in grid.rows} - {""})
    engine = f" ({', '.join(map(plain, engines))})" if engines else ""
    return next((f"<br>{plain(result.main_metric)}{engine}" for result in grid.in_column(column)), "")


def _cost(cell: Cell) -> str:
    ended = [result for result in cell.results if result.status != "skipped"]
    if not ended:
        return MISSING
    seconds = sum(result.seconds for result in ended)
    memory = max(result.peak_memory_mb for result in ended)
    return f"{duration(seconds)}, {memory:,.0f} MB"
