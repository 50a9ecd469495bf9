"""The course of each pretraining: a panel per recorded curve, over epochs, the mean over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import eq
from pathlib import Path
from statistics import fmean, stdev

from hsa_bench.core.results.curve import Curve
from hsa_bench.core.results.result import TaskResult
from reports.figures.lines import Line, Panel, bars, saved_lines, thinned
from reports.figures.picture import Picture
from reports.figures.style import MOST_PANELS, looks_by_label, looks_of
from reports.run_folder.collected import PRETRAINING, Collected
from reports.run_folder.grid import Grid
from reports.writing.table import sentence


def draw_pretraining(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """A panel per recorded curve, one line for each name; None if nothing was recorded.

    The parts of another curve, as of a level's loss, and the learning rate are in the result file alone.
    """
    runs = by_name(result for result in collected.results if result.spec.task == PRETRAINING)
    results = [one for found in runs.values() for one in found]
    curves = [curve for result in results for curve in result.curves if curve.values and not curve.detail]
    recorded = {curve.name: curve for curve in curves}
    shown = [_panel(curve, runs) for curve in recorded.values()][:MOST_PANELS]
    if not shown:
        return None
    own = {**looks_of(runs), **looks_by_label(grid, baseline, controls)}
    caption = "Losses of different methods are different quantities: read their course, not their height."
    caption += "".join(f" {sentence(c.words)}: {c.meaning}." for c in recorded.values() if c.meaning)
    caption += bars(shown, "pretrainings, where there are several")
    return saved_lines(collected, report, "pretraining", shown, own, "Pretraining curves", caption)


def by_name(results: Iterable[TaskResult]) -> dict[str, list[TaskResult]]:
    """Pretrainings under one name together."""
    runs: dict[str, list[TaskResult]] = {}
    for result in results:
        runs.setdefault(result.label, []).append(result)
    return runs


def mean_line(label: str, runs: Sequence[TaskResult], name: str) -> Line:
    """Mean over the runs that noted a curve after the same epochs as the first that has it.

    Where they end at different epochs, as by `until_purity`, it ends with the shortest.
    """
    recorded = noted(runs, name)
    first = recorded[0].x
    alike = [curve for curve in recorded if all(map(eq, curve.x, first))]
    shortest = min(alike, key=lambda curve: len(curve.x)).x
    values = list(zip(*(curve.values[: len(shortest)] for curve in alike), strict=True))
    error = tuple(stdev(point) for point in values) if len(alike) > 1 else ()
    return Line(label, shortest, tuple(fmean(point) for point in values), error)


def noted(runs: Iterable[TaskResult], name: str) -> list[Curve]:
    """The curves of a name that have a point."""
    return [curve for run in runs if (curve := run.courses.get(name)) and curve.values]


def _panel(curve: Curve, runs: dict[str, list[TaskResult]]) -> Panel:
    recorded = {label: found for label, found in runs.items() if noted(found, curve.name)}
    along = {one.along for found in recorded.values() for one in noted(found, curve.name)}
    lines = tuple(thinned(mean_line(label, found, curve.name)) for label, found in recorded.items())
    label = (along.pop() if len(along) == 1 else "") or "recorded point"
    beside = [one.beside for found in recorded.values() for one in noted(found, curve.name) if one.beside]
    levels = tuple(sorted({level.value for level in beside}))
    said = " / ".join(dict.fromkeys(level.title for level in beside))
    return Panel(curve.words, label, curve.axis, lines, whole=True, levels=levels, level=said)
