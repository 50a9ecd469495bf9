"""Results of several machines in one run folder; what contradicts is named, never averaged."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hsa_bench.core.errors import UsageError
from hsa_bench.core.results.device import device_of, differ
from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.pretrainings import CONTROL, are_pretrainings, stated_seed
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.store import Store
from reports.run_folder.collected import PRETRAINING, Collected, collect, result_file


@dataclass
class Merged:
    """What came of it."""

    copied: int = 0
    same: int = 0
    """Results that several runs have, with the same numbers."""
    conflicts: list[str] = field(default_factory=list)
    """One specification, two outcomes; the first run's is kept."""
    remarks: list[str] = field(default_factory=list)


def merge(runs: Sequence[Path], out: Path) -> Merged:
    """Copy the results of run folders into one, with the files they name and a joint plan.

    What is in `out` already counts as a first run. A number stands against a failure of the same cell.

    Raises:
        UsageError: `out` is one of the runs.
    """
    if out.resolve() in {run.resolve() for run in runs}:
        raise UsageError(f"{out}: is one of the runs to merge; give another folder to -o")
    sources = [collect(run) for run in runs]
    if Store(out).paths():
        sources.insert(0, collect(out))
    merged, kept = Merged(), dict[str, tuple[TaskResult, Path]]()
    for source in sources:
        merged.remarks += [f"left out: {text}" for text in source.unreadable]
        if source.unplanned:
            merged.remarks.append(f"left out: {source.unplanned} results in {source.out} of no present plan")
        for result in source.results:
            place = result_file(result)
            if place not in kept:
                _put(result, source.folder(result), out)
                kept[place] = result, source.out
                merged.copied += source.out != out
            else:
                kept[place] = _one_of(kept[place], (result, source.out), merged, out, source)
    labels = _labels(result for result, _ in kept.values())
    merged.remarks += labels
    notes = [*merged.conflicts, *labels]
    Store(out).write_plan(_plan(sources, [result for result, _ in kept.values()], notes))
    return merged


def _one_of(
    first: tuple[TaskResult, Path],
    second: tuple[TaskResult, Path],
    merged: Merged,
    out: Path,
    source: Collected,
) -> tuple[TaskResult, Path]:
    """Which of two results of one specification stays."""
    (one, where), (other, there) = first, second
    if one.status != "ok" and other.status == "ok":
        _put(other, source.folder(other), out)
        return second
    if one.status != other.status:
        merged.same += 1
        return first
    if _alike(one, other):
        _files(other, source.folder(other), _place(one, out))  # those that the first run lacks
        merged.same += 1
        return first
    said = [f"{result.values.get(result.main_metric, math.nan):.2f} in" for result in (one, other)]
    machines = [result.provenance.hardware for result in (one, other)]
    places, rounding = [where.name, there.name], ""
    if differ(*machines):
        places = [f"{name} ({device_of(on)})" for name, on in zip(places, machines, strict=True)]
        rounding = ", to the rounding of unlike devices"
    merged.conflicts.append(
        f"{result_file(one)}: {one.main_metric} {said[0]} {places[0]}, {said[1]} {places[1]}; "
        f"one specification must give one number{rounding}; the first is kept"
    )
    return first


def _alike(one: TaskResult, other: TaskResult) -> bool:
    values, others = one.values, other.values
    return values.keys() == others.keys() and all(
        math.isclose(value, others[name], abs_tol=1e-6) for name, value in values.items()
    )


def _place(result: TaskResult, out: Path) -> Path:
    return Store(out).path(result.label, result.spec.task, result.spec.key).parent


def _put(result: TaskResult, folder: Path, out: Path) -> None:
    target = _place(result, out)
    if target.resolve() != folder.resolve():
        _files(result, folder, target)
        Store(out).put(result)  # last: a result is there only with its files


def _files(result: TaskResult, folder: Path, target: Path) -> None:
    """Copy what a result names and the target lacks."""
    target.mkdir(parents=True, exist_ok=True)
    for name in filter(None, (result.examples, *result.artefacts.values())):
        source, copy = folder / Path(name).name, target / Path(name).name
        if source.is_file() and not copy.exists():
            shutil.copy2(source, copy)


def _labels(results: Iterable[TaskResult]) -> list[str]:
    """Labels that stand for several sets of weights, which the report takes for several pretrainings."""
    seeds: dict[str, dict[str, set[int | None]]] = {}
    for result in results:
        if result.spec.task != PRETRAINING and result.source.format != CONTROL:
            found = seeds.setdefault(result.label, {}).setdefault(result.spec.backbone.weights, set())
            found.add(stated_seed(result.source))
    counts = "counts as that many pretrainings; run again under another name if it is not so"
    apart = "has a row for each; several pretrainings state their seeds (--pretrain-seed)"
    return [
        f"{label} stands for {len(found)} sets of weights and {counts if are_pretrainings(found) else apart}"
        for label, found in seeds.items()
        if len(found) > 1
    ]


def _plan(sources: Sequence[Collected], results: Sequence[TaskResult], notes: Sequence[str]) -> PlanFile:
    plans = [source.plan for source in sources if source.plan]
    stated = {cell.key: cell.pretraining_seed for plan in plans for cell in plan.runs}
    planned = [
        cell.model_copy(update={"pretraining_seed": stated[cell.key]}) for plan in plans for cell in plan.runs
    ]
    found = [
        PlannedRun(
            label=r.label,
            task=r.spec.task,
            seed=r.spec.seed,
            key=r.spec.key,
            pretraining_seed=stated.get(r.spec.key),
        )
        for r in results
    ]
    cells = dict.fromkeys([*planned, *found])
    done = {(cell.label, cell.task, cell.seed) for cell in found}
    first = plans[0] if plans else None
    controls = tuple(dict.fromkeys(label for plan in plans for label in plan.controls))
    return PlanFile(
        title=first.title if first else "Merged results",
        preset=", ".join(dict.fromkeys(plan.preset for plan in plans if plan.preset)),
        notes=tuple(dict.fromkeys([*(n for p in plans for n in p.notes), *notes])),
        # alone, a backbone was compared with a control; together, the report finds the usual baselines
        baselines=tuple(dict.fromkeys(b for p in plans for b in p.baselines if b not in controls)),
        controls=controls,
        claims={label: claim for plan in reversed(plans) for label, claim in plan.claims.items()},
        pairs=tuple(dict.fromkeys(pair for plan in plans for pair in plan.pairs)),
        limited=any(plan.limited for plan in plans),
        command="; ".join(dict.fromkeys(plan.command for plan in plans)),
        # a cell that one machine lacks and another has is not missing
        runs=tuple(c for c in cells if c in found or (c.label, c.task, c.seed) not in done),
    )
