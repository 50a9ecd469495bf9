"""Where each backbone came from, how completely it was loaded, and what pretraining it cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hsa_bench.core.results.pretrainings import stated_seed
from hsa_bench.core.results.result import Coverage, TaskResult
from reports.run_folder.frame import PRETRAINING, Collected
from reports.run_folder.grid import Grid
from reports.writing.table import MISSING, Table, code, detail, duration, plain, shortened

UNKNOWN = "unknown"
BEGUN = "started from (its cost is not in this row)"


def backbone_table(grid: Grid, out: Path) -> Table:
    """One row per set of weights: source (inside the run folder: relative to it), coverage, card, hash."""
    header = (
        "backbone", "architecture", "source", "format", "branch",
        "tensors loaded", "preprocessing", "weights",
    )  # fmt: skip
    rows = tuple(
        (
            plain(row),
            plain(result.spec.backbone.arch),
            code(_relative(result.source.path, out)),
            plain(result.source.format) or MISSING,
            plain(result.source.branch) or MISSING,
            _coverage(result.source.coverage),
            _card(result.spec.backbone.card),
            code(result.spec.backbone.weights[:12]),
        )
        for row, result in _weights(grid)
    )
    return Table(header, rows, frozenset(header))


def budget_table(grid: Grid, controls: Sequence[str]) -> Table:
    """What each pretraining cost, as its checkpoint says; "unknown" where it does not say.

    On which device, and what it began with, have columns where one of them says it.
    """
    known = any(r.source.budget and r.source.budget.device for _, r in _weights(grid))
    begun = any(r.source.budget and r.source.budget.start for _, r in _weights(grid))
    header = (
        "backbone", "weights", "method", "data", "epochs", "images", "views an image", "views in all",
        "FLOPs", "time", *(["device"] if known else []), "seed",
        *([BEGUN] if begun else []), "settings unlike MoCo v2's and HSA's",
    )  # fmt: skip
    rows: dict[tuple[str, ...], None] = {}
    for row, result in _weights(grid):
        budget, seed = result.source.budget, stated_seed(result.source)
        weights = code(result.spec.backbone.weights[:12])
        if grid.row_labels[row] in controls:
            rows[plain(row), MISSING, "none, a control", *[MISSING] * (len(header) - 3)] = None
        elif budget is None:
            end = _known(seed), *([UNKNOWN] if begun else []), MISSING
            rows[plain(row), weights, *[UNKNOWN] * (len(header) - 2 - len(end)), *end] = None
        else:
            views = f"{budget.views:.4g}", f"{budget.images * budget.views:,.0f}"
            numbers = f"{budget.epochs:,}", f"{budget.images:,}", *views
            cost = (
                f"{budget.flops:.3g}" if budget.flops else UNKNOWN,
                duration(budget.seconds),
                *([plain(budget.device) or UNKNOWN] if known else []),
                _known(seed),
                *([plain(budget.start) or "random weights"] if begun else []),
            )
            notes = plain("; ".join(budget.notes)) or MISSING
            rows[plain(row), weights, plain(budget.method), plain(budget.dataset), *numbers, *cost, notes] = (
                None
            )
    return Table(header, tuple(rows), frozenset({"weights", "method", "data", "device", BEGUN, header[-1]}))


def pretraining_table(collected: Collected) -> Table:
    """What each pretraining of this run ended with.

    The time is the budget's where it was measured: results of this version have it, too, but in older ones a
    pretraining that went on after a stop has that of its last stretch.
    """
    budgets = [(result.label, result.source.budget) for result in collected.results]
    took = {(label, budget.seed): budget.seconds for label, budget in budgets if budget}
    results = pretrainings(collected)
    metrics = list(dict.fromkeys(name for result in results for name in result.values))
    on_gpu = any(result.peak_device_memory_mb for result in results)
    rows = tuple(
        (
            plain(result.label),
            str(result.spec.seed),
            *_numbers(result, metrics),
            result.status,
            duration(took.get((result.label, result.spec.seed), result.seconds)),
            f"{result.peak_memory_mb:,.0f}",
            *([f"{result.peak_device_memory_mb:,.0f}"] if on_gpu else []),
            code(result.spec.key),
        )
        for result in results
    )
    memory = ("peak memory, MB", *(["of the GPU, MB"] if on_gpu else []))
    header = ("backbone", "seed", *map(plain, metrics), "status", "time", *memory, "result")
    return Table(header, rows, frozenset({"status"}))


def _numbers(result: TaskResult, names: Sequence[str]) -> list[str]:
    by_name = {metric.name: metric for metric in result.metrics}
    return [detail(by_name[n].value, by_name[n].unit) if n in by_name else MISSING for n in names]


def pretrainings(collected: Collected) -> list[TaskResult]:
    """The pretraining cells among the results, those of one name by seed."""
    found = [result for result in collected.results if result.spec.task == PRETRAINING]
    names = list(dict.fromkeys(result.label for result in found))
    return sorted(found, key=lambda result: (names.index(result.label), result.spec.seed))


def _weights(grid: Grid) -> list[tuple[str, TaskResult]]:
    """One result of each row and set of weights."""
    found: dict[tuple[str, str], TaskResult] = {}
    for row in grid.rows:
        for result in grid.in_row(row):
            found.setdefault((row, result.spec.backbone.weights), result)
    return [(row, result) for (row, _), result in found.items()]


def _known(seed: int | None) -> str:
    return UNKNOWN if seed is None else str(seed)


def _relative(path: str, out: Path) -> str:
    try:
        return Path(path).relative_to(out.absolute()).as_posix()
    except ValueError:
        return path


def _coverage(coverage: Coverage | None) -> str:
    if coverage is None:
        return MISSING
    text = f"{coverage.matched}/{coverage.total}"
    return f"{text}, dropped: {shortened(coverage.dropped)}" if coverage.dropped else text


def _card(card: dict[str, Any]) -> str:
    """Channel order, range, mean and std of the input; whatever else a card holds follows as it is."""
    if not card:
        return MISSING
    return ", ".join(f"{plain(name)} {_value(value)}" for name, value in card.items())


def _value(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(v, int | float) for v in value):
        return "/".join(f"{v:.4g}" for v in value)
    return plain(str(value))
