"""What a job would do: every cell with its state, and nothing done."""

from __future__ import annotations

from hsa_bench.core.runs.plan import Cell
from hsa_bench.core.runs.runner import finished
from hsa_bench.suite.suite import Suite, cells_of


def dry_run(suite: Suite) -> None:
    """Show what `run_suite` would do, and do nothing."""
    tasks = suite.check()
    pretraining = suite.pretraining()
    on_file = [finished(cell, suite.bench) for cell in pretraining]
    done = [result for result in on_file if result is not None]
    checkpoints = suite.checkpoints()
    controls = suite.controls(checkpoints)
    suite.baselines(controls)
    suite.claims()
    plan = suite.evaluation(tasks, [*suite.pretrained(done), *checkpoints], controls)
    rows = [(c.planned(), _state(c, suite)) for c in (*pretraining, *plan.cells)]
    rows += [(cell, f"blocked: {cell.blocked}") for cell in plan.blocked]
    for cell, result in zip(pretraining, on_file, strict=True):
        if result is None:
            rows += [(later, "to run, after its pretraining") for later in cells_of(suite, tasks, cell.label)]
    suite.display.plan(rows)


def _state(cell: Cell, suite: Suite) -> str:
    if finished(cell, suite.bench) is not None and not suite.overwrite:
        return "done"
    return f"skip: {cell.skipped}" if cell.skipped else "to run"
