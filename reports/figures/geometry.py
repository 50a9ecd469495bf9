"""Where backbones stand between closeness and evenness, and how fast their singular values fall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from hsa_bench.core.results.curve import Curve
from hsa_bench.core.results.metric import Metric
from reports.figures.picture import Picture, cache_of, saved
from reports.figures.style import Look, add_legend, entries, looks, panels
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid
from reports.writing.table import sentence

HEIGHT = 2.6
"""Of a panel, inches."""
LEAST = 1e-5
"""Singular values below this share of the first are not drawn."""

CAPTION = (
    "Left: {x} against {y}; useful features need both, and both do not make them. "
    "Right: singular values of the features, largest first, as a share of the first; a line that falls early "
    "uses few directions. Diagnostics: neither foretells transfer."
)

Point = tuple[float, float]

ARROWS = {("x", "lower"): "←", ("x", "higher"): "→", ("y", "lower"): "↓", ("y", "higher"): "↑"}
"""Where the better values are, by axis and direction."""


def draw_geometry(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """Two panels for the first task with two metrics of a plane of two backbones; None without one."""
    columns = [c for c in grid.columns if len(_points(grid, c)) > 1]
    if not columns:
        return None
    column = columns[0]
    points, spectra = _points(grid, column), _spectra(grid, column)
    labels = {place: _explained(metric) for place, metric in _axes(grid, column).items()}
    caption = CAPTION.format(**labels)
    if len(columns) > 1:
        caption = f"Of {column}, the first of {len(columns)}. {caption}"
    own = looks(grid, baseline, controls)

    def draw() -> Figure:
        figure, (plane, fall) = panels(2, HEIGHT)
        _plane(plane, points, own, _axes(grid, column))
        _fall(fall, spectra, own)
        add_legend(figure, entries(points, own))
        return figure

    key, title = [points, spectra, own, labels], "Geometry of the features"
    return saved(report, cache_of(collected), "geometry", key, draw, title, caption)


def _points(grid: Grid, column: str) -> dict[str, Point]:
    """The two metrics of a plane of each backbone that has both, means over its runs."""
    found = {}
    for row in grid.rows:
        planes = [{m.plane: m.value for m in run.metrics if m.plane} for run in grid.at(row, column).runs]
        both = [plane for plane in planes if {"x", "y"} <= plane.keys()]
        if both:
            found[row] = fmean(plane["x"] for plane in both), fmean(plane["y"] for plane in both)
    return found


def _axes(grid: Grid, column: str) -> dict[str, Metric]:
    """The metric on each axis."""
    runs = (run for row in grid.rows for run in grid.at(row, column).runs)
    return {metric.plane: metric for run in runs for metric in run.metrics if metric.plane}


def _spectra(grid: Grid, column: str) -> dict[str, tuple[float, ...]]:
    """Singular values of each backbone's first run that has them."""
    kept = {
        row: [curve.values for run in grid.at(row, column).runs for curve in filter(_falls, run.curves)]
        for row in grid.rows
    }
    return {row: curves[0] for row, curves in kept.items() if curves}


def _falls(curve: Curve) -> bool:
    return curve.along == "place" and bool(curve.values)


def _plane(
    ax: Axes, points: Mapping[str, Point], own: Mapping[str, Look], axes: Mapping[str, Metric]
) -> None:
    for row, point in points.items():
        ax.plot(*point, label=row, **{**own[row].kwargs(), "linestyle": "none", "markersize": 5})
    x, y = axes["x"], axes["y"]
    ax.set_title(sentence(f"{x.words} and {y.words}"))
    ax.set_xlabel(_towards(x))
    ax.set_ylabel(_towards(y))
    ax.margins(0.12)


def _explained(metric: Metric) -> str:
    return f"{metric.words} ({metric.meaning})" if metric.meaning else metric.words


def _towards(metric: Metric) -> str:
    arrow = ARROWS.get((metric.plane, metric.better), "")
    return f"{metric.axis} (better {arrow})" if arrow else metric.axis


def _fall(ax: Axes, spectra: Mapping[str, tuple[float, ...]], own: Mapping[str, Look]) -> None:
    for row, values in spectra.items():
        shown = [value for value in values if value > LEAST]
        look = {**own[row].kwargs(), "marker": ""}
        ax.plot(range(1, len(shown) + 1), shown, label=row, linewidth=1.2, **look)
    ax.set_yscale("log")
    ax.set_xscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    ax.set_title("Singular values")
    ax.set_xlabel("place")
    ax.set_ylabel("share of the largest")
