"""What a reader must know before trusting the tables: gaps, limits, mixtures, pairs not compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hsa_bench.core.results.result import Budget, TaskResult
from reports.published.beside import TOLERANCE, Anchors
from reports.run_folder.collected import Collected, result_file
from reports.run_folder.devices import unlike
from reports.run_folder.grid import Grid, weights_apart
from reports.sections.data_notes import dropped, leaked, remarked
from reports.sections.devices import several_devices, several_precisions, untested
from reports.sections.tables import stated
from reports.statistics.bootstrap import Impossible
from reports.statistics.comparison import Comparison
from reports.statistics.difference import Difference
from reports.statistics.untrained import beside_untrained
from reports.writing.table import code, decimals, plain, signed

OF = {"ahead": "ahead of", "behind": "behind"}


@dataclass(frozen=True)
class Notes:
    """Remarks of one kind."""

    title: str
    items: tuple[str, ...]


def notes(collected: Collected, grid: Grid, comparison: Comparison, anchors: Anchors) -> tuple[Notes, ...]:
    """All remarks there are, most serious first; kinds without a remark are left out."""
    groups = (
        Notes("Failed", tuple(map(_failed, _having(collected, "failed")))),
        Notes("Skipped", tuple(dict.fromkeys(map(_skipped, _having(collected, "skipped"))))),
        Notes("Blocked or not run yet", _absent(collected)),
        Notes("Files left out", _left_out(collected)),
        Notes("Limited", _limited(collected)),
        Notes(
            "Measured on several devices, so that differences between these are also of rounding",
            several_devices(grid),
        ),
        Notes(
            "Measured in several number formats, so that differences between these are also of rounding",
            several_precisions(grid),
        ),
        Notes("Measured on devices that this suite is not tested on", untested(collected)),
        Notes("One name, several sets of weights", _one_name(collected)),
        Notes("Objects left out of the data", dropped(grid)),
        Notes("Remarked of the data", remarked(grid)),
        Notes("Test images seen in pretraining", leaked(grid)),
        Notes("Remarked in pretraining", _remarked(grid)),
        Notes("Taken for granted, as no file says it", _assumed(grid)),
        Notes(
            "Not shown to be better than an untrained network (mean of its initialisations, or the best)",
            _no_better_than_random(comparison, grid),
        ),
        Notes(f"More than {TOLERANCE:g} point from a published anchor, or without one", _anchored(anchors)),
        Notes(
            "Shown with the noise of test images, but other evaluation seeds might undo it",
            _undone_by_seeds(comparison),
        ),
        Notes("Not compared", _not_compared(grid, comparison)),
        Notes("Origin of the numbers", _origins(collected, grid)),
        Notes("Departures and remarks of the preset", tuple(map(plain, _of_preset(collected)))),
    )
    return tuple(group for group in groups if group.items)


def _having(collected: Collected, status: str) -> list[TaskResult]:
    return [result for result in collected.results if result.status == status]


def _failed(result: TaskResult) -> str:
    kind, message = (result.failure.kind, result.failure.message) if result.failure else ("", "no reason")
    first = (message.strip().splitlines() or ["no message"])[0]
    where = f"{plain(result.label)}, {plain(result.spec.task)}, seed {result.spec.seed}"
    return f"{where}: {kind}: {plain(first)} (all of it in {code(result_file(result))})"


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


def _one_name(collected: Collected) -> tuple[str, ...]:
    """Weights under one name that are rows of their own, as nothing says that they are pretrainings."""
    return tuple(
        f"{plain(place[0])} stands for {len(told)} sets of weights ({plain(', '.join(told.values()))}), each "
        "in a row of its own: only where each states another pretraining seed are they several "
        "pretrainings, which are averaged (`--pretrain-seed`)."
        for place, told in weights_apart(collected).items()
    )


def _assumed(grid: Grid) -> tuple[str, ...]:
    lines = dict.fromkeys(
        f"{plain(row)}: {plain('; '.join(result.source.assumed))}."
        for row in grid.rows
        for result in grid.in_row(row)
        if result.source.assumed
    )
    return tuple(lines)


def _remarked(grid: Grid) -> tuple[str, ...]:
    """Repeat what pretraining warned of: a queue large for the data, features that collapsed."""
    lines = dict.fromkeys(
        f"{plain(row)}: {plain(text)}."
        for row in grid.rows
        for result in grid.in_row(row)
        if result.source.budget
        for text in (*_begun(result.source.budget), *result.source.budget.warnings)
    )
    return tuple(lines)


def _begun(budget: Budget) -> tuple[str, ...]:
    """Say what is missing in the cost of a pretraining that did not begin with random weights."""
    if not budget.start:
        return ()
    return (f"started from {budget.start}; its epochs, images, FLOPs and time are those after that alone",)


def _no_better_than_random(comparison: Comparison, grid: Grid) -> tuple[str, ...]:
    lines = []
    for one in beside_untrained(comparison, grid):
        if not one.better:
            found, tried = one.difference, one.initialisations
            gap = stated(found.value, found.interval, found.unit)
            line = f"{plain(one.row)}, {plain(one.column)}: {gap} to {plain(one.control)}"
            if apart := unlike(grid.at(one.row, one.column), grid.at(one.control, one.column)):
                line += f", {apart}"
            if one.beyond_the_mean:
                digits = decimals(found.unit, 1, one.value, one.best)
                line += f"; {one.value:.{digits}f} beside {one.best:.{digits}f}"
                line += f", the best of {len(tried)} initialisations"
            lines.append(line)
    return tuple(lines)


def _not_compared(grid: Grid, comparison: Comparison) -> tuple[str, ...]:
    reasons: dict[str, dict[str, None]] = {}
    otherwise = {c for (_, _, c), found in comparison.differences.items() if isinstance(found, Difference)}
    for (row, column), score in comparison.scores.items():
        if isinstance(score, Impossible) and column not in otherwise and not grid.at(row, column).diagnostic:
            reasons.setdefault(f"{plain(column)}: {plain(score.reason)}", {})[plain(row)] = None
    for (row, base, column), found in comparison.differences.items():
        own = comparison.scores[row, column], comparison.scores[base, column]
        said = column not in otherwise and any(isinstance(score, Impossible) for score in own)
        if isinstance(found, Impossible) and not said:
            named = f"{plain(row)} to {plain(base)}"
            reasons.setdefault(f"{plain(column)}: {plain(found.reason)}", {})[named] = None
    lines = [f"{reason} ({', '.join(rows)})." for reason, rows in reasons.items()]
    if not comparison.baselines:
        lines.insert(0, "There is no baseline, so there are no differences.")
    for base in comparison.baselines:
        lacking = [plain(c) for c in grid.columns if (base, c) not in comparison.scores]
        if lacking:
            lines.append(f"{plain(base)} has no number on {', '.join(lacking)}: no differences to it there.")
    return tuple(lines)


def _undone_by_seeds(comparison: Comparison) -> tuple[str, ...]:
    return tuple(
        f"{plain(row)} {OF[found.verdict]} {plain(base)} on {plain(column)}: paired by seed "
        f"{stated(found.by_seed.value, found.by_seed.interval, found.unit)} over {found.by_seed.seeds} seeds."
        for (row, base, column), found in comparison.differences.items()
        if isinstance(found, Difference) and found.shown_over_images_alone and found.by_seed
    )


def _anchored(anchors: Anchors) -> tuple[str, ...]:
    """Deviations too large to pass over, and claims that nothing could be set against."""
    far = [
        f"{plain(one.row)}, {plain(one.column)}: {one.value:.1f} measured, {one.entry.value} published "
        f"({one.entry.source}), {signed(one.deviation)} points."
        for one in anchors.found
        if abs(one.deviation) > TOLERANCE
    ]
    return (*far, *(f"Nothing comparable was measured for {text}." for text in anchors.unmatched))


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
        ("commits", [r.provenance.commit[:12] or "none" for r in results]),
    ):
        if len(distinct := sorted(set(values))) > 1:
            lines.append(f"The results come from several {what}: {', '.join(map(plain, distinct))}.")
    dirty = sum(r.provenance.dirty for r in results)
    if dirty:
        lines.append(f"{_count(dirty, 'result')} made with uncommitted changes, which no commit can show.")
    return tuple(lines)


def _of_preset(collected: Collected) -> Sequence[str]:
    return collected.plan.notes if collected.plan else ()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{' is' if number == 1 else 's are'}"
