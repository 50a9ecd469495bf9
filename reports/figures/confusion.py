"""Which classes are taken for which: the best backbone, the baseline, and the difference of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hsa_bench.core.results.outcomes import ClassificationOutcomes, load
from reports.figures.picture import Picture, cache_of, saved
from reports.figures.ranking import best_row
from reports.figures.style import WIDTH, panels, shortened
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Cell, Grid
from reports.writing.table import number

PREFERRED = ("linear", "linear-cached", "knn")
"""Tasks whose confusions are shown, the first there is; else any classification task."""

WHOLE, PART = 20, 15
"""Classes up to which all are shown, and how many of more: those with most confusions."""

WIDE = 10
"""Classes up to which three matrices stand side by side."""

CELL, AROUND = 0.185, 1.0
"""Height of a cell, and of title and labels, inches."""

LONGEST, LONGEST_ROW = 12, 16
"""Letters of a class's name, and of a backbone's."""

Counts = NDArray[np.int64]
Percent = NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """How often each class was taken for each, over all runs of a cell."""

    row: str
    title: str
    runs: int
    counts: Counts
    """[C, C], true class first."""
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Matrix:
    """One panel."""

    title: str
    percent: Percent
    """[R, R], or [R, R + 1] with a last column for all other classes."""
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    difference: bool = False


def draw_confusion(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """The best backbone's and the baseline's matrix, and their difference; None without outcomes."""
    column, found = _found(collected, grid, baseline, controls)
    if not found:
        return None
    chosen = most_confused(found)
    shown = [_matrix(one, chosen) for one in found]
    if len(shown) == 2:
        names = [shortened(one.row, LONGEST_ROW) for one in found]
        title = f"{names[0]}\nless {names[1]}"
        gap = shown[0].percent - shown[1].percent
        shown.append(Matrix(title, gap, shown[0].rows, shown[0].columns, difference=True))
    return saved(
        report,
        cache_of(collected),
        "confusion",
        shown,
        lambda: _figure(shown),
        f"Confusion matrices: {column}",
        _caption(found, len(chosen)),
    )


def _found(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str]
) -> tuple[str, list[Confusion]]:
    """The first column with outcomes: the best backbone's confusions, then the baseline's if another."""
    tasks = {column: [r.spec.task for r in grid.in_column(column)][:1] for column in grid.columns}
    preferred = [c for task in PREFERRED for c in grid.columns if tasks[c] == [task]]
    for column in dict.fromkeys([*preferred, *grid.columns]):
        best = best_row(grid, column, controls)
        rows = dict.fromkeys(row for row in (best, baseline) if row)
        read = [_confusion(collected, grid.at(row, column), best, baseline) for row in rows]
        found = [one for one in read if one]
        if found and len({len(one.classes) for one in found}) == 1:
            return column, found
    return "", []


def _confusion(collected: Collected, cell: Cell, best: str, baseline: str) -> Confusion | None:
    """All runs of a cell together; None if not all left outcomes of a classifier."""
    outcomes = []
    for run in cell.runs:
        try:
            kept = load(collected.folder(run) / run.examples)
        except (OSError, ValueError):
            return None
        if not isinstance(kept, ClassificationOutcomes) or not len(kept.label):
            return None
        outcomes.append(kept)
    if not outcomes:
        return None
    label = np.concatenate([one.label for one in outcomes])
    prediction = np.concatenate([one.prediction for one in outcomes])
    named = tuple(str(name) for name in outcomes[0].classes)
    count = max(len(named), int(max(label.max(), prediction.max())) + 1)
    main = cell.runs[0].main
    score = f"{main.words} {number(cell.mean, main.unit)}"
    roles = [role for row, role in ((best, "best"), (baseline, "baseline")) if row == cell.row]
    return Confusion(
        row=cell.row,
        title=f"{shortened(cell.row, LONGEST_ROW)} ({', '.join(roles)})\n{score}",
        runs=len(outcomes),
        counts=np.bincount(label * count + prediction, minlength=count**2).reshape(count, count),
        classes=named or tuple(str(number) for number in range(count)),
    )


def most_confused(found: Sequence[Confusion]) -> list[int]:
    """All classes if they are few; else those that were taken for others, or others for them, most often."""
    counts = sum((one.counts for one in found), np.zeros_like(found[0].counts))
    if len(counts) <= WHOLE:
        return list(range(len(counts)))
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")
    return sorted(order[:PART].tolist())


def row_percent(counts: Counts, chosen: Sequence[int]) -> Percent:
    """Percent of each true class's images, [R, R]; [R, R + 1] with the rest where classes are left out.

    A class without an image has zeros.
    """
    part = counts[np.ix_(chosen, chosen)].astype(np.float64)
    total = counts[chosen].sum(1, keepdims=True)
    if len(chosen) < len(counts):
        part = np.hstack([part, total - part.sum(1, keepdims=True)])
    return part / np.maximum(total, 1) * 100


def _matrix(one: Confusion, chosen: Sequence[int]) -> Matrix:
    names = tuple(shortened(one.classes[c], LONGEST) for c in chosen)
    rest = ("others",) if len(chosen) < len(one.counts) else ()
    return Matrix(one.title, row_percent(one.counts, chosen), names, (*names, *rest))


def _caption(found: Sequence[Confusion], shown: int) -> str:
    text = "Each row is a true class: percent of its test images by predicted class; blank: below 0.5."
    if any(one.runs > 1 for one in found):
        text += " All runs together."
    if shown < len(found[0].classes):
        text += f" Of {len(found[0].classes):,} classes the {shown} with most confusions."
    if len(found) == 2:
        text += (
            " Difference in percentage points: a positive number (purple) on the diagonal, a negative one "
            "(orange) elsewhere, speaks for the best backbone."
        )
    return text


def _figure(shown: Sequence[Matrix]) -> Figure:
    rows = len(shown[0].rows)
    height = CELL * rows + AROUND + 0.06 * max(len(name) for name in shown[0].columns)
    if rows <= WIDE or len(shown) < 3:
        figure, axes = panels(len(shown), height, share_rows=True)
    else:  # the difference, with its signs, has a line of its own
        figure = Figure(figsize=(WIDTH, 2 * height), layout="constrained")
        places = figure.add_gridspec(2, 2)
        axes = [figure.add_subplot(place) for place in (places[0, 0], places[0, 1], places[1, :])]
        axes[1].tick_params(labelleft=False)
    for ax, matrix in zip(axes, shown, strict=True):
        _draw(ax, matrix)
    axes[0].set_ylabel("true class")
    return figure


def _draw(ax: Axes, matrix: Matrix) -> None:
    percent = matrix.percent
    most = max(10.0, float(np.abs(percent).max())) if matrix.difference else 100.0
    low, colours = (-most, "PuOr") if matrix.difference else (0.0, "Blues")
    ax.imshow(percent, cmap=colours, vmin=low, vmax=most, aspect="auto", interpolation="nearest")
    for (y, x), value in np.ndenumerate(percent):
        if round(abs(value)):
            dark = abs(value) > 0.6 * most
            text = f"{value:.0f}".replace("-", "−")
            ax.text(x, y, text, ha="center", va="center", size=7, color="white" if dark else "black")
    ax.set_title(matrix.title)
    ax.set_xlabel("predicted class")
    upright = max(map(len, matrix.columns)) <= 2
    ax.set_xticks(range(len(matrix.columns)), matrix.columns, rotation=0 if upright else 90)
    ax.set_yticks(range(len(matrix.rows)), matrix.rows)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
