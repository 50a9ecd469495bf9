"""What a job would do: every run with its state, and nothing done."""

from __future__ import annotations

from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.feature_pass import plan_passes
from hsa_bench.core.runs.plan import Run
from hsa_bench.suite.display import Display
from hsa_bench.suite.job import Job
from hsa_bench.suite.older_results import older_results
from hsa_bench.suite.on_file import on_file
from hsa_bench.suite.prepare import prepare


def dry_run(job: Job, bench: Bench, display: Display, overwrite: bool = False) -> None:
    """Show what `run_suite` would do, and do nothing.

    Raises:
        UsageError: What `run_suite` would refuse.
    """
    prepared = prepare(job, bench, display)
    found = [on_file(run, bench) for run in prepared.pretraining]
    done = [result for result in found if result is not None]
    plan = prepared.plan(prepared.pretrained(done, display))
    rows = [(run.planned(), _state(run, bench, overwrite)) for run in (*prepared.pretraining, *plan.runs)]
    rows += [(run, f"blocked: {run.blocked}") for run in plan.blocked]
    for run, result in zip(prepared.pretraining, found, strict=True):
        if result is None:
            rows += [(later, "to run, after its pretraining") for later in prepared.awaited(run.label)]
    display.plan(rows)
    first, then = (
        [run for run in runs if on_file(run, bench) is None] for runs in (prepared.pretraining, plan.runs)
    )
    for one in plan_passes(plan.runs if overwrite else then, plan.backbones, bench.ctx, display.say):
        display.say(f"{one.title}: {one.state}")
    if said := older_results([*first, *then], bench.store):
        display.say(said)


def _state(run: Run, bench: Bench, overwrite: bool) -> str:
    if on_file(run, bench) is not None and not overwrite:
        return "done"
    return f"skip: {run.skipped}" if run.skipped else "to run"
