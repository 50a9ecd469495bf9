"""A metric layer by layer, for tasks that measure every stage of a network or every block."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reports.figures.lines import Line, Panel, bars, saved_lines
from reports.figures.picture import Picture
from reports.figures.style import MOST_PANELS, looks
from reports.figures.units import axis, words
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Cell, Grid

LAYER = re.compile(r"(stem|(stage|block)(\d+))/(.+)")
"""Name of a metric of one layer, e.g. "stage3/top1"."""

MOST_TICKS = 7

Layer = tuple[int, str]
"""Place along x, and what it is called there."""

Curve = dict[Layer, list[float]]
"""Values of the runs by layer."""


def draw_layers(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """A panel per task, metric and kind of layer, one line per backbone; None without such metrics."""
    found = list(_panels(grid))
    shown = found[:MOST_PANELS]
    if not shown:
        return None
    own = looks(grid, baseline, controls)
    caption = (
        "The same measurement on the features of each layer, from the first to the last; mean over runs."
    )
    caption += bars(shown, "runs, where there are several")
    if len(found) > len(shown):
        caption += f" {len(found) - len(shown)} further panels are left out."
    return saved_lines(collected, report, "layers", shown, own, "Layer by layer", caption)


def _panels(grid: Grid) -> Iterator[Panel]:
    for column in grid.columns:
        curves: dict[tuple[str, str], dict[str, tuple[Cell, Curve]]] = {}
        for row in grid.rows:
            cell = grid.at(row, column)
            for name, curve in _curves(cell).items():
                curves.setdefault(name, {})[row] = cell, curve
        for (kind, metric), of_rows in curves.items():
            lines = [_line(row, cell, curve) for row, (cell, curve) in of_rows.items()]
            yield Panel(
                title=f"{column}: {words(metric)}",
                x_label=kind,
                y_label=axis(metric),
                lines=tuple(lines),
                ticks=_ticks(curve for _, curve in of_rows.values()),
            )


def _curves(cell: Cell) -> dict[tuple[str, str], Curve]:
    """Values by layer, for each kind of layer and metric; a stem comes before the kind its network has."""
    named = [(LAYER.fullmatch(name), value) for run in cell.runs for name, value in run.metrics.items()]
    found = [(match, value) for match, value in named if match]
    numbers = [int(match[3]) for match, _ in found if match[3]]
    stem: Layer = min(numbers, default=1) - 1, "stem"
    kind = next((match[2] for match, _ in found if match[2]), "layer")
    curves: dict[tuple[str, str], Curve] = {}
    for match, value in found:
        layer = (int(match[3]), match[3]) if match[3] else stem
        curves.setdefault((match[2] or kind, match[4]), {}).setdefault(layer, []).append(value)
    return curves


def _line(row: str, cell: Cell, curve: Curve) -> Line:
    layers = sorted(curve)
    several = cell.repeated and all(len(curve[layer]) > 1 for layer in layers)
    return Line(
        row=row,
        x=tuple(float(place) for place, _ in layers),
        y=tuple(statistics.fmean(curve[layer]) for layer in layers),
        error=tuple(statistics.stdev(curve[layer]) for layer in layers) if several else (),
    )


def _ticks(curves: Iterable[Curve]) -> tuple[tuple[float, str], ...]:
    """First and last layer, and some between where there are many."""
    layers = sorted({layer for curve in curves for layer in curve})
    step = -(-len(layers) // MOST_TICKS)
    kept = [layer for i, layer in enumerate(reversed(layers)) if i % step == 0]
    if layers[0] not in kept and kept[-1] != layers[1]:
        kept.append(layers[0])
    return tuple((float(place), name) for place, name in reversed(kept))
