"""The report's figures as PNG: scores with intervals, pretraining curves, pictures left by tasks."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot: no window system, no global state
from matplotlib.ticker import MaxNLocator

from hsa_bench.core.result import TaskResult
from hsa_bench.core.store import whole_file
from reports.bootstrap import Resampled
from reports.compare import Comparison
from reports.frame import Collected
from reports.grid import Cell, Grid

# Okabe and Ito's palette (jfly.uni-koeln.de/color): told apart by colour-blind readers, and in grey
# by marker and line style.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":")
BASELINE, CONTROL = "#000000", "#7F7F7F"

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E0E0E0",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.dpi": 160,
}

ACROSS = 3
"""Panels in a row."""

PICTURES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class Picture:
    """A file in the report's figures folder."""

    path: Path
    """Relative to the report."""
    title: str


def draw_comparison(
    grid: Grid, comparison: Comparison, controls: Sequence[str], report: Path
) -> Picture | None:
    """A panel per task: each backbone's score with its own 95 % interval; None without a number."""
    columns = [c for c in grid.columns if any(grid.at(row, c).runs for row in grid.rows)]
    if not columns:
        return None
    rows = [row for row in grid.rows if any(grid.at(row, c).runs for c in columns)]
    with rc_context(STYLE):
        figure, axes = _panels(len(columns), height=0.9 + 0.28 * len(rows), share_rows=True)
        for ax, column in zip(axes, columns, strict=False):
            _score_panel(ax, [grid.at(row, column) for row in rows], comparison, grid, controls)
        return _saved(figure, report, "comparison", "Scores with 95 % intervals")


def draw_pretraining(results: Sequence[TaskResult], report: Path) -> Picture | None:
    """A panel per recorded curve, one line per pretraining; None if nothing was recorded.

    The parts of a level's loss ("loss/stage3/own") and the learning rate are in the result file alone.
    """
    recorded = dict.fromkeys(name for result in results for name, curve in result.curves.items() if curve)
    names = [name for name in recorded if name.count("/") < 2 and name != "learning rate"]
    if not names:
        return None
    labels = list(dict.fromkeys(result.label for result in results))
    with rc_context(STYLE):
        figure, axes = _panels(len(names), height=2.4)
        for ax, name in zip(axes, names, strict=False):
            for result in results:
                if result.curves.get(name):
                    _curve(ax, result, name, labels.index(result.label))
            ax.set_title(name)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set_xlabel("epoch" if _per_epoch(results, name) else "recorded point")
        lines = {str(line.get_label()): line for ax in axes for line in ax.get_lines()}
        figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=min(6, len(lines)))
        return _saved(figure, report, "pretraining", "Pretraining curves")


def place_artefacts(collected: Collected, report: Path) -> dict[str, list[Picture]]:
    """Copy the pictures that tasks left beside the report, by task; of each backbone the first run's."""
    placed: dict[str, dict[tuple[str, str], Picture]] = {}
    for result in collected.results:
        label, task = result.label, result.spec.task
        for name, file in result.artefacts.items():
            source = collected.folder(result) / Path(file).name
            if source.suffix.lower() not in PICTURES or not source.is_file():
                continue
            if (label, name) not in placed.setdefault(task, {}):
                target = Path("figures", f"{label}-{task}-{source.name}".replace(" ", "-"))
                (report.parent / target.parent).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, report.parent / target)
                title = f"{label}, {task}, seed {result.spec.seed}: {name}"
                placed[task][label, name] = Picture(target, title)
    return {task: list(pictures.values()) for task, pictures in placed.items()}


def _score_panel(
    ax: Axes, cells: Sequence[Cell], comparison: Comparison, grid: Grid, controls: Sequence[str]
) -> None:
    for y, cell in enumerate(cells):
        if not cell.runs:
            ax.text(
                0.02, y, "no number", transform=ax.get_yaxis_transform(), va="center", color=CONTROL, size=7
            )
            continue
        control = grid.row_labels[cell.row] in controls
        base = cell.row == comparison.baseline
        colour = BASELINE if base else CONTROL if control else COLOURS[0]
        found = comparison.scores[cell.row, cell.column]
        if isinstance(found, Resampled):
            bounds = found.interval
            ax.plot([bounds.low, bounds.high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
        if len(cell.runs) > 1:
            ax.plot(cell.values, [y + 0.25] * len(cell.runs), "|", color=colour, markersize=5)
        ax.plot(
            cell.mean,
            y,
            "D" if base else "o",
            color=colour,
            markersize=5.5,
            mfc="white" if control else colour,
        )
        if base:
            ax.axvline(cell.mean, color=BASELINE, linewidth=0.8, linestyle=(0, (4, 3)))
    shown = next(cell.runs[0] for cell in cells if cell.runs)
    ax.set_title(cells[0].column)
    ax.set_xlabel(f"{shown.main_metric}, %")
    ax.set_yticks(range(len(cells)), [cell.row for cell in cells])
    ax.set_ylim(len(cells) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def _curve(ax: Axes, result: TaskResult, name: str, index: int) -> None:
    curve = result.curves[name]
    ax.plot(
        range(1, len(curve) + 1),
        curve,
        label=result.label,
        color=COLOURS[index % len(COLOURS)],
        linestyle=LINES[index % len(LINES)],
        marker="o" if len(curve) <= 15 else "",
        markersize=3,
    )


def _per_epoch(results: Sequence[TaskResult], name: str) -> bool:
    """Whether every such curve has one value an epoch."""
    curves = [(r.curves[name], r.spec.settings.get("epochs")) for r in results if r.curves.get(name)]
    return all(len(curve) == epochs for curve, epochs in curves)


def _panels(count: int, height: float, share_rows: bool = False) -> tuple[Figure, list[Axes]]:
    across = min(count, ACROSS)
    down = -(-count // across)
    size = (2.6 * across + 0.8, height * down)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False, sharey=share_rows)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    return figure, list(axes.flat[:count])


def _saved(figure: Figure, report: Path, name: str, title: str) -> Picture:
    target = Path("figures", f"{name}.png")
    with whole_file(report.parent / target) as file:
        figure.savefig(file, format="png")
    return Picture(target, title)
