"""Runs at the same time: they meet, follow each other where they share something, and stop together."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.feature_pass import FeaturePass
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, Run, default_task, make_plan
from hsa_bench.core.runs.side_by_side import _next, run_side_by_side

MEETING, HANGS, EVAL = "my_lab.my_meeting", "my_lab.my_hangs", "my_lab.my_eval"


def runs(bench: Bench, module: str, name: str, flag: Path, inits: Sequence[int]) -> list[Run]:
    """One run for each of several untrained networks."""
    requests = [BackboneRequest(label="random", arch="resnet18-w8-s2", init=init) for init in inits]
    loaded = [LoadedBackbone(request, open_backbone(request)) for request in requests]
    task = ChosenTask(module, replace(default_task(module, name), flag=str(flag)))
    return list(make_plan([task], loaded, "digits", [0], None, bench.ctx).runs)


def side_by_side(todo: Sequence[Run], bench: Bench, jobs: int = 2) -> list[str]:
    found = run_side_by_side(todo, replace(bench, jobs=jobs), lambda *_: None)
    return [result.status for result in found]


def test_two_runs_meet_and_give_what_they_give_alone(bench: Bench, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    planned = runs(bench, MEETING, "meets", flag, (0, 1))
    assert side_by_side(planned, bench) == ["ok", "ok"]


@pytest.mark.long  # a quick one: who may begin beside whom
def test_a_command_that_is_left_ends_its_workers_and_writes_no_failure(bench: Bench, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    hanging = runs(bench, HANGS, "sleeps", flag, (0, 1))
    before = threading.active_count()
    found = run_side_by_side(
        [*runs(bench, EVAL, "norm", tmp_path / "none", (2,)), *hanging],
        replace(bench, jobs=2),
        lambda *_: None,
    )
    assert next(found).status == "ok"
    while not flag.read_text():
        pass
    found.close()
    assert len(bench.store.paths()) == 1
    assert threading.active_count() <= before + 2  # what hears a process ends with its output


@pytest.fixture
def planned(bench: Bench, tmp_path: Path) -> list[Run]:
    return [*runs(bench, EVAL, "norm", tmp_path, (0, 1)), *runs(bench, EVAL, "raises", tmp_path, (0,))]


def feature_pass(*given: Run) -> FeaturePass:
    return FeaturePass(runs=given, seen="x", backbones=(), images=1, data="digits", view="v", key="k")


def test_the_same_weights_are_measured_one_after_the_other(planned: list[Run]) -> None:
    first, other, same = planned
    assert _next([same, other], [first]) is other
    assert _next([same], [first]) is None
    assert _next([same], [other]) is same


def test_a_feature_pass_waits_for_what_is_before_it_and_is_not_overtaken(planned: list[Run]) -> None:
    first, other, _ = planned
    shared = feature_pass(other)
    assert _next([shared, other], [first]) is None
    assert _next([shared, other], []) is shared
    assert _next([other], [shared]) is None
    assert _next([first, shared, other], [other]) is first
