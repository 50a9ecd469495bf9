"""What a task's number is made of: per class, from per-example outcomes, and per layer, from its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import fmean

import numpy as np
from pydantic import TypeAdapter

from hsa_bench.core.results.average_precision import average_precision, ranked
from hsa_bench.core.results.outcomes import ClassificationOutcomes, DetectionOutcomes, load
from hsa_bench.core.results.result import TaskResult
from reports.run_folder.collected import Collected
from reports.run_folder.family import Family, in_one_order
from reports.run_folder.grid import Cell, Grid
from reports.statistics.cache import Cache, digest, origin
from reports.writing.table import MISSING, Table, decimals, plain

CLASSES = TypeAdapter(dict[str, float])
"""A number of each class."""
SHOWN_CLASSES = 20
"""Of more classes, a table shows the first ones by difference and the file beside the report has all."""


def class_table(grid: Grid, column: str, collected: Collected, cache: Cache) -> Table | None:
    """Accuracy, or box AP, of every class, percent: one row a class, one column a backbone.

    None where no run of the column has outcomes that tell of classes.
    """
    found = {row: values for row in grid.rows if (values := _of_cell(grid.at(row, column), collected, cache))}
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    if len(names) < 2:
        return None
    rows = tuple((plain(name), *(_number(found[row].get(name)) for row in found)) for name in names)
    return Table(("class", *map(plain, found)), rows)


def most_telling(table: Table) -> Table:
    """The classes on which backbones differ most, for a table too long to read."""
    spread = [max(values) - min(values) if (values := _values(row)) else -1.0 for row in table.rows]
    order = sorted(range(len(table.rows)), key=lambda i: -spread[i])[:SHOWN_CLASSES]
    return Table(table.header, tuple(table.rows[i] for i in order), table.words)


def layer_tables(grid: Grid, column: str) -> dict[Family, Table]:
    """By family: one row a backbone, one column a layer, mean over its runs."""
    found: dict[Family, dict[str, dict[str, list[float]]]] = {}
    for row in grid.rows:
        for run in grid.at(row, column).runs:
            for metric in run.metrics:
                if metric.layer:
                    rows = found.setdefault(Family.of(metric), {})
                    rows.setdefault(row, {}).setdefault(metric.layer, []).append(metric.value)
    return {family: _layers(rows, family.unit) for family, rows in found.items()}


def _layers(rows: dict[str, dict[str, list[float]]], unit: str) -> Table:
    layers = in_one_order([list(by_layer) for by_layer in rows.values()])
    body = tuple(
        (plain(row), *(_number(fmean(v) if (v := by_layer.get(layer)) else None, unit) for layer in layers))
        for row, by_layer in rows.items()
    )
    return Table(("backbone", *map(plain, layers)), body)


def _of_cell(cell: Cell, collected: Collected, cache: Cache) -> dict[str, float]:
    """Mean over the runs of each class's value."""
    found: dict[str, list[float]] = {}
    for run in cell.runs:
        if run.examples:
            name = digest("classes", origin(run, collected.folder(run)))
            cache.knows(name, CLASSES)
            kept = cache.get(name, partial(_by_class, run, collected))
            for name, value in kept.items():
                found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in found.items()}


def _by_class(run: TaskResult, collected: Collected) -> dict[str, float]:
    """Classes that the test images hold, in the data set's order."""
    try:
        outcomes = load(collected.folder(run) / run.examples)
    except (OSError, ValueError):
        return {}  # the comparison says so
    if isinstance(outcomes, ClassificationOutcomes):
        return _accuracies(outcomes)
    return _precisions(outcomes)


def _accuracies(outcomes: ClassificationOutcomes) -> dict[str, float]:
    if not len(outcomes.label):
        return {}
    right = outcomes.prediction == outcomes.label
    count = np.bincount(outcomes.label)
    hits = np.bincount(outcomes.label, weights=right)
    return {
        _named(outcomes.classes, c): float(100 * hits[c] / count[c]) for c in np.flatnonzero(count).tolist()
    }


def _precisions(outcomes: DetectionOutcomes) -> dict[str, float]:
    every = np.ones((1, len(outcomes.example)), np.int64)
    present = np.flatnonzero(outcomes.bbox_objects.sum(axis=0)).tolist()
    classes = ranked(outcomes, "bbox")  # those with objects, in order
    return {
        _named(outcomes.classes, c): float(average_precision([one], every).mean())
        for c, one in zip(present, classes, strict=True)
    }


def _named(classes: np.ndarray, number: int) -> str:
    return str(classes[number]) if number < len(classes) else f"class {number}"


def _number(value: float | None, unit: str = "%") -> str:
    return MISSING if value is None else f"{value:.{decimals(unit, 1, value)}f}"


def _values(row: Sequence[str]) -> list[float]:
    return [float(cell) for cell in row[1:] if cell != MISSING]
