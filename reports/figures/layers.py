"""A metric layer by layer, for tasks that measure every stage of a network or every block."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from string import digits

from reports.figures.lines import Line, Panel, bars, saved_lines
from reports.figures.picture import Picture
from reports.figures.style import MOST_PANELS, looks
from reports.run_folder.collected import Collected
from reports.run_folder.family import Family
from reports.run_folder.grid import Cell, Grid

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
        curves: dict[tuple[str, Family], dict[str, tuple[Cell, Curve]]] = {}
        for row in grid.rows:
            cell = grid.at(row, column)
            for name, curve in _curves(cell).items():
                curves.setdefault(name, {})[row] = cell, curve
        for (kind, family), of_rows in curves.items():
            lines = [_line(row, cell, curve) for row, (cell, curve) in of_rows.items()]
            yield Panel(
                title=f"{column}: {family.title}",
                x_label=kind,
                y_label=family.axis,
                lines=tuple(lines),
                ticks=_ticks(curve for _, curve in of_rows.values()),
            )


def _curves(cell: Cell) -> dict[tuple[str, Family], Curve]:
    """Values by layer, for each kind of layer and family of metrics."""
    metrics = [metric for run in cell.runs for metric in run.metrics if metric.layer]
    places = _places(list(dict.fromkeys(metric.layer for metric in metrics)))
    curves: dict[tuple[str, Family], Curve] = {}
    for metric in metrics:
        kind, layer = places[metric.layer]
        curves.setdefault((kind, Family.of(metric)), {}).setdefault(layer, []).append(metric.value)
    return curves


def _places(layers: Sequence[str]) -> dict[str, tuple[str, Layer]]:
    """Kind and place of each layer: by its number, those without one, as a stem, before; else in order."""
    kinds = {layer: layer.rstrip(digits) for layer in layers}
    numbers = {
        layer: int(layer[len(kind) :]) for layer, kind in kinds.items() if 0 < len(layer) - len(kind) < 7
    }
    bare = [layer for layer in layers if layer not in numbers]
    ordered = list(numbers.values()) == sorted(numbers.values())
    if ordered and list(layers[: len(bare)]) != bare:  # a name without a number follows one that has it
        return {layer: ("layer", (i, layer)) for i, layer in enumerate(layers)}
    first = min(numbers.values(), default=len(bare)) - len(bare)
    kind = next((kinds[layer] for layer in numbers), "layer")
    before = {layer: (kind, (first + i, layer)) for i, layer in enumerate(bare)}
    return {**before, **{layer: (kinds[layer], (n, str(n))) for layer, n in numbers.items()}}


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
