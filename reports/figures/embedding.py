"""Maps of the feature space, one panel for each of a few backbones, from what the task `knn` left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from hsa_bench.core.results.npz import read_arrays
from hsa_bench.core.results.result import TaskResult
from reports.figures.picture import Picture, cache_of, saved
from reports.figures.ranking import best_row
from reports.figures.style import add_legend, panels, shortened
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid
from reports.writing.table import number

ARTEFACT = "embedding"
MOST_MAPS, MOST_POINTS = 6, 5000
HEIGHT = 2.35
"""Of a panel, inches."""

NAMED, TOLD_APART = 10, 20
"""Classes up to which each has its name written on the map, and up to which each has its colour and marker;
of more, only the `NAMED` most frequent have."""

# Okabe and Ito's seven colours and black, a brown and a dark grey. Ten colours are more than colour-blind
# readers tell apart, so every class has a marker, too.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#B5A800",
    "#8C564B", "#6B6B6B",
)  # fmt: skip
MARKERS = ("o", "^", "s", "v", "D", "P", "X", "<", ">", "*")
REST = "#C8C8C8"
OTHER = -1
"""Stands for all classes that are grey."""

NAME_SIZE = 7.5
"""Of a class's name, points."""
CLOSE = 10
"""Points of a class by which its densest place is found."""

LONGEST = 14
"""Letters of a class's name."""


@dataclass(frozen=True)
class Map:
    """One backbone's map."""

    title: str
    xy: NDArray[np.float32]
    """[n, 2]."""
    label: NDArray[np.int64]
    """[n]."""
    classes: tuple[str, ...]
    method: str
    """How it was made, a phrase."""

    @property
    def shown(self) -> list[int]:
        """Classes with a colour of their own: all, or the most frequent of many, in order."""
        present, counts = np.unique(self.label, return_counts=True)
        most = TOLD_APART if len(present) <= TOLD_APART else NAMED
        frequent = present[np.argsort(-counts, kind="stable")[:most]]
        return sorted(int(one) for one in frequent)

    @property
    def hidden(self) -> int:
        """How many classes are grey."""
        return len(np.unique(self.label)) - len(self.shown)


def draw_embedding(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """Up to six maps: the best backbone's, the baseline's, a control's, then others; None without any."""
    shown = list(_maps(collected, grid, baseline, controls))
    if not shown:
        return None
    title = "Maps of the feature space"
    return saved(
        report, cache_of(collected), "embedding", shown, lambda: _figure(shown), title, _caption(shown)
    )


def _maps(collected: Collected, grid: Grid, baseline: str, controls: Sequence[str]) -> Iterator[Map]:
    for column in grid.columns:
        found = {row: _result(grid, row, column) for row in grid.rows}
        rows = [row for row, result in found.items() if result]
        if not rows:
            continue
        untrained = [row for row in rows if grid.row_labels[row] in controls]
        trained = [row for row in rows if row not in untrained]
        best = best_row(grid, column, controls)
        first = [row for row in (best, baseline, *untrained[:1]) if row in rows]
        order = dict.fromkeys([*first, *trained, *untrained])
        read = (_read(collected, row, found[row]) for row in order)
        yield from [one for one in read if one][:MOST_MAPS]
        return


def _result(grid: Grid, row: str, column: str) -> TaskResult | None:
    """The first run of a cell that left a map."""
    return next((run for run in grid.at(row, column).runs if ARTEFACT in run.artefacts), None)


def _read(collected: Collected, row: str, result: TaskResult | None) -> Map | None:
    """The map that a run left; None if the file is gone or none of ours."""
    if result is None:
        return None
    main = result.main
    title = f"{shortened(row, 16)}: {result.spec.task} {main.words} {number(main.value, main.unit)}"
    try:
        kept = read_arrays(collected.folder(result) / result.artefacts[ARTEFACT])
        classes = tuple(str(name) for name in kept["classes"])
        one = Map(title, kept["xy"], kept["label"], classes, str(kept["method"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return one if _sound(one) else None


def _sound(one: Map) -> bool:
    """Whether it is a map as the task draws it: some hundred points, each of a class."""
    points = len(one.xy)
    if not 0 < points <= MOST_POINTS or one.xy.shape != (points, 2) or one.label.shape != (points,):
        return False
    numbers = one.xy.dtype.kind == "f" and one.label.dtype.kind in "iu" and np.isfinite(one.xy).all()
    return bool(numbers and one.label.min() >= 0 and one.label.max() < len(one.classes))


def _figure(shown: Sequence[Map]) -> Figure:
    figure, axes = panels(len(shown), HEIGHT)
    for ax, one in zip(axes, shown, strict=True):
        _draw(ax, one)
    first = shown[0]  # all are of the same test images
    entries = [(shortened(first.classes[c], LONGEST), _look(c, first.shown)) for c in first.shown]
    rest = [("other classes", _look(OTHER, first.shown))] if first.hidden else []
    add_legend(figure, [Line2D([], [], label=name, markersize=4, **look) for name, look in entries + rest])
    return figure


def _draw(ax: Axes, one: Map) -> None:
    for label in (OTHER, *one.shown):
        chosen = one.label == label if label != OTHER else ~np.isin(one.label, one.shown)
        ax.plot(*one.xy[chosen].T, markersize=3, **_look(label, one.shown))
    if len(one.shown) <= NAMED and not one.hidden:
        names = [shortened(one.classes[label], LONGEST) for label in one.shown]
        places = np.stack([densest(one.xy[one.label == label]) for label in one.shown])
        halo = [withStroke(linewidth=2, foreground="white")]
        for name, (x, y) in zip(
            names, apart(places, names, float(np.ptp(one.xy, axis=0).max())), strict=True
        ):
            ax.text(x, y, name, size=NAME_SIZE, weight="bold", ha="center", va="center", path_effects=halo)
    ax.set_title(one.title)
    ax.set_aspect("equal", adjustable="datalim")
    ax.grid(visible=False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set(visible=True, color="#BFBFBF")


def densest(xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """The point, [2], of some, [n, 2], that has its `CLOSE` nearest others closest to it.

    A class in several parts has its median where it is not.
    """
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)  # [n, n]
    near = np.sort(distance, axis=1)[:, : CLOSE + 1]
    return xy[int(near.sum(1).argmin())]


def apart(places: NDArray[np.float32], names: Sequence[str], span: float) -> NDArray[np.float64]:
    """Names moved up or down until none covers another, [m, 2].

    Args:
        places: Where their middles would be, [m, 2].
        names: What is written there.
        span: How much of the axis a panel shows.
    """
    moved = places.astype(np.float64)
    point = span / (72 * HEIGHT * 0.85)  # in data units
    width = np.array([len(name) for name in names]) * 0.65 * NAME_SIZE * point
    high = 1.1 * NAME_SIZE * point
    for _ in range(100):
        for i, j in combinations(range(len(moved)), 2):
            dx, dy = moved[j] - moved[i]
            lacking = high - abs(dy)
            if abs(dx) < (width[i] + width[j]) / 2 and lacking > 0:
                step = lacking / 2 if dy >= 0 else -lacking / 2
                moved[i, 1] -= step
                moved[j, 1] += step
    return moved


def _look(label: int, shown: Sequence[int]) -> dict[str, Any]:
    """For `Axes.plot`: a class's colour and marker by its turn; the eleventh and later are open."""
    if label == OTHER:
        return {"linestyle": "none", "marker": ".", "color": REST, "markeredgewidth": 0}
    turn = shown.index(label)
    colour, hollow = COLOURS[turn % len(COLOURS)], turn >= len(COLOURS)
    return {
        "linestyle": "none",
        "marker": MARKERS[(turn + turn // len(COLOURS)) % len(MARKERS)],
        "color": colour,
        "markerfacecolor": "none" if hollow else colour,
        "markeredgewidth": 0.5 if hollow else 0,
    }


def _caption(shown: Sequence[Map]) -> str:
    first = shown[0]
    text = (
        f"Each point is a test image, placed so that images with similar features are near ({first.method}). "
    )
    if any(one.hidden for one in shown):
        text += (
            f"Of {len(np.unique(first.label)):,} classes the {len(first.shown)} most frequent among these "
            "images are told apart, the others are grey. "
        )
    return text + (
        "Which points are neighbours means something; distances between groups, their sizes and the "
        "directions mean little, and each map has its own scale. One run of each backbone, made once with a "
        "fixed seed and not chosen by looking; no number of this report comes from it."
    )
