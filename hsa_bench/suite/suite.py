"""The whole job: prepare, pretrain, load what came out, plan, run."""

from __future__ import annotations

from collections.abc import Sequence

from hsa_bench.core.processes import from_first, rank, world
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.plan import Run
from hsa_bench.core.runs.runner import finished, run_in_worker, run_together
from hsa_bench.suite.display import Display
from hsa_bench.suite.job import Job
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
    """
    with display.busy("planning"):
        prepared = prepare(job, bench, display)
    results = _results(prepared.pretraining, bench, display, overwrite)
    with display.busy("planning"):
        plan = prepared.plan(prepared.pretrained(results, display))
    lost = [
        run
        for result in results
        if result.failure is not None
        for run in prepared.awaited(result.label, f"its pretraining failed: {result.failure.message}")
    ]
    planned = [run.planned() for run in (*prepared.pretraining, *plan.runs)] + [*plan.blocked, *lost]
    if rank() == 0:
        bench.store.write_plan(prepared.plan_file(planned))
    for task, why in {run.task: run.blocked for run in plan.blocked}.items():
        display.say(f"{task} is blocked for all backbones: {why}")
    results += _results(plan.runs, bench, display, overwrite)
    return not plan.blocked and not lost and all(result.status != "failed" for result in results)


def _results(runs: Sequence[Run], bench: Bench, display: Display, overwrite: bool) -> list[TaskResult]:
    """Return the results of all runs: those on file, and the rest by running them."""
    done = from_first([not overwrite and finished(run, bench) is not None for run in runs])
    todo = [run for run, on_file in zip(runs, done, strict=True) if not on_file]
    todo.sort(key=lambda run: not run.task().broad)
    for run in todo if rank() == 0 else ():
        if said := bench.store.set_aside(bench.store.path(run.label, run.spec.task, run.spec.key)):
            display.say(said)
    kept = len(runs) - len(todo)
    if kept:
        display.say(f"{kept} of {len(runs)} runs are on file and are re-used")
    display.expect(len(todo))
    runner = run_in_worker if world() == 1 else run_together
    for result in runner(todo, bench, display.watch):
        display.finish(result)
    on_file = (bench.store.get(c.label, c.spec.task, c.spec.key) for c in runs)
    return [result for result in on_file if result is not None]
