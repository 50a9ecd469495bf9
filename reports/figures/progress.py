"""How far each pretraining is after so many epochs, and after so much compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hsa_bench.core.results.curve import Curve
from reports.figures.lines import Line, Panel, bars, saved_lines
from reports.figures.picture import Picture
from reports.figures.pretraining import by_name, mean_line, noted
from reports.figures.style import looks_by_label, looks_of
from reports.run_folder.collected import PRETRAINING, Collected
from reports.run_folder.grid import Grid

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

CAPTION = (
    "{what}, while pretraining goes on: against epochs, and against the multiplications and additions that "
    "these cost (forward, backward and mining, in proportion to the epochs). An epoch costs unlike much in "
    "different methods."
)


def draw_progress(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """Two panels, one line for each name; None without looks at two pretrainings whose cost is known."""
    curve = _ranking(collected)
    if curve is None:
        return None
    costs = _costs(collected)
    results = [r for r in collected.results if r.spec.task == PRETRAINING and costs.get(r.label)]
    runs = by_name(r for r in results if any(map(_tells, noted([r], curve.name))))
    if len(runs) < 2:
        return None
    own = {**looks_of(runs), **looks_by_label(grid, baseline, controls)}
    by_epochs = {label: mean_line(label, found, curve.name) for label, found in runs.items()}
    power = 3 * int(math.log10(max(costs[label] for label in runs)) // 3)
    by_cost = [_stretched(line, costs[label] / line.x[-1] / 10**power) for label, line in by_epochs.items()]
    shown = [
        Panel("after so many epochs", "epochs", curve.axis, tuple(by_epochs.values()), whole=True),
        Panel(
            "after so much compute",
            f"10{str(power).translate(RAISED)} multiplications and additions",
            curve.axis,
            tuple(by_cost),
        ),
    ]
    caption = CAPTION.format(what=f"{curve.words}: {curve.meaning}" if curve.meaning else curve.words)
    caption += bars(shown, "pretrainings, where there are several")
    return saved_lines(collected, report, "progress", shown, own, "Accuracy while pretraining", caption)


def _costs(collected: Collected) -> dict[str, float]:
    """FLOPs of the shortest pretraining of each name, where its line ends."""
    found: dict[str, float] = {}
    for result in collected.results:
        if result.source.budget:
            flops = result.source.budget.flops
            found[result.label] = min(flops, found.get(result.label, flops))
    return found


def _ranking(collected: Collected) -> Curve | None:
    """The first curve over epochs by which pretrainings may be ranked."""
    runs = (result for result in collected.results if result.spec.task == PRETRAINING)
    return next((curve for run in runs for curve in run.curves if curve.better and _tells(curve)), None)


def _tells(curve: Curve) -> bool:
    return curve.along == "epoch" and len(curve.values) > 1


def _stretched(line: Line, factor: float) -> Line:
    return replace(line, x=tuple(e * factor for e in line.x))
