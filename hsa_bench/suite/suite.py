"""The whole job: prepare, pretrain, load what came out, plan, run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hsa_bench.core.errors import Unwritable
from hsa_bench.core.files import READ_ONLY, check_writable
from hsa_bench.core.processes import from_first, rank, world
from hsa_bench.core.results.plan_file import PlanFile
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.feature_pass import in_order, plan_passes
from hsa_bench.core.runs.plan import Plan, Run
from hsa_bench.core.runs.runner import run_together
from hsa_bench.core.runs.side_by_side import run_side_by_side
from hsa_bench.suite.display import Display
from hsa_bench.suite.job import Job
from hsa_bench.suite.older_results import older_results
from hsa_bench.suite.on_file import clear_the_way, on_file, what_is_taken_up
from hsa_bench.suite.prepare import prepare


def run_suite(job: Job, bench: Bench, display: Display, overwrite: bool = False) -> bool:
    """Do the job and leave its plan; the caller writes the report.

    Args:
        job: What to do.
        bench: Where.
        display: What a person sees meanwhile.
        overwrite: Whether runs that are on file are done again.

    Returns:
        Whether every run has a number or is skipped with a reason.

    Raises:
        UsageError: Before any work, if something about the job is wrong.
        Unwritable: The disk is full, or the folder cannot be written to; what is finished stays.
    """
    bench = replace(bench, timeout=job.timeout)
    with display.busy("planning"):
        prepared = prepare(job, bench, display)
    first = _do(Plan(prepared.pretraining), bench, display, overwrite)
    with display.busy("planning"):
        plan = prepared.plan(prepared.pretrained(first.results, display))
    lost = [
        run
        for result in first.results
        if result.failure is not None
        for run in prepared.awaited(result.label, f"its pretraining failed: {result.failure.message}")
    ]
    planned = [run.planned() for run in (*prepared.pretraining, *plan.runs)] + [*plan.blocked, *lost]
    left = rank() > 0 or _leave_plan(prepared.plan_file(planned), bench, display)
    for task, why in {run.task: run.blocked for run in plan.blocked}.items():
        display.say(f"{task} is blocked for all backbones: {why}")
    then = _do(plan, bench, display, overwrite)
    if not first.done + then.done and not plan.blocked and not lost:
        display.say("nothing to do: every run is on file")
    return left and not (plan.blocked or lost or first.failed or then.failed)


def _leave_plan(plan: PlanFile, bench: Bench, display: Display) -> bool:
    """Write the plan for the report; return whether all is right: a read-only folder may hold all."""
    try:
        bench.store.write_plan(plan)
    except Unwritable as error:
        display.say(f"the plan is not written, {error}")
        return error.errno in READ_ONLY
    return True


@dataclass(frozen=True)
class _Done:
    """What has become of some runs."""

    results: list[TaskResult]
    """As on file."""
    done: int
    """How many were done now."""
    failed: int
    """How many of these have no number now; there may be one of before."""


def _do(plan: Plan, bench: Bench, display: Display, overwrite: bool) -> _Done:
    """Take the results on file, and do the other runs; first what these share.

    Raises:
        Unwritable: There is something to do, and no place for its results.
    """
    runs = plan.runs
    found = from_first([None if overwrite else on_file(run, bench) for run in runs])
    todo = [run for run, result in zip(runs, found, strict=True) if result is None]
    todo.sort(key=lambda run: not run.task().broad)
    if todo and rank() == 0:
        check_writable(bench.store.out)
        for said in clear_the_way(todo, bench):
            display.say(said)
    for said in what_is_taken_up(runs, todo, bench):
        display.say(said)
    if said := older_results([run for run in todo if not overwrite], bench.store):
        display.say(said)
    display.expect(len(todo))
    now = {}
    for result in _results(todo, plan, bench, display):
        display.finish(result)
        now[result.label, result.spec.task, result.spec.key] = result
    failed = sum(result.status == "failed" for result in now.values())
    results = []
    for run, before in zip(runs, found, strict=True):
        result = before or now[run.label, run.spec.task, run.spec.key]
        if result.status == "failed":  # a number of before stands
            result = on_file(run, bench) or result
        results.append(result)
    return _Done(results, len(todo), failed)


def _results(todo: Sequence[Run], plan: Plan, bench: Bench, display: Display) -> Iterator[TaskResult]:
    """Do runs, with feature passes before those that read them.

    Processes of torchrun share each extraction instead: a pass ends without its numbers where one of them
    dies, and they end together.
    """
    if world() > 1:
        return run_together(todo, bench, display.watch, display.say)
    with display.busy("planning"):
        passes = plan_passes(todo, plan.backbones, bench.ctx, display.say)
    return run_side_by_side(in_order(todo, passes), bench, display.watch, display.say)
