"""What a reader must know before trusting the tables: gaps, limits, mixtures, pairs not compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hsa_bench.core.result import TaskResult
from reports.bootstrap import Impossible
from reports.compare import Comparison
from reports.frame import Collected
from reports.grid import Grid
from reports.table import code, plain, signed

RANDOM = "random"
"""Label of the untrained control."""


@dataclass(frozen=True)
class Notes:
    """Remarks of one kind."""

    title: str
    items: tuple[str, ...]


def notes(collected: Collected, grid: Grid, comparison: Comparison) -> tuple[Notes, ...]:
    """All remarks there are, most serious first; kinds without a remark are left out."""
    groups = (
        Notes("Failed", tuple(map(_failed, _having(collected, "failed")))),
        Notes("Skipped", tuple(dict.fromkeys(map(_skipped, _having(collected, "skipped"))))),
        Notes("Blocked or not run yet", _absent(collected)),
        Notes("Files left out", _left_out(collected)),
        Notes("Limited", _limited(collected)),
        Notes("Objects left out of the data", _dropped(grid)),
        Notes("Test images seen in pretraining", _leaked(grid)),
        Notes("Remarked in pretraining", _remarked(grid)),
        Notes("Taken for granted, as no file says it", _assumed(grid)),
        Notes(
            "Not shown to be better than an untrained network (the interval of the difference reaches zero)",
            _no_better_than_random(grid, comparison),
        ),
        Notes("Not compared", _not_compared(grid, comparison)),
        Notes("Origin of the numbers", _origins(collected, grid)),
        Notes("Departures and remarks of the preset", tuple(map(plain, _of_preset(collected)))),
    )
    return tuple(group for group in groups if group.items)


def place(result: TaskResult) -> str:
    """The file of a result, relative to the run folder."""
    return f"results/{result.label}/{result.spec.task}/{result.spec.key}.json"


def _having(collected: Collected, status: str) -> list[TaskResult]:
    return [result for result in collected.results if result.status == status]


def _failed(result: TaskResult) -> str:
    kind, message = (result.failure.kind, result.failure.message) if result.failure else ("", "no reason")
    first = (message.strip().splitlines() or ["no message"])[0]
    where = f"{plain(result.label)}, {plain(result.spec.task)}, seed {result.spec.seed}"
    return f"{where}: {kind}: {plain(first)} (all of it in {code(place(result))})"


def _skipped(result: TaskResult) -> str:
    return f"{plain(result.label)}, {plain(result.spec.task)}: {plain(result.reason)}"


def _absent(collected: Collected) -> tuple[str, ...]:
    lines = dict.fromkeys(
        f"{plain(cell.label)}, {plain(cell.task)}, seed {cell.seed}: {plain(cell.blocked) or 'not run yet'}"
        for cell in collected.absent
    )
    return tuple(lines)


def _left_out(collected: Collected) -> tuple[str, ...]:
    lines = [plain(line) for line in collected.unreadable]
    if collected.unplanned:
        lines.append(
            f"{_count(collected.unplanned, 'further result')} in the folder not of the current plan "
            "(other settings, versions or weights); left out."
        )
    return tuple(lines)


def _limited(collected: Collected) -> tuple[str, ...]:
    limits = {r.spec.limit for r in collected.results if r.spec.limit is not None}
    if not limits and not (collected.plan and collected.plan.limited):
        return ()
    sizes = " and ".join(f"{limit:,}" for limit in sorted(limits))
    drawn = f" to {sizes} training and test images" if limits else ""
    return (
        f"This run was limited{drawn}, to try things out. Its numbers belong in no comparison table, so no "
        "differences are shown.",
    )


def _dropped(grid: Grid) -> tuple[str, ...]:
    """Objects that a detection task could not use: how many, and the first of them by file and number."""
    lines: dict[str, None] = {}
    for column in grid.columns:
        for result in grid.in_column(column):
            if named := result.effective.get("dropped"):
                counts = ", ".join(f"{n:,} of {s}" for s, n in result.effective["dropped_objects"].items())
                lines[f"{plain(column)}: {counts}, such as: {plain('; '.join(named))}."] = None
    return tuple(lines)


def _leaked(grid: Grid) -> tuple[str, ...]:
    """Test images whose pixels are among those of the pretraining, by the checkpoint's hashes."""
    lines: dict[str, None] = {}
    for row in grid.rows:
        for result in grid.in_row(row):
            seen = str(result.effective.get("test_images_in_pretraining", "0 of 0"))
            if not seen.startswith("0 of"):
                text = f"{plain(row)}: {seen} test images of {plain(result.spec.data.name)}"
                lines[f"{text} were pretrained on, by the hashes in its checkpoint."] = None
    return tuple(lines)


def _assumed(grid: Grid) -> tuple[str, ...]:
    lines: dict[str, None] = {}
    for row in grid.rows:
        for result in grid.in_row(row):
            if result.source.assumed:
                lines[f"{plain(row)}: {plain('; '.join(result.source.assumed))}."] = None
    return tuple(lines)


def _remarked(grid: Grid) -> tuple[str, ...]:
    """What pretraining warned of: a queue large for the data, features that collapsed."""
    lines: dict[str, None] = {}
    for row in grid.rows:
        for result in grid.in_row(row):
            if result.source.budget is not None:
                lines |= {f"{plain(row)}: {plain(text)}.": None for text in result.source.budget.warnings}
    return tuple(lines)


def _no_better_than_random(grid: Grid, comparison: Comparison) -> tuple[str, ...]:
    lines = []
    for row, control in _with_untrained(grid):
        for column in grid.columns:
            places = (row, column), (control, column)
            if any(at not in comparison.scores for at in places):
                continue
            found = comparison.between(*places)
            if not isinstance(found, Impossible) and found.interval.low <= 0:
                bounds = f"{signed(found.interval.low)}, {signed(found.interval.high)}"
                lines.append(
                    f"{plain(row)}, {plain(column)}: {signed(found.value)} [{bounds}] to {plain(control)}"
                )
    return tuple(lines)


def _with_untrained(grid: Grid) -> list[tuple[str, str]]:
    """Rows and the untrained control of their architecture, where there is one."""
    archs = {row: {r.spec.backbone.arch for r in grid.in_row(row)} for row in grid.rows}
    untrained = [row for row in grid.rows if grid.row_labels[row].partition(" ")[0] == RANDOM]
    return [
        (row, control)
        for row in grid.rows
        if row not in untrained
        for control in untrained
        if archs[row] == archs[control]
    ]


def _not_compared(grid: Grid, comparison: Comparison) -> tuple[str, ...]:
    reasons: dict[str, list[str]] = {}
    for (row, column), found in {**comparison.scores, **comparison.differences}.items():
        if isinstance(found, Impossible):
            reasons.setdefault(f"{plain(column)}: {plain(found.reason)}", []).append(plain(row))
    lines = [f"{reason} ({', '.join(rows)})." for reason, rows in reasons.items()]
    if not comparison.baseline:
        lines.insert(0, "There is no baseline, so there are no differences.")
    else:
        lacking = [c for c in grid.columns if (comparison.baseline, c) not in comparison.scores]
        lines += [f"{plain(c)}: the baseline has no number, so there are no differences." for c in lacking]
    return tuple(lines)


def _origins(collected: Collected, grid: Grid) -> tuple[str, ...]:
    results = collected.results
    lines = []
    for task in dict.fromkeys(result.spec.task for result in results):
        columns = [c for c in grid.columns if any(r.spec.task == task for r in grid.in_column(c))]
        if len(columns) > 1:
            lines.append(
                f"{plain(task)} was measured in several ways (version, settings or data differ), "
                f"reported apart: {', '.join(map(plain, columns))}."
            )
    for what, values in (
        ("versions of hsa_bench", [r.provenance.version for r in results]),
        ("commits", [r.provenance.commit for r in results]),
    ):
        if len(distinct := sorted(set(values))) > 1:
            lines.append(f"The results come from several {what}: {', '.join(map(plain, distinct))}.")
    for column in grid.columns:
        for part in ("cpu", "device"):
            kinds = sorted({r.provenance.hardware.get(part, "") for r in grid.in_column(column)})
            if len(kinds) > 1:
                measured = f"{plain(column)} was measured on more than one {part}"
                lines.append(f"{measured}: {', '.join(map(plain, kinds))}.")
    dirty = sum(r.provenance.dirty for r in results)
    if dirty:
        lines.append(f"{_count(dirty, 'result')} made with uncommitted changes, which no commit can show.")
    return tuple(lines)


def _of_preset(collected: Collected) -> Sequence[str]:
    return collected.plan.notes if collected.plan else ()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{' is' if number == 1 else 's are'}"
