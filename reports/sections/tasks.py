"""One section per task: its protocol in words, and every run of it with its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from hsa_bench.core.results.metric import Metric
from hsa_bench.core.results.result import TaskResult
from reports.run_folder.collected import result_file
from reports.run_folder.family import Family
from reports.run_folder.grid import Cell, Grid
from reports.sections.breakdown import SHOWN_CLASSES, layer_tables, most_telling
from reports.sections.shots import shot_tables
from reports.sections.tables import score
from reports.statistics.bootstrap import Impossible
from reports.statistics.comparison import Comparison, Score
from reports.statistics.significance import Interval
from reports.writing.table import MISSING, Table, code, detail, duration, link, plain, setting

SEEN = "test_images_in_pretraining"
"""Heads the column of test images that a backbone was pretrained on."""

LONGEST = 40
"""Characters of a resolved setting that still fit a column; longer ones stay in the result file."""


@dataclass(frozen=True)
class Section:
    """What the report says of one task."""

    column: str
    task: str
    protocols: tuple[str, ...]
    """One, unless backbones were measured under different words."""
    data: str
    facts: str
    """Version, recipe and engine."""
    settings: str
    table: Table
    layers: dict[Family, Table]
    """By family of metrics, where the task measures several layers."""
    shots: dict[Family, Table]
    """By family of metrics, where the task learns from several numbers of images per class."""
    classes: Table | None
    """Per class, where outcomes tell; the most telling ones of many."""
    more_classes: int
    """How many classes are in the file beside the report alone."""


def sections(
    grid: Grid, comparison: Comparison, classes: Mapping[str, Table], root: str = ""
) -> tuple[Section, ...]:
    """The sections of all tasks that left a result.

    Args:
        grid: The cells.
        comparison: Intervals of the scores.
        classes: By column, a value of each class and backbone.
        root: The run folder as seen from the report, for links.
    """
    return tuple(
        _section(grid, column, comparison, classes.get(column), root)
        for column in grid.columns
        if grid.in_column(column)
    )


def _section(grid: Grid, column: str, comparison: Comparison, classes: Table | None, root: str) -> Section:
    results = grid.in_column(column)
    spec = results[0].spec
    cells = [grid.at(row, column) for row in grid.rows]
    found = (comparison.scores.get((cell.row, column)) for cell in cells)
    images = {score.images for score in found if isinstance(score, Score)}
    counted = f", {' or '.join(f'{count:,}' for count in sorted(images))} test images" if images else ""
    limit = f", limited to {spec.limit:,} images a split" if spec.limit is not None else ""
    return Section(
        column=plain(column),
        task=spec.task,
        protocols=tuple(dict.fromkeys(plain(result.protocol) for result in results)),
        data=f"{plain(spec.data.name)} (fingerprint {code(spec.data.fingerprint)}){counted}{limit}",
        facts=_facts(results),
        settings="; ".join(f"{code(name)} {setting(value)}" for name, value in spec.settings.items()),
        table=_table(cells, results, comparison, root),
        layers=layer_tables(grid, column),
        shots=shot_tables(grid, column),
        classes=most_telling(classes) if classes and len(classes.rows) > SHOWN_CLASSES else classes,
        more_classes=max(0, len(classes.rows) - SHOWN_CLASSES) if classes else 0,
    )


def _facts(results: Sequence[TaskResult]) -> str:
    """Version, recipe and engine, each once."""
    found = {
        "task version": [f"{result.spec.version}" for result in results],
        "recipe": [plain(str(result.effective.get("recipe", ""))) for result in results],
        "engine": [plain(str(result.spec.settings.get("engine", ""))) for result in results],
    }
    named = {name: sorted(set(values) - {""}) for name, values in found.items()}
    return "; ".join(f"{name} {', '.join(values)}" for name, values in named.items() if values)


def _table(cells: Sequence[Cell], results: Sequence[TaskResult], comparison: Comparison, root: str) -> Table:
    main = results[0].main_metric
    shown = (m for r in results for m in r.metrics if not (m.layer or m.shots))  # these have own tables
    metrics = list(dict.fromkeys([main, *(metric.name for metric in shown)]))
    resolved = list(
        dict.fromkeys(name for r in results for name, v in r.effective.items() if _column(name, v))
    )
    seen = (SEEN,) if any(result.overlap for result in results) else ()
    rows: list[tuple[str, ...]] = []
    for cell in cells:
        found = comparison.scores.get((cell.row, cell.column), Impossible("no number"))
        own = MISSING if isinstance(found, Impossible) else _bounds(found.interval)
        single = len(cell.runs) == 1
        rows += [
            (
                plain(cell.row),
                str(result.spec.seed) if result.seeded else MISSING,
                code(result.spec.backbone.weights[:8]),
                *_numbers(result, metrics, own if single else MISSING),
                *(setting(result.effective[n]) if n in result.effective else MISSING for n in resolved),
                *(_overlap(result) for _ in seen),
                duration(result.seconds) if result.status != "skipped" else MISSING,
                link(code(result.spec.key), root + result_file(result)),
            )
            for result in cell.results
        ]
        if len(cell.runs) > 1:
            means = [
                _spread([one for run in cell.runs for one in run.metrics if one.name == m]) for m in metrics
            ]
            name = f"{plain(cell.row)}, mean of {len(cell.runs)}"
            empty = [MISSING] * (len(resolved) + len(seen) + 2)
            rows.append((name, *[MISSING] * 2, means[0], own, *means[1:], *empty))
    header = ("backbone", "seed", "weights", plain(main), "95 % interval", *map(plain, metrics[1:]))
    return Table((*header, *map(plain, resolved), *seen, "time", "result"), tuple(rows))


def _overlap(result: TaskResult) -> str:
    return f"{result.overlap.shared:,} of {result.overlap.tested:,}" if result.overlap else MISSING


def _numbers(result: TaskResult, metrics: Sequence[str], own: str) -> list[str]:
    """The main metric, its interval, and the further metrics of one run."""
    if result.status != "ok":
        return [score(Cell("", "", (result,))), *[MISSING] * len(metrics)]
    by_name = {metric.name: metric for metric in result.metrics}
    texts = [detail(by_name[m].value, by_name[m].unit) if m in by_name else MISSING for m in metrics]
    return [texts[0], own, *texts[1:]]


def _spread(metrics: Sequence[Metric]) -> str:
    if not metrics:
        return MISSING
    values, unit = [metric.value for metric in metrics], metrics[0].unit
    return detail(fmean(values), unit) + (f" ± {detail(stdev(values), unit)}" if len(values) > 1 else "")


def _bounds(interval: Interval) -> str:
    return f"{interval.low:.1f} – {interval.high:.1f}"


def _column(name: str, value: Any) -> bool:
    """Whether a resolved setting gets a column; the recipe stands above the table."""
    return name != "recipe" and len(setting(value)) <= LONGEST
