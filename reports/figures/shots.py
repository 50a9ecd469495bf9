"""Accuracy against the number of training images per class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from reports.figures.lines import Line, Panel, bars, saved_lines
from reports.figures.picture import Picture
from reports.figures.style import MOST_PANELS, looks
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid
from reports.sections.shots import Shot, by_shots

APART = 1.03
"""Factor between the places of two backbones, so that their bars do not cover each other."""


def draw_shots(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """A panel per task and classifier, one line per backbone; None without several numbers of images."""
    found = list(_panels(grid))
    shown = found[:MOST_PANELS]
    if not shown:
        return None
    own = looks(grid, baseline, controls)
    caption = "Score by how many labelled images of each class the classifier learns from; mean over draws."
    caption += bars(shown, "the draws")
    caption += " Backbones stand a little beside each other, so that none covers another."
    if len(found) > len(shown):
        caption += f" {len(found) - len(shown)} further panels are left out."
    return saved_lines(collected, report, "shots", shown, own, "From few images per class", caption)


def _panels(grid: Grid) -> Iterator[Panel]:
    for column in grid.columns:
        found = {row: by_shots(grid.at(row, column)) for row in grid.rows}
        for family in dict.fromkeys(family for one in found.values() for family in one):
            rows = {row: one[family] for row, one in found.items() if family in one}
            numbers = sorted({k for shots in rows.values() for k in shots})
            if len(numbers) > 1:
                lines = [_line(row, shots, turn, len(rows)) for turn, (row, shots) in enumerate(rows.items())]
                ticks = tuple((float(k), str(k)) for k in numbers)
                yield Panel(
                    f"{column}: {family.title}", "images per class", family.axis, tuple(lines), True, ticks
                )


def _line(row: str, shots: dict[int, Shot], turn: int, count: int) -> Line:
    beside = APART ** (turn - (count - 1) / 2)
    error = tuple(shot.std or 0.0 for shot in shots.values())
    return Line(
        row=row,
        x=tuple(k * beside for k in shots),
        y=tuple(shot.mean for shot in shots.values()),
        error=error if any(error) else (),
    )
