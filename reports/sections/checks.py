"""What a careful reader would check first, checked: one row a check, whether or not it found something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hsa_bench.core.results.result import TaskResult
from reports.published.beside import TOLERANCE, Anchors
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid
from reports.statistics.comparison import Comparison
from reports.statistics.designed import Answers
from reports.statistics.difference import Difference
from reports.statistics.untrained import beside_untrained
from reports.writing.table import Table, bold, plain, signed

PASSED, LOOK, VOID = "passed", "look", "no case"


@dataclass(frozen=True)
class Evidence:
    """Everything the checks look at."""

    collected: Collected
    grid: Grid
    comparison: Comparison
    anchors: Anchors
    controls: Sequence[str]
    """Labels of the controls."""
    designed: Answers = field(default_factory=dict)
    """To the questions of the design."""

    @property
    def results(self) -> list[TaskResult]:
        """Evaluations, without pretrainings."""
        return [result for column in self.grid.columns for result in self.grid.in_column(column)]


Finding = tuple[str, str]
"""A state and what was found."""


def checks_table(evidence: Evidence) -> Table:
    """All checks in a fixed order. "look" does not mean wrong: the notes say more."""
    rows = []
    for name, check in CHECKS.items():
        state, found = check(evidence)
        rows.append((name, bold(state) if state == LOOK else state, found))
    return Table(("check", "outcome", "found"), tuple(rows), frozenset({"outcome", "found"}))


def _loaded(evidence: Evidence) -> Finding:
    sources = {
        (r.label, r.source.path): r.source for r in evidence.results if r.label not in evidence.controls
    }
    unknown = sorted({label for (label, _), source in sources.items() if source.coverage is None})
    if not sources:
        return VOID, "controls alone"
    if unknown:
        return LOOK, f"no record of how completely these were loaded: {plain(', '.join(unknown))}"
    short = sorted({k[0] for k, s in sources.items() if s.coverage and s.coverage.matched < s.coverage.total})
    if short:
        return LOOK, f"not every tensor came from the file: {plain(', '.join(short))}"
    return PASSED, f"{_count(len(sources), 'file')}, every tensor of the backbone came from it"


def _untrained(evidence: Evidence) -> Finding:
    found = beside_untrained(evidence.comparison, evidence.grid)
    if not found:
        return VOID, "nothing was measured beside an untrained twin"
    better = sum(one.better for one in found)
    than = "better than" if any(one.difference.better == "lower" for one in found) else "above"
    what = f"{better} of {_count(len(found), 'number')} {than} the untrained twin's"
    how = f"by the 95 % interval of the difference to their mean, and {than} each initialisation"
    return (PASSED if better == len(found) else LOOK), f"{what}, {how}"


def _over_seeds(evidence: Evidence) -> Finding:
    differences = evidence.comparison.differences.values()
    found = [one for one in differences if isinstance(one, Difference) and one.by_seed]
    shown = [one for one in found if one.verdict in {"ahead", "behind"}]
    if not shown:
        return VOID, "no difference is shown that has several evaluation seeds"
    undone = sum(one.shown_over_images_alone for one in shown)
    if undone:
        return LOOK, f"{undone} of {_count(len(shown), 'difference')} shown might be undone by other seeds"
    return PASSED, f"{_count(len(shown), 'difference')} shown, none of which reaches zero over seeds"


def _anchored(evidence: Evidence) -> Finding:
    found = evidence.anchors.found
    if not found:
        why = "; ".join(evidence.anchors.unmatched)
        return (LOOK, f"claimed, but nothing comparable was measured: {why}") if why else (
            VOID, "no file is known by its hash, and none is claimed to be a published one",
        )  # fmt: skip
    worst = max(found, key=lambda one: abs(one.deviation))
    far = [one for one in found if abs(one.deviation) > TOLERANCE]
    text = f"{_count(len(found), 'number')} beside a published one; farthest {signed(worst.deviation)} points"
    return (LOOK if far else PASSED), f"{text} ({plain(worst.row)}, {plain(worst.column)})"


def _one_way(evidence: Evidence) -> Finding:
    tasks: dict[str, set[str]] = {}
    for column in evidence.grid.columns:
        for result in evidence.grid.in_column(column):
            tasks.setdefault(result.spec.task, set()).add(column)
    mixed = sorted(task for task, columns in tasks.items() if len(columns) > 1)
    if mixed:
        return (
            LOOK,
            f"several versions, engines, settings or data, in columns apart: {plain(', '.join(mixed))}",
        )
    return PASSED, "each task has one version, engine and set of settings"


def _same_data(evidence: Evidence) -> Finding:
    grid, several = evidence.grid, []
    for column in grid.columns:
        found = {(r.spec.data.name, r.spec.data.fingerprint) for r in grid.in_column(column)}
        if len(found) > 1:
            several.append(column)
    names: dict[str, set[str]] = {}
    for result in evidence.results:
        names.setdefault(result.spec.data.name, set()).add(result.spec.data.fingerprint)
    several += [name for name, prints in names.items() if len(prints) > 1]
    if several:
        return LOOK, f"one name, unequal data: {plain(', '.join(dict.fromkeys(several)))}"
    return PASSED, "the same images for every backbone, by fingerprint"


def _same_architecture(evidence: Evidence) -> Finding:
    grid = evidence.grid
    rows = [row for row in grid.rows if grid.row_labels[row] not in evidence.controls]
    archs = sorted({r.spec.backbone.arch for row in rows for r in grid.in_row(row)})
    if len(archs) > 1:
        return LOOK, f"differences are also between architectures: {plain(', '.join(archs))}"
    return PASSED, f"one architecture, {plain(archs[0])}" if archs else "controls alone"


def _clean(evidence: Evidence) -> Finding:
    results = evidence.collected.results
    dirty = sum(result.provenance.dirty for result in results)
    versions = {(r.provenance.version, r.provenance.commit) for r in results}
    if dirty:
        return LOOK, f"{dirty} of {_count(len(results), 'result')} made with uncommitted changes"
    if len(versions) > 1:
        return LOOK, f"results of {len(versions)} commits or versions"
    return PASSED, "one commit, nothing uncommitted"


def _whole(evidence: Evidence) -> Finding:
    limited = sum(result.spec.limit is not None for result in evidence.collected.results)
    if limited:
        return LOOK, f"{_count(limited, 'result')} of a part of the images: no comparison is shown"
    return PASSED, "all images, in training and test"


def _complete(evidence: Evidence) -> Finding:
    results, absent = evidence.collected.results, evidence.collected.absent
    failed = sum(result.status == "failed" for result in results)
    skipped = sum(result.status == "skipped" for result in results)
    total = len(results) + len(absent)
    text = f"{len(results) - failed - skipped} of {_count(total, 'run')} gave a number"
    parts = [f"{n} {word}" for n, word in ((failed, "failed"), (skipped, "cannot be measured")) if n]
    parts += [f"{len(absent)} missing"] if absent else []
    text += f" ({', '.join(parts)})" if parts else ""
    return (LOOK if failed or absent else PASSED), text


def _readable(evidence: Evidence) -> Finding:
    found = evidence.collected
    if found.unreadable or found.unplanned:
        return LOOK, f"{len(found.unreadable)} unreadable or foreign, {found.unplanned} of other plans"
    return PASSED, "every result file in the folder is in this report"


def _unseen(evidence: Evidence) -> Finding:
    known = [result.overlap for result in evidence.results if result.overlap]
    if not known:
        return VOID, "no file says which pictures it was pretrained on"
    leaked = sum(overlap.shared > 0 for overlap in known)
    if leaked:
        return LOOK, f"{_count(leaked, 'result')} on test images that were pretrained on"
    return PASSED, "no test image is among the pictures of pretraining, where files hold their hashes"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


CHECKS: dict[str, Callable[[Evidence], Finding]] = {
    "weights were loaded": _loaded,
    "better than untrained": _untrained,
    "differences hold over seeds": _over_seeds,
    "agrees with published anchors": _anchored,
    "one version and engine a task": _one_way,
    "same data for all": _same_data,
    "one architecture": _same_architecture,
    "one clean commit": _clean,
    "all images were used": _whole,
    "complete": _complete,
    "files readable and planned": _readable,
    "test images unseen in pretraining": _unseen,
}
