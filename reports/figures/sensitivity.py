"""How much a number depends on its settings: kNN's k and T, and the learning rate of linear classifiers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.figures.lines import Line, Panel, draw_lines
from reports.figures.picture import Picture, cache_of, saved
from reports.figures.style import MOST_PANELS, looks
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Cell, Grid

NEIGHBOURS, HEADS = "test_top1_by_k_and_T", "held_out_top1"
"""Where results keep the accuracy at every point of a grid of settings."""

K_AND_T, RATE_AND_DECAY = re.compile(r"k (\S+), T (\S+)"), re.compile(r"lr (\S+), wd (\S+)")
"""How they name the points."""

Point = tuple[float, float]
"""k and T, or learning rate and weight decay."""


@dataclass(frozen=True)
class Sweep:
    """Accuracy at every point of a grid of two settings."""

    points: Mapping[Point, float]
    """Percent."""
    own: Point
    """The point whose number is reported."""

    def along(self, place: int) -> dict[float, float]:
        """Accuracy by one of the settings, sorted, the other being the reported one's."""
        other = 1 - place
        found = {p[place]: value for p, value in self.points.items() if equal(p[other], self.own[other])}
        return dict(sorted(found.items()))


def draw_sensitivity(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """Accuracy against one setting, the others being the recipe's or the chosen ones; None without a grid."""
    shown = list(_panels(grid))[:MOST_PANELS]
    if not shown:
        return None
    own = looks(grid, baseline, controls)
    caption = "How much the number depends on a setting; of each backbone the first run."
    if any(panel.mark is not None for panel in shown):
        caption += (
            " kNN: on test images, at the recipe's T or k; dashed: the recipe's own, which is reported."
        )
    if any(panel.mark is None for panel in shown):
        caption += (
            " Learning rate: on the training images that were kept back to choose it, at the chosen weight "
            "decay. A ring at the end of a line says that the grid may be too short."
        )
    return saved(
        report,
        cache_of(collected),
        "sensitivity",
        [shown, own],
        lambda: draw_lines(shown, own, ring="chosen", mark="the recipe's own"),
        "Sensitivity to settings",
        caption,
    )


def equal(one: float, other: float) -> bool:
    """Whether two settings are equal as far as six digits tell, which is what names keep."""
    return math.isclose(one, other, rel_tol=1e-5)


def _panels(grid: Grid) -> Iterator[Panel]:
    for column in grid.columns:
        cells = [grid.at(row, column) for row in grid.rows]
        searched = {cell.row: sweep for cell in cells for sweep in _neighbours(cell)}
        for place, label in enumerate(("neighbours k", "temperature T")):
            lines = [
                _line(row, sweep, place) for row, sweep in searched.items() if len(sweep.along(place)) > 1
            ]
            if lines:
                mark = next(iter(searched.values())).own[place]
                yield Panel(column, label, "top-1, %", tuple(lines), log=True, mark=mark)
        trained = {cell.row: sweep for cell in cells for sweep in _heads(cell)}
        lines = [
            _line(row, sweep, 0, ringed=True) for row, sweep in trained.items() if len(sweep.along(0)) > 1
        ]
        if lines:
            yield Panel(column, "learning rate", "held-out top-1, %", tuple(lines), log=True)


def _line(row: str, sweep: Sweep, place: int, ringed: bool = False) -> Line:
    points = sweep.along(place)
    own = tuple(i for i, value in enumerate(points) if equal(value, sweep.own[place]))
    return Line(row, tuple(points), tuple(points.values()), ringed=own if ringed else ())


def _neighbours(cell: Cell) -> list[Sweep]:
    """What kNN's first run kept, if it kept a grid."""
    known = (run for run in cell.runs if run.effective.get(NEIGHBOURS))
    runs = [run for run in known if "k" in run.effective and "temperature" in run.spec.settings][:1]
    return [
        Sweep(
            _points(run.effective[NEIGHBOURS], K_AND_T),
            (float(run.effective["k"]), float(run.spec.settings["temperature"])),
        )
        for run in runs
    ]


def _heads(cell: Cell) -> list[Sweep]:
    """What a linear evaluator's first run kept, if it kept a grid; fine-tuning keeps pairs of rates."""
    known = (run for run in cell.runs if run.effective.get(HEADS))
    runs = [run for run in known if {"lr", "weight_decay"} <= run.effective.keys()][:1]
    return [
        Sweep(
            _points(run.effective[HEADS], RATE_AND_DECAY),
            (float(run.effective["lr"]), float(run.effective["weight_decay"])),
        )
        for run in runs
    ]


def _points(recorded: Mapping[str, float], name: re.Pattern[str]) -> dict[Point, float]:
    """Accuracy by setting; names that are none of ours are left out."""
    found = {name.fullmatch(text): float(value) for text, value in recorded.items()}
    return {(float(match[1]), float(match[2])): value for match, value in found.items() if match}
