"""The one preparation of a job: what it finds, and that run and dry run take nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console

from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.architectures import build
from hsa_bench.suite import choose_tasks as chooser
from hsa_bench.suite import dry_run as dry
from hsa_bench.suite import prepare as preparation
from hsa_bench.suite import suite as wet
from hsa_bench.suite.display import Display
from hsa_bench.suite.job import make_job
from hsa_bench.suite.open_bench import open_bench
from hsa_bench.suite.options import parse_checkpoint
from hsa_bench.suite.prepare import Prepared, prepare

ARCH = "resnet18-w8-cifar"


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    torch.save(build(ARCH, seed=3).state_dict(), tmp_path / "mine.pth")
    return f"mine={tmp_path / 'mine.pth'}"


def prepared(tmp_path: Path, tasks: str, *checkpoints: str, settings: tuple[str, ...] = ()) -> Prepared:
    options = {
        "tasks": tuple(tasks.split(",")),
        "checkpoints": tuple(map(parse_checkpoint, checkpoints)),
        "dataset": "digits",
        "limit": 50,
    }
    job = make_job("", options, list(settings))
    return prepare(job, open_bench(tmp_path / "out", tmp_path, "cpu"), Display(Console(quiet=True)))


def test_it_returns_what_it_found(tmp_path: Path, checkpoint: str) -> None:
    found = prepared(tmp_path, "knn,linear", checkpoint)

    assert [opened.task.name for opened in found.tasks] == ["knn", "linear"]
    assert found.tasks[0].task.settings()["image_size"] == 32  # resolved for the data
    assert [b.backbone.arch for b in found.checkpoints] == [ARCH]
    assert {b.request.label for b in found.controls} == {"random", "pixels"}
    assert found.baselines == ("random",)
    assert not list((tmp_path / "out").rglob("*.json"))


def test_its_plan_has_checkpoints_before_controls_in_the_order_of_the_tasks(
    tmp_path: Path, checkpoint: str
) -> None:
    found = prepared(tmp_path, "linear,knn", checkpoint)

    runs = [(run.spec.task, run.label) for run in found.plan().runs]

    assert runs[:2] == [("linear", "mine"), ("knn", "mine")]
    assert runs[2:] == [("knn", "random")] * 3 + [("knn", "pixels")]  # controls on the cheap task alone


def test_tasks_are_chosen_once(tmp_path: Path, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times = []
    real = chooser.choose_tasks
    monkeypatch.setattr(preparation, "choose_tasks", lambda *given: times.append(1) or real(*given))

    prepared(tmp_path, "knn", checkpoint).plan()

    assert len(times) == 1


@pytest.mark.parametrize("flow", [wet.run_suite, dry.dry_run])
def test_run_and_dry_run_refuse_by_the_same_preparation(
    flow: object, tmp_path: Path, checkpoint: str
) -> None:
    options = {"tasks": ("knn",), "checkpoints": (parse_checkpoint(checkpoint),), "dataset": "digits"}
    bench, display = open_bench(tmp_path / "out", tmp_path, "cpu"), Display(Console(quiet=True))
    for changes, message in (
        ({"baseline": ("byol",)}, "--baseline byol: not in this run"),
        ({"dataset": ""}, "--dataset is needed for knn"),
        ({"dataset": "digit"}, "--dataset digit: not found"),
        ({"claims": {"other": "moco-v2-200"}}, "--claim other=moco-v2-200: no such backbone"),
        ({"dataset": "cifar10"}, "cifar-10"),  # nothing of it is here, so that nothing could be measured
    ):
        with pytest.raises(UsageError, match=message):
            flow(make_job("", {**options, **changes}, []), bench, display)  # type: ignore[operator]
    with pytest.raises(UsageError, match=r"--set linear\.epochs: it changes nothing"):
        flow(make_job("", options, ["linear.epochs=3"]), bench, display)  # type: ignore[operator]
    assert not list((tmp_path / "out").rglob("*.json"))


def test_a_setting_of_a_preset_may_be_for_a_task_that_is_left_out(tmp_path: Path, checkpoint: str) -> None:
    preset = tmp_path / "some.yaml"
    preset.write_text("dataset: digits\ntasks: [knn, linear]\nset: {linear.epochs: 1, knn.k: 3}\n")
    job = make_job(
        str(preset), {"tasks": ("knn",), "checkpoints": (parse_checkpoint(checkpoint),)}, ["knn.k=4"]
    )

    found = prepare(job, open_bench(tmp_path / "out", tmp_path, "cpu"), Display(Console(quiet=True)))

    assert [opened.task.settings()["k"] for opened in found.tasks] == [4]
