"""Accuracy on the data sets of transfer: one row a data set, one marker a backbone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.picture import Picture, cache_of, saved
from reports.figures.style import Look, add_legend, entries, looks, panels, shortened
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Cell, Grid
from reports.sections.transfer import data_set, knn, linear, transfer_columns
from reports.writing.table import sentence

ROW, BESIDE, AROUND = 0.14, 0.06, 0.62
"""Height of a data set's row, of each backbone in it, and of title and labels, inches."""
SPREAD = 0.72
"""Share of a row that its markers are spread over."""
LONGEST = 26
"""Letters of a data set's name."""

CAPTION = (
    "Linear classifier and kNN vote on the same frozen features, by data set; further {better} is better. "
    "{metric}, or what a data set's name says. The markers of one row stand a little above "
    "each other so that none covers another. No marker: no number. For differences that are more than noise, "
    "read the tests, not the distances."
)


@dataclass(frozen=True)
class Dots:
    """One panel."""

    title: str
    values: tuple[tuple[float | None, ...], ...]
    """By data set and backbone; None without a number."""


def draw_transfer(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """A panel a classifier; None with fewer than two data sets that have numbers."""
    columns = [c for c in transfer_columns(grid) if any(grid.at(row, c).runs for row in grid.rows)]
    if len(columns) < 2:
        return None
    rows = [row for row in grid.rows if any(grid.at(row, c).runs for c in columns)]
    both = [_dots(grid, columns, rows, *one) for one in (("linear", linear), ("kNN", knn))]
    shown = [one for one in both if any(value is not None for values in one.values for value in values)]
    reached = [value for one in shown for values in one.values for value in values if value is not None]
    margin = max(1.0, 0.05 * (max(reached) - min(reached)))
    metrics = [metric for column in columns if (metric := grid.metric(column))]
    usual = Counter(metrics_words := [metric.words for metric in metrics]).most_common(1)[0][0]
    names = [_named(c, "" if w == usual else w) for c, w in zip(columns, metrics_words, strict=True)]
    own = looks(grid, baseline, controls)

    def draw() -> Figure:
        figure, axes = panels(len(shown), AROUND + (ROW + BESIDE * len(rows)) * len(names), share_rows=True)
        for ax, one in zip(axes, shown, strict=True):
            _panel(ax, one, rows, own, metrics[0].unit)
            ax.set_yticks(range(len(names)), names)
            ax.set_ylim(len(names) - 0.5, -0.5)
            ax.set_xlim(min(reached) - margin, max(reached) + margin)  # alike, to compare the two
        add_legend(figure, entries(rows, own))
        return figure

    key, title = [shown, names, rows, own, metrics[0].unit], "Transfer to other data sets"
    caption = CAPTION.format(metric=sentence(usual), better="left" if metrics[0].lower else "right")
    return saved(report, cache_of(collected), "transfer", key, draw, title, caption)


def _dots(
    grid: Grid,
    columns: Sequence[str],
    rows: Sequence[str],
    title: str,
    values: Callable[[Cell], list[float]],
) -> Dots:
    found = [[values(grid.at(row, column)) for row in rows] for column in columns]
    return Dots(title, tuple(tuple(fmean(v) if v else None for v in one) for one in found))


def _named(column: str, metric: str) -> str:
    unlike = f", {metric}" if metric else ""
    return shortened(data_set(column), LONGEST - len(unlike)) + unlike


def _panel(ax: Axes, one: Dots, rows: Sequence[str], own: Mapping[str, Look], unit: str) -> None:
    step = SPREAD / max(1, len(rows))
    for turn, row in enumerate(rows):
        beside = (turn - (len(rows) - 1) / 2) * step
        found = {y: value for y, values in enumerate(one.values) if (value := values[turn]) is not None}
        x, y = list(found.values()), [place + beside for place in found]
        ax.plot(x, y, label=row, **{**own[row].kwargs(), "linestyle": "none"})
    for edge in range(1, len(one.values)):
        ax.axhline(edge - 0.5, color="#E0E0E0", linewidth=0.6, zorder=0)
    ax.set_title(one.title)
    ax.set_xlabel("accuracy, %" if unit == "%" else unit)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
