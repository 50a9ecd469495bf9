"""Curves over training of the evaluations that train something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hsa_bench.core.results.curve import Curve
from reports.figures.lines import Line, Panel, saved_lines, thinned
from reports.figures.picture import Picture
from reports.figures.style import MOST_PANELS, looks
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid


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
    recorded = (curve for row in runs for run in runs[row] for curve in run.curves)
    names = dict.fromkeys(curve.name for curve in recorded if _is_course(curve))
    firsts = {row: found[0].courses for row, found in runs.items() if found}
    panels = [_panel(column, {row: own[n] for row, own in firsts.items() if n in own}) for n in names]
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


def _is_course(curve: Curve) -> bool:
    return bool(curve.values) and curve.along != "place" and not curve.detail


def _panel(column: str, curves: Mapping[str, Curve]) -> Panel:
    """One curve of several results, by the name of their line."""
    recorded = {row: curve for row, curve in curves.items() if curve.values}
    along = {curve.along for curve in recorded.values()}
    shared = along.pop() if len(along) == 1 else ""
    lines = []
    for row, curve in recorded.items():
        x = curve.x if shared else tuple(map(float, range(1, len(curve.values) + 1)))
        lines.append(thinned(Line(row, x, curve.values)))
    words, axis = next(((c.words, c.axis) for c in recorded.values()), ("", ""))
    return Panel(f"{column}: {words}", shared or "recorded point", axis, tuple(lines), whole=True)
