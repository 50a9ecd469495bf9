"""Scores by the number of training images per class: tables, with the spread over draws of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev

from hsa_bench.core.results.metric import Metric
from reports.run_folder.family import Family
from reports.run_folder.grid import Cell, Grid
from reports.writing.table import MISSING, Table, decimals, plain


@dataclass(frozen=True)
class Shot:
    """A backbone's score at one number of images per class."""

    mean: float
    std: float | None
    """Over the draws, of the mean over runs; None without several draws."""


def by_shots(cell: Cell) -> dict[Family, dict[int, Shot]]:
    """By family and number of images, in rising order."""
    found: dict[Family, dict[int, list[Metric]]] = {}
    for metric in (metric for run in cell.runs for metric in run.metrics if metric.shots):
        found.setdefault(Family.of(metric), {}).setdefault(metric.shots, []).append(metric)
    return {family: {k: _shot(ms) for k, ms in sorted(by_k.items())} for family, by_k in found.items()}


def shot_tables(grid: Grid, column: str) -> dict[Family, Table]:
    """By family: one row a backbone, one column a number of images per class."""
    cells = {row: by_shots(grid.at(row, column)) for row in grid.rows}
    metrics = dict.fromkeys(metric for found in cells.values() for metric in found)
    return {
        metric: _table({row: found[metric] for row, found in cells.items() if metric in found}, metric.unit)
        for metric in metrics
    }


def _table(rows: dict[str, dict[int, Shot]], unit: str) -> Table:
    numbers = sorted({k for shots in rows.values() for k in shots})
    body = tuple((plain(row), *_entries(shots, numbers, unit)) for row, shots in rows.items())
    return Table(("backbone", *(f"k = {k}" for k in numbers)), body)


def _entries(shots: dict[int, Shot], numbers: list[int], unit: str) -> Iterator[str]:
    for k in numbers:
        one = shots.get(k)
        digits = decimals(unit, 1, one.mean) if one else 1
        spread = "" if one is None or one.std is None else f" ± {one.std:.{digits}f}"
        yield MISSING if one is None else f"{one.mean:.{digits}f}{spread}"


def _shot(metrics: list[Metric]) -> Shot:
    values = [metric.value for metric in metrics]
    spread = [fmean(alike) for alike in zip(*(metric.draws for metric in metrics), strict=False)]
    return Shot(fmean(values), stdev(spread) if len(spread) > 1 else None)
