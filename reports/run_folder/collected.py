"""Result files of a run folder: read them, and name what cannot be read. Free of pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hsa_bench.core.errors import UnreadableResult, UsageError
from hsa_bench.core.input.label import folder_fault
from hsa_bench.core.results.feature_pass import SharedFeatures, shared_features
from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.store import Store

PRETRAINING = "pretrain"
"""Task name of pretraining cells; their metrics are no transfer results."""


@dataclass(frozen=True)
class Collected:
    """What a run folder holds for the report."""

    out: Path
    plan: PlanFile | None
    results: tuple[TaskResult, ...]
    """In the plan's order; without a plan every readable file, by label and task."""
    absent: tuple[PlannedRun, ...]
    """Cells of the plan without a readable result: blocked, or not run yet."""
    unreadable: tuple[str, ...]
    """Why a file was left out; each names the file."""
    unplanned: int = 0
    """Readable results that the plan does not ask for."""
    passes: tuple[SharedFeatures, ...] = ()
    """Feature passes of the folder, by when they started."""

    def folder(self, result: TaskResult) -> Path:
        """Where the files beside a result stand."""
        return Store(self.out).path(result.label, result.spec.task, result.spec.key).parent


def result_file(result: TaskResult) -> str:
    """Where a result stands in its run folder, as a relative path."""
    return f"results/{result.label}/{result.spec.task}/{result.spec.key}.json"


def locate(folder: Path) -> Path:
    """The run folder, given itself or its `results/`.

    Raises:
        UsageError: There is no such folder, or no result in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; give the --out folder of a run")
    inside = folder.name == "results" and not (folder / "results").is_dir()
    out = folder.absolute().parent if inside else folder
    if not Store(out).paths():
        raise UsageError(f"{folder}: holds no result file (results/<backbone>/<task>/<key>.json)")
    return out


def collect(out: Path, whole: bool = False) -> Collected:
    """Read the results of the current plan, or all there are where no plan was left.

    Args:
        out: The run folder.
        whole: Read all there are, whatever the plan says.
    """
    store = Store(out)
    read: dict[Path, TaskResult] = {}
    unreadable = []
    for path in store.paths():
        try:
            read[path] = store.read(path)
        except UnreadableResult as error:
            unreadable.append(str(error))
    passes, faults = shared_features(out)
    unreadable += faults
    try:
        plan = store.read_plan()
    except UnreadableResult as error:
        plan = None
        unreadable.append(f"{error}; the report is of all results in the folder")
    if plan is None or whole:
        return Collected(out, plan, tuple(read.values()), (), tuple(unreadable), passes=tuple(passes))
    places = {
        cell: store.path(cell.label, cell.task, cell.key)
        for cell in plan.runs
        if cell.key and not any(map(folder_fault, (cell.label, cell.task, cell.key)))
    }
    wanted = dict.fromkeys(path for path in places.values() if path in read)
    return Collected(
        out=out,
        plan=plan,
        results=tuple(read[path] for path in wanted),
        absent=tuple(cell for cell in plan.runs if places.get(cell) not in wanted),
        unreadable=tuple(unreadable),
        unplanned=len(read) - len(wanted),
        passes=tuple(passes),
    )
