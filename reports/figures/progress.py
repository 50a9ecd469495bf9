"""How far each pretraining is after so many epochs, and after so much compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reports.figures.lines import Line, Panel, bars, saved_lines
from reports.figures.picture import Picture
from reports.figures.pretraining import by_name, epochs_of, mean_line
from reports.figures.style import looks_by_label, looks_of
from reports.figures.units import axis
from reports.run_folder.collected import PRETRAINING, Collected
from reports.run_folder.grid import Grid

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
    runs = by_name(r for r in results if costs.get(r.label) and epochs_of(r, KNN))
    if len(runs) < 2:
        return None
    own = {**looks_of(runs), **looks_by_label(grid, baseline, controls)}
    by_epochs = {label: mean_line(label, found, KNN) for label, found in runs.items()}
    power = 3 * int(math.log10(max(costs[label] for label in runs)) // 3)
    by_cost = [_stretched(line, costs[label] / line.x[-1] / 10**power) for label, line in by_epochs.items()]
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


def _stretched(line: Line, factor: float) -> Line:
    return replace(line, x=tuple(e * factor for e in line.x))
