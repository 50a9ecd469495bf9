"""Panels of lines, one line for each backbone: data, and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from reports.figures.picture import Picture, cache_of, saved
from reports.figures.style import Look, add_legend, entries, panels, shortened
from reports.run_folder.collected import Collected

HEIGHT = 1.85
"""Of a panel, inches."""
LONGEST = 30
"""Letters of a panel's title."""

AXIS, TICK = 48, 16
"""Letters of an axis's title, and of a tick's name."""

GREY = "#4D4D4D"
RING: Any = {"marker": "o", "markersize": 7.5, "mfc": "none"}
CROSSING: Any = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3))}

MARKED = 15
"""Points of a line up to which each has its marker; of more only some have."""

MOST_POINTS = 30
"""Points of a curve that are drawn one by one; of a longer one, means of so many equal parts or fewer."""


@dataclass(frozen=True)
class Line:
    """One backbone in one panel."""

    row: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] = ()
    """Half the length of the bar at each point, or none at all."""
    ringed: tuple[int, ...] = ()
    """Which points have a ring around them."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    log: bool = False
    """Whether x is logarithmic."""
    ticks: tuple[tuple[float, str], ...] = ()
    """Where x has ticks, and what they say; chosen by the range if empty."""
    whole: bool = False
    """Whether x has whole numbers only."""
    mark: float | None = None
    """Where a dashed line crosses all others."""
    levels: tuple[float, ...] = ()
    """Heights of dashed lines that the others are read against."""
    level: str = ""
    """What these say."""


def thinned(line: Line) -> Line:
    """A line of at most `MOST_POINTS` points, each the mean of its part, where the part ends."""
    window = -(-len(line.x) // MOST_POINTS)
    ends = [min(start + window, len(line.x)) for start in range(0, len(line.x), window)]
    parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    x = tuple(line.x[end - 1] for end in ends)
    y = tuple(fmean(line.y[part]) for part in parts)
    error = tuple(fmean(line.error[part]) for part in parts) if line.error else ()
    return replace(line, x=x, y=y, error=error)


def saved_lines(
    collected: Collected,
    report: Path,
    name: str,
    shown: Sequence[Panel],
    looks: Mapping[str, Look],
    title: str,
    caption: str,
) -> Picture:
    """Panels of lines as a figure of the report; see `picture.saved`."""
    key = [shown, looks]
    return saved(report, cache_of(collected), name, key, lambda: draw_lines(shown, looks), title, caption)


def bars(shown: Iterable[Panel], over: str) -> str:
    """A sentence for captions on what the bars are, with the space before it; empty without any."""
    said = any(line.error for panel in shown for line in panel.lines)
    return f" Bars: ± the standard deviation over {over}." if said else ""


def draw_lines(shown: Sequence[Panel], looks: Mapping[str, Look], ring: str = "", mark: str = "") -> Figure:
    """Draw panels with one legend.

    Args:
        shown: At least one panel.
        looks: Appearance of each row that has a line.
        ring: What a ring around a point says, where there are any.
        mark: What a dashed line across says, where there are any.
    """
    figure, axes = panels(len(shown), HEIGHT)
    for ax, panel in zip(axes, shown, strict=True):
        for line in panel.lines:
            _line(ax, line, looks[line.row], list(looks).index(line.row))
        if panel.mark is not None:
            ax.axvline(panel.mark, **CROSSING)
        for height in panel.levels:
            ax.axhline(height, **CROSSING)
        ax.set_title(shortened(panel.title, LONGEST))
        ax.set_xlabel(shortened(panel.x_label, AXIS))
        ax.set_ylabel(shortened(panel.y_label, AXIS))
        _x_axis(ax, panel)
    named = entries({line.row for panel in shown for line in panel.lines}, looks)
    rings = [Line2D([], [], label=ring, **RING, mec=GREY, linestyle="none")]
    marks = [Line2D([], [], label=mark, **CROSSING)]
    has_ring = any(line.ringed for panel in shown for line in panel.lines)
    has_mark = any(panel.mark is not None for panel in shown)
    said = dict.fromkeys(shortened(panel.level, AXIS) for panel in shown if panel.levels)
    levels = [Line2D([], [], label=text, **CROSSING) for text in said]
    add_legend(figure, [*named, *(rings if has_ring else []), *(marks if has_mark else []), *levels])
    return figure


def _line(ax: Axes, line: Line, look: Look, turn: int) -> None:
    count = len(line.x)
    step = max(1, count // 5)
    every = 1 if count <= MARKED else (turn % step, step)  # staggered: markers do not hide each other
    ax.plot(line.x, line.y, label=line.row, linewidth=1.0, markevery=every, **look.kwargs())
    if line.error:
        ax.errorbar(line.x, line.y, line.error, fmt="none", ecolor=look.colour, elinewidth=0.8, capsize=2)
    if line.ringed:
        x, y = ([values[i] for i in line.ringed] for values in (line.x, line.y))
        ax.plot(x, y, **RING, mec=look.colour, linestyle="none", zorder=3)


def _x_axis(ax: Axes, panel: Panel) -> None:
    if panel.log:
        low = min(x for line in panel.lines for x in line.x)
        high = max(x for line in panel.lines for x in line.x)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 300 else (1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_minor_formatter(NullFormatter())
    elif panel.whole:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if panel.ticks:
        ax.set_xticks([x for x, _ in panel.ticks], [shortened(text, TICK) for _, text in panel.ticks])
