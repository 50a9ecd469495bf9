"""Transfer: one row a data set, each by its own metric, and an average only where all have a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from reports.run_folder.grid import Cell, Grid
from reports.sections.glossary import remark
from reports.sections.tables import score
from reports.statistics.comparison import Comparison
from reports.writing.table import MISSING, Table, bold, link, plain, slug

PREFIX = "transfer-"
"""How the names of its tasks begin; the rest is the data set's."""

LINEAR, KNN = "transfer, linear", "transfer, kNN"
"""Names of its tables."""

VOTE = "kNN"
"""The classifier whose numbers stand beside the linear one's."""


def transfer_columns(grid: Grid) -> list[str]:
    """The columns of transfer's data sets, also of those that are blocked."""
    return [column for column in grid.columns if column.startswith(PREFIX)]


def without_transfer(grid: Grid) -> Grid:
    """For tables that several data sets more would make too wide; all of it where there is nothing else."""
    columns = transfer_columns(grid)
    return grid.without(columns) if 1 < len(columns) < len(grid.columns) else grid


def data_set(column: str) -> str:
    """The data set of a column, with what tells it from another column of the same."""
    return column.removeprefix(PREFIX)


def linear(cell: Cell) -> list[float]:
    """The data set's metric of the linear classifier, of each run."""
    return cell.values


def knn(cell: Cell) -> list[float]:
    """The same metric of the neighbours' vote, of each run that has it."""
    whole = ((run, m) for run in cell.runs for m in run.metrics if not (m.layer or m.shots or m.category))
    return [m.value for run, m in whole if m.by == VOTE and m.family == run.main_metric]


def transfer_tables(grid: Grid, comparison: Comparison) -> dict[str, Table]:
    """By name, of what was planned or measured: nothing without transfer, and no kNN without its metric."""
    columns = transfer_columns(grid)
    rows = [row for row in grid.rows if any(grid.at(row, c).planned for c in columns)]

    def by_regression(cell: Cell) -> str:
        return bold(score(cell)) if comparison.ahead_of_all((cell.row, cell.column)) else score(cell)

    def by_vote(cell: Cell) -> str:
        values = knn(cell)
        spread = f" ± {stdev(values):.1f}" if cell.repeated and len(values) > 1 else ""
        return f"{fmean(values):.1f}{spread}" if values else MISSING

    found = {}
    if columns:
        found[LINEAR] = _table(grid, columns, rows, by_regression, linear)
    if any(knn(grid.at(row, column)) for column in columns for row in rows):
        found[KNN] = _table(grid, columns, rows, by_vote, knn)
    return found


def average(cells: Sequence[Cell], values: Callable[[Cell], list[float]]) -> float | None:
    """Mean over data sets of a backbone's numbers; None where one is missing or of another scale."""
    numbers = [values(cell) for cell in cells]
    alike = len({(cell.unit, cell.lower) for cell in cells}) == 1
    return fmean(map(fmean, numbers)) if alike and all(numbers) else None


def _table(
    grid: Grid,
    columns: Sequence[str],
    rows: Sequence[str],
    entry: Callable[[Cell], str],
    values: Callable[[Cell], list[float]],
) -> Table:
    body = [
        (_named(grid, column), _metric(grid, column), *(entry(grid.at(row, column)) for row in rows))
        for column in columns
    ]
    if len(columns) > 1:
        means = (average([grid.at(row, column) for column in columns], values) for row in rows)
        texts = (MISSING if mean is None else f"{mean:.1f}" for mean in means)
        body.append((f"average of {len(columns)}", MISSING, *texts))
    return Table(("data set", "metric", *map(plain, rows)), tuple(body), frozenset({"metric"}))


def _named(grid: Grid, column: str) -> str:
    target = f"#{slug(plain(column))}" if grid.in_column(column) else ""
    return link(plain(data_set(column)), target)


def _metric(grid: Grid, column: str) -> str:
    metric = grid.metric(column)
    named = next((plain(result.main_metric) for result in grid.in_column(column)), MISSING)
    if metric is None:
        return named
    return plain(metric.words) + (f", {remark(metric)}" if remark(metric) else "")
