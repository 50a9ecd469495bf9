"""Differences to the baseline, paired over test images, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reports.bootstrap import Impossible, Interval, Measured, Resampled, interval, measure, resample
from reports.frame import Collected
from reports.grid import Grid

Place = tuple[str, str]
"""Row and column of the grid."""


@dataclass(frozen=True)
class Difference:
    """One backbone's score less another's on the same test images."""

    value: float
    """Percentage points."""
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """Every score with its uncertainty, and its difference to the baseline."""

    baseline: str
    """Row of the baseline; empty if there is none."""
    scores: Mapping[Place, Resampled | Impossible]
    """Of every cell with a number."""
    differences: Mapping[Place, Difference | Impossible]
    """Of every cell with a number whose column has a baseline, the baseline's own left out."""

    def between(self, place: Place, other: Place) -> Difference | Impossible:
        """Difference of two cells that have a number."""
        return difference(self.scores[place], self.scores[other])


def compare(collected: Collected, grid: Grid, baseline: str) -> Comparison:
    """Resample every cell with a number and set it against the baseline.

    Args:
        collected: Where the per-example outcomes stand.
        grid: The cells.
        baseline: Label of the baseline; without one, or one of several rows, there are no differences,
            nor are there of runs limited to a part of the images.
    """
    measured = {
        place: measure(cell.runs, collected.folder(cell.runs[0]))
        for place, cell in grid.cells.items()
        if cell.runs
    }
    resampled = resample({p: one for p, one in measured.items() if isinstance(one, Measured)})
    scores = {p: one if isinstance(one, Impossible) else resampled[p] for p, one in measured.items()}
    base = grid.row_of(baseline) or ""
    limited = {at for at, cell in grid.cells.items() if any(run.spec.limit is not None for run in cell.runs)}
    differences = {
        (row, column): difference(score, scores[base, column])
        for (row, column), score in scores.items()
        if row != base and (base, column) in scores and (row, column) not in limited
    }
    return Comparison(base, scores, differences)


def difference(one: Resampled | Impossible, other: Resampled | Impossible) -> Difference | Impossible:
    """The first score less the second, if both were measured on the same images.

    Both were resampled with the same draws, so the noise that comes from easy and hard images cancels.
    """
    if isinstance(one, Impossible):
        return one
    if isinstance(other, Impossible):
        return Impossible(f"on the other side {other.reason}")
    if one.data != other.data:
        return Impossible(f"measured on different data (fingerprints {one.data} and {other.data})")
    if not np.array_equal(one.example, other.example):
        return Impossible("measured on different test images")
    return Difference(one.score - other.score, interval(one.draws - other.draws))
