"""Measured numbers beside published ones: deviation from an anchor, and who may stand beside whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from hsa_bench.core.results.result import TaskResult
from reports.published.entries import Entry, by_file, entries, incomparable, measured, published_of
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid
from reports.writing.table import MISSING, Table, plain, signed

TOLERANCE = 1.0
"""Percentage points a measurement may lie from its anchor before it is remarked; published re-runs of one
recipe on one file differ by some tenths, those of another code by more (see the notes in published.csv)."""


@dataclass(frozen=True)
class Anchor:
    """A number of ours that a known or claimed file should give."""

    row: str
    column: str
    claim: str
    entry: Entry
    value: float
    """Ours, mean over runs, percent."""

    @property
    def deviation(self) -> float:
        """Ours less the published one, percentage points."""
        return self.value - float(self.entry.value)


@dataclass(frozen=True)
class Anchors:
    """What could be checked, and why nothing else."""

    found: tuple[Anchor, ...]
    unmatched: tuple[str, ...]
    """Claims that nothing here may stand beside, each with the reason."""


def anchors(collected: Collected, grid: Grid, claims: Mapping[str, str]) -> Anchors:
    """Set every row with a claim, stated or known by its file's hash, against what is published of it."""
    claimed = by_file(collected.results, claims)
    found: list[Anchor] = []
    unmatched = []
    for row in grid.rows:
        claim = claimed.get(grid.row_labels[row], "")
        own = [anchor for column in grid.columns for anchor in _of_cell(grid, row, column, claim)]
        found += own
        if claim and not own:
            unmatched.append(f"{plain(row)} ({plain(claim)}): {plain(_why(grid, row, claim))}")
    return Anchors(tuple(found), tuple(unmatched))


def anchor_table(found: Anchors) -> Table:
    """One row for each anchor."""
    rows = tuple(
        (
            plain(one.row), plain(one.column), plain(one.claim), one.entry.metric, f"{one.value:.1f}",
            published_value(one.entry), signed(one.deviation), one.entry.source,
        )
        for one in found.found
    )  # fmt: skip
    header = ("backbone", "task", "claim", "metric", "measured", "published", "deviation, points", "source")
    return Table(header, rows, frozenset({"task", "claim", "metric", "source"}))


def beside_table(grid: Grid) -> Table:
    """Published numbers of the same data set, architecture and recipe, with our rows in the same columns."""
    header = ("task", "method", "epochs", "multi-crop", "metric", "published", "ours", "source")
    rows = []
    for column in grid.columns:
        tasks = {result.spec.task for result in grid.in_column(column)}
        for entry in (one for one in entries() if one.ours in tasks):
            ours = {row: _mean(entry, grid, row, column) for row in grid.rows}
            text = "<br>".join(f"{plain(row)} {v:.1f}" for row, v in ours.items() if v is not None)
            if text:
                rows.append(
                    (
                        plain(column), plain(entry.method), entry.epochs or MISSING,
                        entry.multi_crop or MISSING, entry.metric, published_value(entry), text, entry.source,
                    )
                )  # fmt: skip
    return Table(header, tuple(rows), frozenset({"method", "multi-crop", "metric", "ours", "source"}))


def published_value(entry: Entry) -> str:
    """As printed, with its deviation where there is one."""
    return entry.value + (f" ± {entry.std} ({entry.std_of})" if entry.std else "")


def _of_cell(grid: Grid, row: str, column: str, claim: str) -> list[Anchor]:
    found = []
    for entry in published_of().get(claim, []):
        value = _mean(entry, grid, row, column)
        if value is not None:
            found.append(Anchor(row, column, claim, entry, value))
    return found


def _mean(entry: Entry, grid: Grid, row: str, column: str) -> float | None:
    """Of the runs that may stand beside an entry; None if there is none."""
    runs = [run for run in grid.at(row, column).runs if not incomparable(entry, run)]
    values = [value for run in runs if (value := measured(entry, run)) is not None]
    return fmean(values) if values else None


def _why(grid: Grid, row: str, claim: str) -> str:
    """The reasons of those runs that come nearest."""
    runs: list[TaskResult] = [run for run in grid.in_row(row) if run.status == "ok"]
    reasons = [incomparable(entry, run) for entry in published_of().get(claim, []) for run in runs]
    other = [reason for reason in dict.fromkeys(reasons) if reason and reason != "other recipe"]
    return "; ".join(other or dict.fromkeys(reasons)) or "nothing was measured"
