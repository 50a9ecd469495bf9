"""Backbones x tasks: which runs may be averaged, and what stands in a cell without a number."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hsa_bench.core.digest import digest
from hsa_bench.core.results.device import USUAL
from hsa_bench.core.results.metric import Metric
from hsa_bench.core.results.plan_file import PlannedRun
from hsa_bench.core.results.pretrainings import told_apart
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.row_names import is_untrained
from reports.run_folder.collected import PRETRAINING, Collected


@dataclass(frozen=True)
class Cell:
    """The runs of one backbone on one task: they differ in seed or weights, in nothing else."""

    row: str
    column: str
    results: tuple[TaskResult, ...] = ()
    absent: tuple[PlannedRun, ...] = ()
    """Planned runs that left no result: blocked, or not run yet."""

    @property
    def runs(self) -> tuple[TaskResult, ...]:
        """The runs with a number."""
        return tuple(result for result in self.results if result.status == "ok")

    @property
    def engine(self) -> str:
        """Whose code computed it, where a task has several; one column never mixes them."""
        return next((str(r.spec.settings["engine"]) for r in self.results if "engine" in r.spec.settings), "")

    @property
    def values(self) -> list[float]:
        """The task's main metric of each run, in its unit."""
        return [run.main.value for run in self.runs]

    @property
    def metric(self) -> Metric | None:
        """The main metric with its description, of the first run; None without a number."""
        return self.runs[0].main if self.runs else None

    @property
    def unit(self) -> str:
        """Of the main metric; percent where there is no number."""
        return self.metric.unit if self.metric else "%"

    @property
    def lower(self) -> bool:
        """Whether smaller values are better."""
        return self.metric is not None and self.metric.lower

    @property
    def mean(self) -> float:
        """Mean over the runs; there must be one."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float:
        """Sample standard deviation over the runs; there must be two."""
        return statistics.stdev(self.values)

    @property
    def repeated(self) -> bool:
        """Whether several runs stand for it that chance sets apart."""
        weights = {run.spec.backbone.weights for run in self.runs}
        return len(self.runs) > 1 and (len(weights) > 1 or any(run.seeded for run in self.runs))

    @property
    def diagnostic(self) -> bool:
        """Whether its numbers describe and do not rank."""
        free = any(not run.main.better for run in self.runs)
        return free or any(result.diagnostic for result in self.results)

    @property
    def planned(self) -> int:
        """How many runs it should have."""
        return len(self.results) + len(self.absent)


@dataclass(frozen=True)
class Grid:
    """The cells of the report, rows and columns in the plan's order."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    row_labels: Mapping[str, str]
    """The backbone label of each row; they differ where one label stands for several architectures,
    or for several weights that are not known to be several pretrainings."""

    def at(self, row: str, column: str) -> Cell:
        """A cell; an empty one where nothing was planned."""
        return self.cells.get((row, column), Cell(row, column))

    def without(self, columns: Sequence[str]) -> Grid:
        """The same with fewer columns."""
        return replace(self, columns=tuple(column for column in self.columns if column not in columns))

    def in_row(self, row: str) -> list[TaskResult]:
        """All results of a row, with and without a number."""
        return [result for column in self.columns for result in self.at(row, column).results]

    def in_column(self, column: str) -> list[TaskResult]:
        """All results of a column, with and without a number."""
        return [result for row in self.rows for result in self.at(row, column).results]

    def metric(self, column: str) -> Metric | None:
        """The main metric of a column with its description; None where nothing was measured."""
        return next((metric for row in self.rows if (metric := self.at(row, column).metric)), None)

    def with_untrained(self) -> list[tuple[str, str]]:
        """Rows, and the untrained control of their architecture where there is one."""
        archs = {row: {r.spec.backbone.arch for r in self.in_row(row)} for row in self.rows}
        untrained = [row for row in self.rows if is_untrained(self.row_labels[row])]
        return [
            (row, control)
            for row in self.rows
            if row not in untrained
            for control in untrained
            if archs[row] == archs[control]
        ]

    def rows_of(self, label: str) -> list[str]:
        """The rows of a label: several where it stands for several architectures."""
        return [row for row in self.rows if self.row_labels[row] == label]


def lay_out(collected: Collected) -> Grid:
    """Sort results into cells. Pretraining is left out: its metrics are no transfer results."""
    results = [result for result in collected.results if result.spec.task != PRETRAINING]
    absent = [cell for cell in collected.absent if cell.task != PRETRAINING]
    told = weights_apart(collected)
    variants = [(*_row_variant(r), told.get(_place(r), {}).get(r.spec.backbone.weights, "")) for r in results]
    rows = _apart([r.label for r in results], variants)
    columns = _apart([r.spec.task for r in results], [_column_variant(r) for r in results])

    planned = list(collected.plan.runs) if collected.plan else absent
    rows_of = _grouped([c.label for c in planned], [r.label for r in results])
    columns_of = _grouped([c.task for c in planned], [r.spec.task for r in results])
    placed: dict[tuple[str, str], list[TaskResult]] = {}
    for result, row, column in zip(results, rows, columns, strict=True):
        rows_of[result.label].setdefault(row)
        columns_of[result.spec.task].setdefault(column)
        placed.setdefault((row, column), []).append(result)
    missing: dict[tuple[str, str], list[PlannedRun]] = {}
    for cell in absent:
        row = next(iter(rows_of[cell.label]), cell.label)
        column = next(iter(columns_of[cell.task]), cell.task)
        rows_of[cell.label].setdefault(row)
        columns_of[cell.task].setdefault(column)
        missing.setdefault((row, column), []).append(cell)

    return Grid(
        rows=tuple(row for named in rows_of.values() for row in named),
        columns=tuple(column for named in columns_of.values() for column in named),
        cells={
            at: Cell(*at, tuple(placed.get(at, ())), tuple(missing.get(at, ())))
            for at in {**placed, **missing}
        },
        row_labels={row: label for label, named in rows_of.items() for row in named},
    )


def _grouped(*names: Sequence[str]) -> dict[str, dict[str, None]]:
    """An empty ordered set for each name, in the order they are first named."""
    return {name: {} for group in names for name in group}


def weights_apart(collected: Collected) -> dict[tuple[str, ...], dict[str, str]]:
    """What tells weights apart that share a name and are not known to be several pretrainings.

    Returns:
        By name, architecture and preprocessing, where there are such: by weights, as in rows' names.
    """
    planned = {run.key: run.pretraining_seed for run in (collected.plan.runs if collected.plan else ())}
    groups: dict[tuple[str, ...], list[TaskResult]] = {}
    for result in collected.results:
        if result.spec.task != PRETRAINING:
            groups.setdefault(_place(result), []).append(result)
    found = {place: told_apart(results, planned) for place, results in groups.items()}
    return {place: told for place, told in found.items() if told}


def _place(result: TaskResult) -> tuple[str, ...]:
    return result.label, *_row_variant(result)


def _row_variant(result: TaskResult) -> tuple[str, ...]:
    backbone = result.spec.backbone
    return backbone.arch, _digest(sorted(backbone.card.items()))


def _column_variant(result: TaskResult) -> tuple[str, ...]:
    spec = result.spec
    limit = "all images" if spec.limit is None else f"limit {spec.limit}"
    rest = _digest((spec.data.fingerprint, sorted(spec.settings.items())))
    engine = str(spec.settings.get("engine", ""))
    precision = str(spec.settings.get("precision", USUAL))
    return f"v{spec.version}", engine, precision, spec.data.name, limit, result.main_metric, rest


def _apart(names: Sequence[str], variants: Sequence[tuple[str, ...]]) -> list[str]:
    """Tell variants under one name apart by the first part that does so alone, else by all that differ."""
    variants_of: dict[str, list[tuple[str, ...]]] = {name: [] for name in names}
    for name, variant in zip(names, variants, strict=True):
        if variant not in variants_of[name]:
            variants_of[name].append(variant)
    apart = []
    for name, variant in zip(names, variants, strict=True):
        others = variants_of[name]
        counts = [len({other[i] for other in others}) for i in range(len(variant))]
        differing = [part for part, count in zip(variant, counts, strict=True) if count > 1]
        alone = [part for part, count in zip(variant, counts, strict=True) if count == len(others) > 1]
        told = alone[:1] or differing
        apart.append(f"{name} ({', '.join(told)})" if told else name)
    return apart


def _digest(value: object) -> str:
    return digest(repr(value), length=6)
