"""Two run folders side by side: what each cell of one run is in the other, and why they may differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hsa_bench.core.results.result import TaskResult
from reports.run_folder.collected import Collected
from reports.run_folder.devices import devices, precisions, unlike
from reports.run_folder.grid import Cell, Grid, lay_out
from reports.sections.tables import parts, score, stated
from reports.statistics.adjust import adjusted
from reports.statistics.bootstrap import Impossible, Measured, measure, resample
from reports.statistics.difference import Difference, Significance, difference
from reports.writing.table import MISSING, Table, code, plain, pvalue, setting, signed

SHOWN_SETTINGS = 4

PRECISION = "precision"
"""A setting that is named with the devices."""


@dataclass(frozen=True)
class Meeting:
    """A cell that both runs have."""

    one: Cell
    other: Cell
    found: Difference | Impossible
    """The second run's score less the first's."""


def across_table(first: Collected, second: Collected) -> Table:
    """One row for each backbone and task of either run; differences are the second run's less the first's."""
    grids = lay_out(first), lay_out(second)
    met = {(m.one.row, m.one.column): m for m in _adjusted(list(_meetings(first, second, *grids)))}
    places = dict.fromkeys([*_places(grids[0]), *_places(grids[1])])
    rows = tuple(_row(place, grids, met.get(place)) for place in places)
    header = ("backbone", "task", "first run", "second run", "second − first", "shown", "what differs")
    return Table(header, rows, frozenset({"task", "shown", "what differs"}))


def _row(place: tuple[str, str], grids: tuple[Grid, Grid], meeting: Meeting | None) -> tuple[str, ...]:
    cells = [grid.at(*place) for grid in grids]
    scores = [score(cell) for cell in cells]
    if meeting is None:
        return (*map(plain, place), *scores, MISSING, MISSING, "no number in both")
    found, why = meeting.found, _unlike(meeting.one, meeting.other)
    if isinstance(found, Impossible):
        return (*map(plain, place), *scores, MISSING, f"not paired: {plain(found.reason)}", why)
    p = f", p {pvalue(found.test.adjusted)}" if isinstance(found.test, Significance) else ""
    shown = f"{found.verdict} ({found.noise}){p}"
    same = found.value == 0 and found.interval.low == found.interval.high == 0
    told = "identical" if same else _gap(found)
    return (*map(plain, place), *scores, told, MISSING if same else shown, why)


def _gap(found: Difference) -> str:
    if found.unit != "%":
        return stated(found.value, found.interval, found.unit)
    return f"{signed(found.value, 2)} {parts(found.value, found.interval, found.unit, 1)[1]}"


def _places(grid: Grid) -> list[tuple[str, str]]:
    return [(row, column) for row in grid.rows for column in grid.columns if (row, column) in grid.cells]


def _meetings(first: Collected, second: Collected, grid: Grid, other: Grid) -> Iterator[Meeting]:
    for place in _places(grid):
        one, two = grid.at(*place), other.at(*place)
        if not one.runs or not two.runs:
            continue
        limits = {run.spec.limit for run in (*one.runs, *two.runs)}
        if len(limits) > 1:
            yield Meeting(one, two, Impossible("limited to different numbers of images"))
            continue
        measured = {
            "first": measure(one.runs, first.folder(one.runs[0])),
            "second": measure(two.runs, second.folder(two.runs[0])),
        }
        drawn = resample({n: m for n, m in measured.items() if isinstance(m, Measured)})
        base, sample = (
            m if isinstance(m := measured[n], Impossible) else drawn[n] for n in ("first", "second")
        )
        yield Meeting(one, two, difference(two, one, sample, base))


def _adjusted(meetings: list[Meeting]) -> list[Meeting]:
    """Holm's adjustment over every p-value of the comparison."""
    found = adjusted([meeting.found for meeting in meetings])
    return [replace(meeting, found=one) for meeting, one in zip(meetings, found, strict=True)]


def _unlike(one: Cell, other: Cell) -> str:
    """What of two cells' specifications differs; the seed aside."""
    first, second = one.runs[0], other.runs[0]
    found = [f"{name} {a} → {b}" for name, a, b in _facts(first, second) if a != b]
    changed = [
        f"{code(name)} {setting(a)} → {setting(b)}"
        for name in {**first.spec.settings, **second.spec.settings}
        if name != PRECISION and (a := first.spec.settings.get(name)) != (b := second.spec.settings.get(name))
    ]
    found += changed[:SHOWN_SETTINGS]
    if len(changed) > SHOWN_SETTINGS:
        found.append(f"{len(changed) - SHOWN_SETTINGS} further settings")
    found += _rounding(one, other)
    if {run.spec.seed for run in one.runs} != {run.spec.seed for run in other.runs}:
        found.append("seeds")
    return "; ".join(found) or "nothing that can change a number"


def _rounding(one: Cell, other: Cell) -> list[str]:
    """Name unlike devices and number formats, and what follows of them."""
    named = {"device": (devices(one), devices(other)), PRECISION: (precisions(one), precisions(other))}
    found = [
        f"{name} {plain(', '.join(a))} → {plain(', '.join(b))}"
        for name, (a, b) in named.items()
        if set(a) != set(b)
    ]
    follows = ", so that the difference is also one of rounding" if unlike(one, other) else ""
    return [", ".join(found) + follows] if found else []


def _facts(first: TaskResult, second: TaskResult) -> list[tuple[str, Any, Any]]:
    a, b = first.spec, second.spec
    cards = ("", "") if a.backbone.card == b.backbone.card else ("first", "second")
    return [
        ("version", a.version, b.version),
        ("weights", code(a.backbone.weights[:8]), code(b.backbone.weights[:8])),
        ("architecture", plain(a.backbone.arch), plain(b.backbone.arch)),
        ("preprocessing", *cards),
        ("data", code(a.data.fingerprint[:8]), code(b.data.fingerprint[:8])),
        ("commit", code(first.provenance.commit[:8]), code(second.provenance.commit[:8])),
    ]
