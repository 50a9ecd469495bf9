"""How far each pretraining is after so many epochs, and after so much compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from hsa_bench.core.result import TaskResult
from reports.collected import PRETRAINING, Collected
from reports.figures.lines import Line, Panel, bars, saved_lines
from reports.figures.picture import Picture
from reports.figures.style import looks_by_label, looks_of
from reports.figures.units import axis
from reports.grid import Grid

KNN = "knn"
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

CAPTION = (
    "kNN accuracy on a fixed tenth of the training images, by the labels of the others, while pretraining "
    "goes on: against epochs, and against the multiplications and additions that these cost (forward, "
    "backward and mining, in proportion to the epochs). An epoch costs unlike much in different methods."
)


def draw_progress(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """Two panels, one line for each name; None without looks at two pretrainings whose cost is known."""
    results = [r for r in collected.results if r.spec.task == PRETRAINING and len(r.curves.get(KNN, [])) > 1]
    costs = {r.label: r.source.budget.flops for r in collected.results if r.source.budget}
    runs: dict[str, list[TaskResult]] = {}
    for result in results:
        if costs.get(result.label) and looked_at(result):
            runs.setdefault(result.label, []).append(result)
    if len(runs) < 2:
        return None
    own = {**looks_of(runs), **looks_by_label(grid, baseline, controls)}
    by_epochs = {label: _line(label, found) for label, found in runs.items()}
    power = 3 * int(math.log10(max(costs[label] for label in runs)) // 3)
    by_cost = [
        _stretched(line, costs[label] / _epochs(runs[label][0]) / 10**power)
        for label, line in by_epochs.items()
    ]
    shown = [
        Panel("after so many epochs", "epochs", axis(KNN), tuple(by_epochs.values())),
        Panel(
            "after so much compute",
            f"10{str(power).translate(RAISED)} multiplications and additions",
            axis(KNN),
            tuple(by_cost),
        ),
    ]
    caption = CAPTION
    caption += bars(shown, "pretrainings, where there are several")
    return saved_lines(collected, report, "progress", shown, own, "Accuracy while pretraining", caption)


def looked_at(result: TaskResult) -> list[int]:
    """Epochs after which a pretraining looked at its features; empty where its settings do not tell."""
    every, epochs = result.spec.settings.get("knn_every") or 0, _epochs(result)
    found = [e for e in range(1, epochs + 1) if e % every == 0 or e == epochs] if every else []
    return found if len(found) == len(result.curves[KNN]) else []


def _epochs(result: TaskResult) -> int:
    return int(result.spec.settings.get("epochs") or 0)


def _line(label: str, runs: Sequence[TaskResult]) -> Line:
    """Mean over the runs that are as long as the first."""
    epochs = looked_at(runs[0])
    alike = [run for run in runs if looked_at(run) == epochs]
    values = list(zip(*(run.curves[KNN] for run in alike), strict=True))
    error = tuple(stdev(point) for point in values) if len(alike) > 1 else ()
    return Line(label, tuple(map(float, epochs)), tuple(fmean(point) for point in values), error)


def _stretched(line: Line, factor: float) -> Line:
    return Line(line.row, tuple(e * factor for e in line.x), line.y, line.error)
