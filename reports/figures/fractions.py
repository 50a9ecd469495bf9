"""Accuracy against the share of labels that fine-tuning may use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.figures.lines import Line, Panel, bars, saved_lines
from reports.figures.picture import Picture
from reports.figures.style import MOST_PANELS, looks
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid

APART = 1.035
"""Factor between the places of two backbones, so that their bars do not cover each other."""


@dataclass(frozen=True)
class Fraction:
    """How many labels a task uses, and which tasks differ from it in nothing else."""

    series: str
    """Name of those tasks together."""
    amount: float
    unit: str
    """What `amount` counts."""


def fraction_of(task: str) -> Fraction | None:
    """What a task's name says of the labels it uses: "semisup-10-simclr" uses 10 % of them."""
    found = re.fullmatch(r"semisup-(\d+)(-.+)?", task)
    return Fraction(f"semisup{found[2] or ''}", float(found[1]), "labels used, %") if found else None


def draw_fractions(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """A panel per series of tasks, one line per backbone; None without two fractions of one series."""
    shown = _panels(grid)[:MOST_PANELS]
    if not shown:
        return None
    own = looks(grid, baseline, controls)
    caption = "Score of the fine-tuned network by how many labels it learnt from; mean over runs."
    caption += bars(shown, "runs, where there are several")
    caption += " Backbones stand a little beside each other, so that none covers another."
    return saved_lines(collected, report, "fractions", shown, own, "Accuracy by share of labels", caption)


def _panels(grid: Grid) -> list[Panel]:
    series: dict[tuple[object, ...], list[tuple[Fraction, str]]] = {}
    for column in grid.columns:
        for result in [r for row in grid.rows for r in grid.at(row, column).runs][:1]:
            spec, fraction = result.spec, fraction_of(result.spec.task)
            if fraction:
                like = fraction.series, fraction.unit, spec.version, spec.data.fingerprint, spec.limit
                series.setdefault(like, []).append((fraction, column))
    return [_panel(grid, columns) for columns in series.values() if _is_one_series(columns)]


def _is_one_series(columns: Sequence[tuple[Fraction, str]]) -> bool:
    """Whether there are several fractions, each once: tasks told apart by settings are no series."""
    return len(columns) > 1 and len({fraction.amount for fraction, _ in columns}) == len(columns)


def _panel(grid: Grid, columns: Sequence[tuple[Fraction, str]]) -> Panel:
    ordered = sorted(columns, key=lambda one: one[0].amount)
    rows = [row for row in grid.rows if any(grid.at(row, column).runs for _, column in ordered)]
    lines = []
    for turn, row in enumerate(rows):
        cells = [(f.amount, cell) for f, column in ordered if (cell := grid.at(row, column)).runs]
        beside = APART ** (turn - (len(rows) - 1) / 2)
        error = tuple(cell.std if cell.repeated else 0.0 for _, cell in cells)
        lines.append(
            Line(
                row=row,
                x=tuple(amount * beside for amount, _ in cells),
                y=tuple(cell.mean for _, cell in cells),
                error=error if any(error) else (),
            )
        )
    first, column = ordered[0]
    run = next(run for row in rows for run in grid.at(row, column).runs)
    variant = column.removeprefix(run.spec.task)  # where a task's name stands for several columns
    ticks = tuple((fraction.amount, f"{fraction.amount:g}") for fraction, _ in ordered)
    return Panel(first.series + variant, first.unit, run.main.axis, tuple(lines), log=True, ticks=ticks)
