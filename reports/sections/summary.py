"""The report in a few sentences: what is shown against each baseline, and what is not."""

from __future__ import annotations

from reports.run_folder.devices import unlike
from reports.run_folder.grid import Grid
from reports.sections.tables import stated
from reports.statistics.comparison import Comparison
from reports.statistics.difference import Difference
from reports.writing.table import bold, plain, pvalue


def summary(grid: Grid, comparison: Comparison, controls: set[str]) -> tuple[str, ...]:
    """One sentence a backbone and baseline, the controls left out."""
    rows = [row for row in grid.rows if grid.row_labels[row] not in controls]
    pairs = [(row, base) for base in comparison.baselines for row in rows if row != base]
    met: set[frozenset[str]] = set()
    sentences = []
    for row, base in pairs:
        if frozenset((row, base)) in met:
            continue
        met.add(frozenset((row, base)))
        if text := _sentence(grid, comparison, row, base):
            sentences.append(f"{bold(plain(row))} against {plain(base)}: {text}.")
    return tuple(sentences)


def _sentence(grid: Grid, comparison: Comparison, row: str, base: str) -> str:
    by_verdict: dict[str, list[str]] = {}
    for column in grid.columns:
        found = comparison.at(row, base, column)
        if isinstance(found, Difference):
            apart = unlike(grid.at(row, column), grid.at(base, column))
            by_verdict.setdefault(found.verdict, []).append(_named(column, found, apart))
    order = ("ahead", "behind", "no difference shown", "not tested")
    return "; ".join(
        f"{verdict} on {', '.join(by_verdict[v])}" for v in order if (verdict := v) in by_verdict
    )


def _named(column: str, found: Difference, apart: str) -> str:
    gap = stated(found.value, found.interval, found.unit)
    apart = f", {apart}" if apart else ""
    if found.verdict in {"ahead", "behind"}:
        p = pvalue(found.test.adjusted) if hasattr(found.test, "adjusted") else ""
        seeds = ", not over seeds" if found.shown_over_images_alone else ""
        return f"{plain(column)} ({gap}, p {p}{seeds}{apart})"
    return f"{plain(column)} ({gap}{apart})"
