"""Numbers of two cells that chance pairs: those of one evaluation seed, or of one draw of images."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TypeVar

from reports.run_folder.grid import Cell

Key = TypeVar("Key", int, tuple[int, int])


def of_common_seeds(one: Cell, other: Cell) -> tuple[list[float], list[float]]:
    """The main metric of runs of equal seeds, seed by seed."""
    values, others = ({run.spec.seed: run.main.value for run in cell.runs} for cell in (one, other))
    return _common(values, others)


def of_common_draws(one: Cell, other: Cell) -> tuple[list[float], list[float]]:
    """The main metric at each draw of training images of runs of equal seeds, averaged over pretrainings."""
    return _common(_by_draw(one), _by_draw(other))


def _by_draw(cell: Cell) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], list[float]] = {}
    for run in cell.runs:
        for i, value in enumerate(run.main.draws):
            found.setdefault((run.spec.seed, i), []).append(value)
    return {key: statistics.fmean(values) for key, values in found.items()}


def _common(values: Mapping[Key, float], others: Mapping[Key, float]) -> tuple[list[float], list[float]]:
    common = sorted(values.keys() & others.keys())
    return [values[key] for key in common], [others[key] for key in common]
