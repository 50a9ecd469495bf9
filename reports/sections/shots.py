"""Scores by the number of training images per class: tables, with the spread over draws of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev

from hsa_bench.core.results.result import TaskResult
from reports.run_folder.grid import Cell, Grid, draws
from reports.writing.table import MISSING, Table, plain

SHOTS = re.compile(r"(.+)_k(\d+)")
"""A metric at one number of images per class: `logistic_k4`, `mAP_k16`."""


@dataclass(frozen=True)
class Shot:
    """A backbone's score at one number of images per class."""

    mean: float
    std: float | None
    """Over the draws, of the mean over runs; None without several draws."""


def by_shots(cell: Cell) -> dict[str, dict[int, Shot]]:
    """By metric and number of images, in rising order."""
    found: dict[str, dict[int, Shot]] = {}
    names = dict.fromkeys(name for run in cell.runs for name in run.metrics)
    for name in names:
        if match := SHOTS.fullmatch(name):
            runs = [run for run in cell.runs if name in run.metrics]
            found.setdefault(match[1], {})[int(match[2])] = _shot(runs, name)
    return {name: dict(sorted(shots.items())) for name, shots in found.items()}


def shot_tables(grid: Grid, column: str) -> dict[str, Table]:
    """By metric: one row a backbone, one column a number of images per class, percent."""
    cells = {row: by_shots(grid.at(row, column)) for row in grid.rows}
    metrics = dict.fromkeys(metric for found in cells.values() for metric in found)
    return {
        metric: _table({row: found[metric] for row, found in cells.items() if metric in found})
        for metric in metrics
    }


def _table(rows: dict[str, dict[int, Shot]]) -> Table:
    numbers = sorted({k for shots in rows.values() for k in shots})
    body = tuple((plain(row), *_entries(shots, numbers)) for row, shots in rows.items())
    return Table(("backbone", *(f"k = {k}" for k in numbers)), body)


def _entries(shots: dict[int, Shot], numbers: list[int]) -> Iterator[str]:
    for k in numbers:
        one = shots.get(k)
        spread = "" if one is None or one.std is None else f" ± {one.std:.1f}"
        yield MISSING if one is None else f"{one.mean:.1f}{spread}"


def _shot(runs: list[TaskResult], metric: str) -> Shot:
    values = [run.metrics[metric] for run in runs]
    spread = [fmean(alike) for alike in zip(*(draws(run, metric) for run in runs), strict=False)]
    return Shot(fmean(values), stdev(spread) if len(spread) > 1 else None)
