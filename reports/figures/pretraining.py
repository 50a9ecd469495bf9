"""The course of each pretraining: a panel per recorded curve, over epochs, the mean over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev

from hsa_bench.core.results.result import TaskResult
from reports.figures.lines import Line, Panel, bars, saved_lines, thinned
from reports.figures.picture import Picture
from reports.figures.style import MOST_PANELS, looks_by_label, looks_of
from reports.figures.units import axis, words
from reports.run_folder.collected import PRETRAINING, Collected
from reports.run_folder.grid import Grid

WATCHED = {
    "purity": "Purity: how many of the mined neighbours are of the same class, which training does not know.",
    "rank": "Spread and effective rank: of the features; towards 0 and 1 they have collapsed.",
    "knn": "kNN: accuracy on a fixed tenth of the training images, by the labels of the others.",
}
"""What some curves of pretraining are."""


def draw_pretraining(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """A panel per recorded curve, one line for each name; None if nothing was recorded.

    The parts of a level's loss ("loss/stage3/own") and the learning rate are in the result file alone.
    """
    runs = by_name(result for result in collected.results if result.spec.task == PRETRAINING)
    results = [one for found in runs.values() for one in found]
    recorded = dict.fromkeys(name for result in results for name, curve in result.curves.items() if curve)
    names = [name for name in recorded if name.count("/") < 2 and name != "learning rate"]
    shown = [_panel(name, runs) for name in names][:MOST_PANELS]
    if not shown:
        return None
    own = {**looks_of(runs), **looks_by_label(grid, baseline, controls)}
    caption = "Losses of different methods are different quantities: read their course, not their height."
    caption += "".join(f" {words}" for name, words in WATCHED.items() if name in names)
    caption += bars(shown, "pretrainings, where there are several")
    return saved_lines(collected, report, "pretraining", shown, own, "Pretraining curves", caption)


def by_name(results: Iterable[TaskResult]) -> dict[str, list[TaskResult]]:
    """Pretrainings under one name together."""
    runs: dict[str, list[TaskResult]] = {}
    for result in results:
        runs.setdefault(result.label, []).append(result)
    return runs


def epochs_of(result: TaskResult, name: str) -> list[int]:
    """Epochs after which a pretraining noted each point of a curve; empty where its settings do not tell."""
    points = len(result.curves.get(name, []))
    every, epochs = result.spec.settings.get("knn_every") or 0, result.spec.settings.get("epochs") or 0
    if points == epochs:
        return list(range(1, epochs + 1))
    found = [e for e in range(1, epochs + 1) if e % every == 0 or e == epochs] if every else []
    return found if len(found) == points else []


def mean_line(label: str, runs: Sequence[TaskResult], name: str) -> Line:
    """Mean over the runs that noted a curve after the same epochs as the first that has it."""
    recorded = [run for run in runs if run.curves.get(name)]
    points = len(recorded[0].curves[name])
    alike = [run for run in recorded if len(run.curves[name]) == points]
    values = list(zip(*(run.curves[name] for run in alike), strict=True))
    error = tuple(stdev(point) for point in values) if len(alike) > 1 else ()
    x = epochs_of(recorded[0], name) or range(1, points + 1)
    return Line(label, tuple(map(float, x)), tuple(fmean(point) for point in values), error)


def _panel(name: str, runs: dict[str, list[TaskResult]]) -> Panel:
    recorded = {label: found for label, found in runs.items() if any(run.curves.get(name) for run in found)}
    known = all(epochs_of(run, name) for found in recorded.values() for run in found if run.curves.get(name))
    lines = tuple(thinned(mean_line(label, found, name)) for label, found in recorded.items())
    return Panel(words(name), "epoch" if known else "recorded point", axis(name), lines, whole=True)
