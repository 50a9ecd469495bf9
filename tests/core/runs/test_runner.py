from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.runs import execute
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, Run, default_task, make_plan
from hsa_bench.core.runs.runner import finished, run_in_worker
from hsa_bench.core.runs.worker_process import WorkerProcess
from tests.support.command import runs_done_here

PLUGIN = "my_lab.my_eval"


def cells(bench: Bench, names: Sequence[str], flag: Path, seeds: Sequence[int] = (0,)) -> tuple[Run, ...]:
    request = BackboneRequest(label="random", arch="resnet18-w16")
    tasks = [ChosenTask(PLUGIN, replace(default_task(PLUGIN, name), flag=str(flag))) for name in names]
    return make_plan(
        tasks, [LoadedBackbone(request, open_backbone(request))], "digits", seeds, None, bench.ctx
    ).runs


def run(todo: Sequence[Run], bench: Bench) -> list[TaskResult]:
    """In the worker process."""
    return list(run_in_worker(todo, bench, watch=lambda *_: None))


def run_here(todo: Sequence[Run], bench: Bench) -> list[TaskResult]:
    with runs_done_here():
        return run(todo, bench)


@pytest.mark.long  # a quick one: the next run tries the failed cells only
def test_one_failing_cell_leaves_the_others_their_numbers(bench: Bench, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    planned = cells(bench, ["norm", "raises", "killed", "moves-trunk", "norm"], flag)
    results = run(planned, bench)
    assert [r.status for r in results] == ["ok", "failed", "failed", "failed", "ok"]
    failures = [r.failure for r in results if r.failure is not None]
    assert failures[0].message == "ValueError: the sensor is unplugged"
    assert "misbehave" in failures[0].traceback
    assert failures[1].kind == "killed"
    assert "SIGKILL" in failures[1].message
    assert "frozen task changed the trunk" in failures[2].message


def test_the_next_run_tries_the_failed_cells_only_and_gives_the_undisturbed_numbers(
    bench: Bench, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    planned = cells(bench, ["norm", "killed"], flag, seeds=(0, 1))
    run(planned, bench)
    todo = [cell for cell in planned if finished(cell, bench) is None]
    assert [(cell.spec.task, cell.spec.seed) for cell in todo] == [("killed", 0), ("killed", 1)]

    flag.unlink()
    run(todo, bench)
    undisturbed = Bench(replace(bench.store, out=tmp_path / "undisturbed"), bench.ctx, bench.provenance)
    expected = run_here(planned, undisturbed)
    found = [bench.store.get(c.label, c.spec.task, c.spec.key) for c in planned]
    assert [f.metrics for f in found if f] == [e.metrics for e in expected]


@pytest.mark.long
def test_a_run_that_fails_again_leaves_the_number_on_file_and_says_so(bench: Bench, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    planned = cells(bench, ["raises", "killed"], flag)
    good = run_here(planned, bench)
    flag.touch()

    results = run(planned, bench)

    assert [r.status for r in results] == ["failed", "failed"]
    assert all(r.failure and r.failure.message.endswith("; the number on file stays") for r in results)
    assert [finished(one, bench) for one in planned] == good


@pytest.mark.long
def test_a_failure_on_a_gpu_takes_its_process_with_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    start = WorkerProcess.start
    monkeypatch.setattr(WorkerProcess, "start", lambda there: started.append(start(there)) or started[-1])
    flag = tmp_path / "flag"
    flag.touch()
    planned = cells(bench, ["norm", "raises", "norm"], flag, seeds=(0,))
    on_gpu = replace(bench, ctx=replace(bench.ctx, device="cuda"))  # which this evaluator leaves alone

    assert [r.status for r in run(planned, on_gpu)] == ["ok", "failed", "ok"]
    assert len(started) == 2


@pytest.mark.parametrize(("together", "said"), [(1, {}), (4, {"processes": "4"})])
def test_a_run_that_one_of_several_processes_did_alone_says_nothing_of_the_others(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int, said: dict[str, str]
) -> None:
    monkeypatch.setattr(execute, "world", lambda: together)
    there = bench.provenance.model_copy(update={"hardware": {"device": "cpu", "processes": "4"}})
    (done,) = run_here(cells(bench, ["norm"], tmp_path / "flag"), replace(bench, provenance=there))
    assert done.status == "ok" and done.provenance.hardware == {"device": "cpu", **said}
    assert done.peak_device_memory_mb == 0


def test_loader_processes_work_inside_the_worker_process(bench: Bench) -> None:
    request = BackboneRequest(label="pixels", arch="pixels")
    task = ChosenTask("eval_tasks.knn", default_task("eval_tasks.knn", "knn"))
    with_loaders = replace(bench, ctx=replace(bench.ctx, workers=2))
    plan = make_plan(
        [task], [LoadedBackbone(request, open_backbone(request))], "digits", (0,), 100, bench.ctx
    )
    [result] = run(plan.runs, with_loaders)
    assert result.status == "ok"


def test_a_changed_setting_never_reuses_an_old_number(bench: Bench, tmp_path: Path) -> None:
    planned = cells(bench, ["norm"], tmp_path / "flag")
    run_here(planned, bench)
    spec = planned[0].spec
    other = planned[0].model_copy(
        update={"spec": spec.model_copy(update={"settings": {**spec.settings, "above": 2.0}})}
    )
    assert finished(planned[0], bench) is not None
    assert finished(other, bench) is None


def test_a_file_that_changed_after_planning_is_not_measured(bench: Bench, tmp_path: Path) -> None:
    planned = cells(bench, ["norm"], tmp_path / "flag")
    moved = planned[0].model_copy(
        update={"backbone": BackboneRequest(label="random", arch="resnet18-w16", init=1)}
    )
    [result] = run_here([moved], bench)
    assert result.failure is not None
    assert "weights have changed" in result.failure.message


def test_an_unsupported_backbone_is_skipped_with_the_reason(bench: Bench) -> None:
    request = BackboneRequest(label="pixels", arch="pixels")
    task = ChosenTask(PLUGIN, default_task(PLUGIN, "moves-trunk"))
    plan = make_plan(
        [task], [LoadedBackbone(request, open_backbone(request))], "digits", (0,), None, bench.ctx
    )
    [result] = run_here(plan.runs, bench)
    assert (result.status, result.reason) == ("skipped", "nothing to move in pixels")


def test_missing_data_blocks_the_cells_and_says_where_it_was_looked_for(bench: Bench) -> None:
    request = BackboneRequest(label="pixels", arch="pixels")
    task = ChosenTask(PLUGIN, default_task(PLUGIN, "norm"))
    plan = make_plan(
        [task], [LoadedBackbone(request, open_backbone(request))], "cifar10", (0,), None, bench.ctx
    )
    assert plan.runs == ()
    assert str(bench.ctx.data_root) in plan.blocked[0].blocked


@pytest.mark.parametrize("seeded", [True, False])
def test_a_task_that_does_not_depend_on_the_seed_runs_once(
    bench: Bench, seeded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = default_task(PLUGIN, "norm")
    monkeypatch.setattr(type(task), "seeded", seeded)
    request = BackboneRequest(label="pixels", arch="pixels")
    backbones = [LoadedBackbone(request, open_backbone(request))]
    plan = make_plan([ChosenTask(PLUGIN, task)], backbones, "digits", (3, 4), None, bench.ctx)
    assert [cell.spec.seed for cell in plan.runs] == ([3, 4] if seeded else [0])
