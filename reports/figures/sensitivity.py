"""How much a number depends on its settings: kNN's k and T, and the learning rate of linear classifiers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hsa_bench.core.results.curve import Sweep
from reports.figures.lines import Line, Panel, draw_lines
from reports.figures.picture import Picture, cache_of, saved
from reports.figures.style import MOST_PANELS, looks
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid
from reports.writing.table import sentence


def along(sweep: Sweep, place: int) -> dict[float, float]:
    """What a sweep gave by one of the settings, sorted, the others being the reported ones."""
    others = [i for i in range(len(sweep.settings)) if i != place]
    found = {p[place]: p[-1] for p in sweep.points if all(equal(p[i], sweep.own[i]) for i in others)}
    return dict(sorted(found.items()))


def draw_sensitivity(
    collected: Collected, grid: Grid, baseline: str, controls: Sequence[str], report: Path
) -> Picture | None:
    """Accuracy against one setting, the others being the recipe's or the chosen ones; None without a grid."""
    swept = [(column, sweeps) for column in grid.columns for sweeps in _sweeps(grid, column)]
    shown = [panel for column, sweeps in swept for panel in _panels(column, sweeps)][:MOST_PANELS]
    if not shown:
        return None
    own = looks(grid, baseline, controls)
    caption = "How much the number depends on a setting; of each backbone the first run."
    caption += "".join(f" {text}." for text in dict.fromkeys(_saying(sweeps) for _, sweeps in swept))
    if any(panel.mark is not None for panel in shown):
        caption += " Dashed: the recipe's own, which is reported."
    if any(line.ringed for panel in shown for line in panel.lines):
        caption += " A ring at the end of a line says that the grid may be too short."
    return saved(
        report,
        cache_of(collected),
        "sensitivity",
        [shown, own],
        lambda: draw_lines(shown, own, ring="chosen", mark="the recipe's own"),
        "Sensitivity to settings",
        caption,
    )


def equal(one: float, other: float) -> bool:
    """Whether two settings are equal as far as six digits tell, which is what names keep."""
    return math.isclose(one, other, rel_tol=1e-5)


def _sweeps(grid: Grid, column: str) -> Iterator[dict[str, Sweep]]:
    """For each sweep's name, that of each backbone's first run that has it."""
    found: dict[str, dict[str, Sweep]] = {}
    for row in grid.rows:
        for run in grid.at(row, column).runs:
            for sweep in run.sweeps:
                found.setdefault(sweep.name, {}).setdefault(row, sweep)
    yield from found.values()


def _panels(column: str, sweeps: Mapping[str, Sweep]) -> Iterator[Panel]:
    """A panel for each setting that was varied and can stand on a logarithmic axis."""
    first = next(iter(sweeps.values()))
    for place, setting in enumerate(first.settings):
        alike = {row: sweep for row, sweep in sweeps.items() if sweep.settings == first.settings}
        lines = [_line(row, sweep, place) for row, sweep in alike.items() if _can_stand(sweep, place)]
        if lines:
            mark = None if first.chosen else first.own[place]
            yield Panel(column, setting, first.axis, tuple(lines), log=True, mark=mark)


def _can_stand(sweep: Sweep, place: int) -> bool:
    return len(along(sweep, place)) > 1 and all(point[place] > 0 for point in sweep.points)


def _line(row: str, sweep: Sweep, place: int) -> Line:
    points = along(sweep, place)
    own = tuple(i for i, value in enumerate(points) if equal(value, sweep.own[place]))
    return Line(row, tuple(points), tuple(points.values()), ringed=own if sweep.chosen else ())


def _saying(sweeps: Mapping[str, Sweep]) -> str:
    first = next(iter(sweeps.values()))
    return sentence(f"{first.words}: {first.meaning}" if first.meaning else first.words)
