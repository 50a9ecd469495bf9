"""Scores of all backbones with their intervals, one panel for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.picture import Picture, saved
from reports.figures.style import Look, looks, panels, shortened
from reports.run_folder.grid import Cell, Grid
from reports.statistics.bootstrap import Impossible
from reports.statistics.comparison import Comparison

ROW, AROUND = 0.17, 0.72
"""Height of a row, and of title and labels, inches."""

MISSING = "#595959"
CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
LONGEST, LONGEST_TITLE = 22, 28
"""Letters of a backbone's name, and of a task's."""

ONE = "Black diamond and dashed line: the baseline."
SEVERAL = "Dashed lines: the baselines; the first one's marker is a black diamond."
CAPTION = (
    "Each backbone's own score with its 95 % interval over test images. {baselines}Open grey markers: "
    "controls. Small ticks: single runs, where there are several. No line: the task keeps nothing of single "
    "images. Two intervals that overlap do not make two backbones equal: for that, read the paired "
    "differences in the table."
)


def draw_comparison(
    grid: Grid,
    comparison: Comparison,
    controls: Sequence[str],
    report: Path,
    cache: Path | None = None,
) -> Picture | None:
    """A panel per task: each backbone's score with its own 95 % interval; None without a number."""
    columns = [c for c in grid.columns if any(grid.at(row, c).runs for row in grid.rows)]
    if not columns:
        return None
    rows = [row for row in grid.rows if any(grid.at(row, c).runs for c in columns)]
    own = looks(grid, next(iter(comparison.baselines), ""), controls)
    bounds = {
        place: (found.interval.low, found.interval.high)
        for place, found in comparison.scores.items()
        if not isinstance(found, Impossible)
    }
    cells = [[grid.at(row, column) for row in rows] for column in columns]

    def draw() -> Figure:
        figure, axes = panels(len(columns), AROUND + ROW * len(rows), share_rows=True)
        for ax, column in zip(axes, cells, strict=True):
            _score_panel(ax, column, comparison.baselines, bounds, own)
        return figure

    numbers = [
        [
            (
                cell.row,
                cell.column,
                [(run.main.axis, run.main.lower) for run in cell.runs],
                cell.values,
                bounds.get((cell.row, cell.column)),
            )
            for cell in column
        ]
        for column in cells
    ]
    words = ("", f"{ONE} ", f"{SEVERAL} ")[min(2, len(comparison.baselines))]
    caption = CAPTION.format(baselines=words)
    key = [numbers, comparison.baselines, own]
    return saved(report, cache, "comparison", key, draw, "Scores with 95 % intervals", caption)


def _score_panel(
    ax: Axes,
    cells: Sequence[Cell],
    baselines: Sequence[str],
    bounds: Mapping[tuple[str, str], tuple[float, float]],
    own: Mapping[str, Look],
) -> None:
    for y, cell in enumerate(cells):
        look = own[cell.row]
        if not cell.runs:
            inside = ax.get_yaxis_transform()
            ax.text(0.02, y, "no number", transform=inside, va="center", color=MISSING, size=7, bbox=CLEAR)
            continue
        if (cell.row, cell.column) in bounds:
            ax.plot(
                bounds[cell.row, cell.column], [y, y], color=look.colour, linewidth=1.6, solid_capstyle="butt"
            )
        if len(cell.runs) > 1:
            ax.plot(cell.values, [y + 0.3] * len(cell.runs), "|", color=look.colour, markersize=4)
        ax.plot(cell.mean, y, **{**look.kwargs(), "linestyle": "none", "markersize": 4.5})
        if cell.row in baselines:
            ax.axvline(cell.mean, color=look.colour, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    shown = next(cell.metric for cell in cells if cell.metric)
    ax.set_title(shortened(cells[0].column, LONGEST_TITLE))
    axis = shortened(shown.axis, LONGEST_TITLE)
    ax.set_xlabel(f"{axis} (lower is better)" if shown.lower else axis)
    ax.set_yticks(range(len(cells)), [shortened(cell.row, LONGEST) for cell in cells])
    ax.set_ylim(len(cells) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
