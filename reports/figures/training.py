"""Curves over training of the evaluations that train something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hsa_bench.core.results.result import TaskResult
from reports.figures.lines import Line, Panel, saved_lines, thinned
from reports.figures.picture import Picture
from reports.figures.style import MOST_PANELS, looks
from reports.figures.units import axis, words
from reports.run_folder.collected import Collected
from reports.run_folder.grid import DRAWS, Grid

NO_COURSE = (DRAWS, "spectrum")
"""How the names of curves begin that do not run over time."""

LENGTHS = {"epochs": "epoch", "steps": "step", "iterations": "iteration"}
"""Settings that say how long a training is, and what they count."""


def draw_training(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """A panel per task and curve, one line per backbone: its first run; None if no task left a curve."""
    found = [panel for column in grid.columns for panel in _of_column(grid, column)]
    shown = _one_of_each_first(found)
    if not shown:
        return None
    own = looks(grid, baseline, controls)
    caption = "How the evaluations trained; of each backbone the first run."
    if any(len(line.x) < line.x[-1] for panel in shown for line in panel.lines):
        caption += " Long curves are means over equal parts."
    caption += " Losses of different tasks are different quantities; a low training loss is no result."
    if len(found) > len(shown):
        more = len(found) - len(shown)
        caption += f" {more} further curve{' is' if more == 1 else 's are'} in the result files alone."
    title = "Training curves of the evaluations"
    return saved_lines(collected, report, "training", shown, own, title, caption)


def _of_column(grid: Grid, column: str) -> list[Panel]:
    runs = {row: grid.at(row, column).runs for row in grid.rows}
    recorded = (one for row in runs for run in runs[row] for one in run.curves.items())
    names = dict.fromkeys(name for name, curve in recorded if curve and not name.startswith(NO_COURSE))
    firsts = {row: found[0] for row, found in runs.items() if found}
    panels = [_panel(f"{column}: {words(name)}", name, firsts) for name in names]
    return [panel for panel in panels if panel.lines]


def _one_of_each_first(found: Sequence[Panel]) -> list[Panel]:
    """As many panels as one figure takes, the first of every task before the second of any."""
    turn: dict[str, int] = {}
    turns = []
    for panel in found:
        task = panel.title.partition(": ")[0]
        turn[task] = turn.get(task, 0) + 1
        turns.append(turn[task])
    kept = sorted(range(len(found)), key=lambda i: (turns[i], i))[:MOST_PANELS]
    return [found[i] for i in sorted(kept)]


def _panel(title: str, name: str, results: Mapping[str, TaskResult]) -> Panel:
    """One curve of several results, by the name of their line."""
    recorded = {row: result for row, result in results.items() if result.curves.get(name)}
    units = {_unit(result, len(result.curves[name])) for result in recorded.values()}
    unit = units.pop() if len(units) == 1 else ""
    lines = [_line(row, result, name, unit) for row, result in recorded.items()]
    return Panel(title, LENGTHS.get(unit, "recorded point"), axis(name), tuple(lines), whole=True)


def _unit(result: TaskResult, points: int) -> str:
    """Setting that counts what a curve's points stand for, or "" if none does."""
    settings = result.spec.settings
    equal = [unit for unit in LENGTHS if settings.get(unit) == points]
    thinned = "iterations" if points < (settings.get("iterations") or 0) else ""
    return equal[0] if equal else thinned


def _line(row: str, result: TaskResult, name: str, unit: str) -> Line:
    curve = result.curves[name]
    stretch = result.spec.settings[unit] / len(curve) if unit else 1.0
    return thinned(Line(row, tuple(at * stretch for at in range(1, len(curve) + 1)), tuple(curve)))
