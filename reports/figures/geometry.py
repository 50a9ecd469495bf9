"""Where backbones stand between closeness and evenness, and how fast their singular values fall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.picture import Picture, cache_of, saved
from reports.figures.style import Look, add_legend, entries, looks, panels
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid

HEIGHT = 2.6
"""Of a panel, inches."""
LEAST = 1e-5
"""Singular values below this share of the first are not drawn."""

CAPTION = (
    "Left: mean squared distance of two views of one picture against the log of the mean potential of all "
    "pairs; down and left is better of both, which useful features need and which does not make them. "
    "Right: singular values of the features, largest first, as a share of the first; a line that falls early "
    "uses few directions. Diagnostics: neither foretells transfer."
)

Point = tuple[float, float]


def draw_geometry(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """Two panels for the first task with these metrics of two backbones; None without one."""
    columns = [c for c in grid.columns if len(_points(grid, c)) > 1]
    if not columns:
        return None
    column = columns[0]
    points, spectra = _points(grid, column), _spectra(grid, column)
    caption = CAPTION if len(columns) == 1 else f"Of {column}, the first of {len(columns)}. {CAPTION}"
    own = looks(grid, baseline, controls)

    def draw() -> Figure:
        figure, (plane, fall) = panels(2, HEIGHT)
        _plane(plane, points, own)
        _fall(fall, spectra, own)
        add_legend(figure, entries(points, own))
        return figure

    key, title = [points, spectra, own], "Geometry of the features"
    return saved(report, cache_of(collected), "geometry", key, draw, title, caption)


def _points(grid: Grid, column: str) -> dict[str, Point]:
    """Alignment and uniformity of each backbone that has both, means over its runs."""
    found = {}
    for row in grid.rows:
        both = [r for r in grid.at(row, column).runs if {"alignment", "uniformity"} <= r.metrics.keys()]
        if both:
            x, y = (fmean(r.metrics[name] for r in both) for name in ("alignment", "uniformity"))
            found[row] = x, y
    return found


def _spectra(grid: Grid, column: str) -> dict[str, list[float]]:
    """Singular values of each backbone's first run that has them."""
    kept = {
        row: [r.curves["spectrum"] for r in grid.at(row, column).runs if r.curves.get("spectrum")]
        for row in grid.rows
    }
    return {row: curves[0] for row, curves in kept.items() if curves}


def _plane(ax: Axes, points: Mapping[str, Point], own: Mapping[str, Look]) -> None:
    for row, (x, y) in points.items():
        ax.plot(x, y, label=row, **{**own[row].kwargs(), "linestyle": "none", "markersize": 5})
    ax.set_title("Alignment and uniformity")
    ax.set_xlabel("alignment (closer ←)")
    ax.set_ylabel("uniformity (more even ↓)")
    ax.margins(0.12)


def _fall(ax: Axes, spectra: Mapping[str, list[float]], own: Mapping[str, Look]) -> None:
    for row, values in spectra.items():
        shown = [value for value in values if value > LEAST]
        look = {**own[row].kwargs(), "marker": ""}
        ax.plot(range(1, len(shown) + 1), shown, label=row, linewidth=1.2, **look)
    ax.set_yscale("log")
    ax.set_xscale("log")
    ax.set_title("Singular values")
    ax.set_xlabel("place")
    ax.set_ylabel("share of the largest")
