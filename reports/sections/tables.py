"""The main table, backbones x tasks, what is compared with what, and what the runs cost."""

from __future__ import annotations

from hsa_bench.core.results.device import USUAL
from hsa_bench.core.results.result import TaskResult
from reports.run_folder.collected import result_file
from reports.run_folder.devices import devices, precisions, unlike
from reports.run_folder.grid import Cell, Grid
from reports.sections.glossary import remark
from reports.statistics.bootstrap import Impossible
from reports.statistics.comparison import Comparison
from reports.statistics.difference import BySeed, Difference, Significance
from reports.statistics.significance import Interval
from reports.writing.table import MISSING, Table, bold, decimals, duration, link, plain, pvalue, signed, slug

MEASURED = "measured on"
"""Heads the column of unlike devices."""

FAILED, SKIPPED = "failed", "n/a"


def main_table(grid: Grid, comparison: Comparison, root: str = "") -> Table:
    """Main metric of every backbone on every task; bold where it is ahead of every baseline.

    Args:
        grid: The cells.
        comparison: Says what is bold.
        root: The run folder as seen from the report, for links: "" or ending in a slash.
    """

    def entry(cell: Cell) -> str:
        words = score(cell)
        if comparison.ahead_of_all((cell.row, cell.column)):
            words = bold(words)
        single = cell.results[0] if len(cell.results) == 1 else None
        target = root + result_file(single) if single else f"#{slug(plain(cell.column))}"
        return link(words, target if cell.results else "")

    names = (plain(column) + _metric(grid, column) for column in grid.columns)
    rows = tuple(
        (plain(row) + _role(row, comparison), *(entry(grid.at(row, column)) for column in grid.columns))
        for row in grid.rows
    )
    return Table(("backbone", *names), rows)


def score(cell: Cell) -> str:
    """Mean ± std of a cell, or the word for why there is no number."""
    if not cell.runs:
        states = {result.status for result in cell.results}
        return FAILED if "failed" in states else SKIPPED if "skipped" in states else MISSING
    digits = decimals(cell.unit, 1, cell.mean)
    text = f"{cell.mean:.{digits}f}"
    if cell.repeated:
        text += f" ± {cell.std:.{digits}f}"
    if len(cell.runs) < cell.planned:
        text += f" ({len(cell.runs)} of {cell.planned} runs)"
    return text


def baseline_table(grid: Grid, comparison: Comparison, baseline: str) -> Table:
    """Difference of every backbone to one baseline, its interval, and what is shown."""
    found = {c: [comparison.at(row, baseline, c) for row in grid.rows] for c in grid.columns}
    columns = [c for c in found if any(isinstance(one, Difference) for one in found[c])]
    columns = columns or [c for c in found if any(found[c])]  # of diagnostics alone: the notes say why not
    rows = tuple(
        (
            plain(row),
            *(
                _compared(comparison.at(row, baseline, c), unlike(grid.at(row, c), grid.at(baseline, c)))
                for c in columns
            ),
        )
        for row in grid.rows
        if row != baseline
    )
    return Table(("backbone", *map(plain, columns)), rows)


def statistics_table(grid: Grid, comparison: Comparison) -> Table:
    """Every difference with its noise, its test and its p-values, one row each.

    Where one is between unlike devices or number formats, a last column names both.
    """
    header = (
        "backbone", "against", "task", "difference, points", "95 % interval", "noise of", "number", "test",
        "p", "p, Holm", "shown", "paired by seed",
    )  # fmt: skip
    found = {place: one for place, one in comparison.differences.items() if isinstance(one, Difference)}
    apart = {
        (row, base, c): _both(grid.at(row, c), grid.at(base, c))
        for row, base, c in found
        if unlike(grid.at(row, c), grid.at(base, c))
    }
    rows = tuple(
        (*map(plain, place), *_statistics(one), *([apart.get(place, MISSING)] if apart else []))
        for place, one in found.items()
    )
    left = {"against", "task", "noise of", "test", "shown", MEASURED}
    return Table((*header, *([MEASURED] if apart else [])), rows, frozenset(left))


def _both(one: Cell, other: Cell) -> str:
    """Name devices and number formats of either side."""
    sides = (", ".join([*devices(cell), *precisions(cell)]) for cell in (one, other))
    return " against ".join(map(plain, sides))


def cost_table(grid: Grid) -> Table:
    """Wall time over all runs of a cell, the largest peak memory of one of them, GPU apart, and its speed."""
    rows = tuple((plain(row), *(_cost(grid.at(row, column)) for column in grid.columns)) for row in grid.rows)
    return Table(("backbone", *map(plain, grid.columns)), rows)


def stated(value: float, interval: Interval, unit: str, digits: int = 1) -> str:
    """A difference with its interval: of percentages in points, else with its unit."""
    gap, bounds = parts(value, interval, unit, digits)
    return f"{gap} {bounds}" + (f" {plain(unit)}" if unit not in {"%", ""} else "")


def parts(value: float, interval: Interval, unit: str, digits: int) -> tuple[str, str]:
    """A difference and its interval, to as many decimals."""
    digits = decimals(unit, digits, value, interval.low, interval.high)
    return signed(value, digits), f"[{signed(interval.low, digits)}, {signed(interval.high, digits)}]"


def _compared(found: Difference | Impossible | None, apart: str) -> str:
    if found is None:
        return MISSING
    if isinstance(found, Impossible):
        return "not paired"
    verdict = bold(found.verdict) if found.verdict in {"ahead", "behind"} else found.verdict
    verdict += ", not over seeds" if found.shown_over_images_alone else ""
    p = f"<br>p {pvalue(found.test.adjusted)}" if isinstance(found.test, Significance) else ""
    measured = f"<br>{apart}" if apart else ""
    return f"{stated(found.value, found.interval, found.unit)}<br>{verdict}{p}{measured}"


def _statistics(found: Difference) -> tuple[str, ...]:
    test = found.test
    named = (
        (test.name, pvalue(test.p), pvalue(test.adjusted))
        if isinstance(test, Significance)
        else (f"none: {plain(test.reason)}", MISSING, MISSING)
    )
    one, other = found.counts
    seed = found.by_seed
    gap, bounds = parts(found.value, found.interval, found.unit, 2)
    return (
        gap if found.unit in {"%", ""} else f"{gap} {plain(found.unit)}",
        bounds,
        found.noise,
        f"{one:,}" if one == other else f"{one:,} and {other:,}",
        *named,
        bold(found.verdict) if found.verdict in {"ahead", "behind"} else found.verdict,
        _by_seed(seed, found.unit) if seed else MISSING,
    )


def _by_seed(seed: BySeed, unit: str) -> str:
    text = f"{signed(seed.value, 2)} {parts(seed.value, seed.interval, unit, 1)[1]}"
    return f"{text if unit == '%' else stated(seed.value, seed.interval, unit)}, {seed.seeds} seeds"


def _role(row: str, comparison: Comparison) -> str:
    return " (baseline)" if row in comparison.baselines else ""


def _metric(grid: Grid, column: str) -> str:
    engines = sorted({grid.at(row, column).engine for row in grid.rows} - {""})
    formats = sorted({name for row in grid.rows for name in precisions(grid.at(row, column))} - {USUAL})
    named = [*engines, *(name for name in formats if name not in column)]
    engine = f" ({', '.join(map(plain, named))})" if named else ""
    metric = grid.metric(column)
    scale = f", {remark(metric)}" if metric and remark(metric) else ""
    return next((f"<br>{plain(result.main_metric)}{scale}{engine}" for result in grid.in_column(column)), "")


def _cost(cell: Cell) -> str:
    ended = [result for result in cell.results if result.status != "skipped"]
    if not ended:
        return MISSING
    seconds = sum(result.seconds for result in ended)
    memory = max(result.peak_memory_mb for result in ended)
    on_gpu = max(result.peak_device_memory_mb for result in ended)
    beside = f", GPU {on_gpu:,.0f} MB" if on_gpu else ""
    return f"{duration(seconds)}<br>{memory:,.0f} MB{beside}{_speed(ended)}"


def _speed(results: list[TaskResult]) -> str:
    counted = [result for result in results if result.images and result.seconds]
    if not counted:
        return ""
    speed = sum(result.images for result in counted) / sum(result.seconds for result in counted)
    return f"<br>{speed:,.0f} images/s" if speed >= 10 else f"<br>{speed:.2g} images/s"
