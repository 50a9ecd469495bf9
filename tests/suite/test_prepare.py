"""The one preparation of a job: what it finds, and that run and dry run take nothing from elsewhere."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

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
from hsa_bench.suite.make_job import make_job
from hsa_bench.suite.open_bench import open_bench
from hsa_bench.suite.options import parse_checkpoint
from hsa_bench.suite.prepare import Prepared, prepare
from tests.support.records import record

ARCH = "resnet18-w8-cifar"


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    torch.save(build(ARCH, seed=3).state_dict(), tmp_path / "mine.pth")
    return f"mine={tmp_path / 'mine.pth'}"


def prepared(
    tmp_path: Path, tasks: str, *checkpoints: str, settings: tuple[str, ...] = (), **more: Any
) -> Prepared:
    options = {
        "tasks": tuple(tasks.split(",")),
        "checkpoints": tuple(map(parse_checkpoint, checkpoints)),
        "dataset": "digits",
        "limit": 50,
        **more,
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


def two_files(tmp_path: Path) -> tuple[str, str]:
    for seed in (3, 4):
        torch.save(build(ARCH, seed=seed).state_dict(), tmp_path / f"{seed}.pth")
    return f"mine={tmp_path / '3.pth'}", f"mine={tmp_path / '4.pth'}"


def test_a_second_file_of_a_name_is_refused_with_both_remedies(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"3\.pth, .*4\.pth.*another name.*--pretrain-seed mine=0,1"):
        prepared(tmp_path, "knn", *two_files(tmp_path))


def test_the_same_weights_twice_are_refused_whatever_the_seed(tmp_path: Path) -> None:
    first, second = two_files(tmp_path)
    (tmp_path / "4.pth").write_bytes((tmp_path / "3.pth").read_bytes())

    with pytest.raises(UsageError, match=r"4\.pth has the same weights"):
        prepared(tmp_path, "knn", first, second, pretraining_seeds={"mine": (0, 1)})


def test_files_of_a_name_are_pretrainings_where_each_states_its_seed(tmp_path: Path) -> None:
    found = prepared(tmp_path, "knn", *two_files(tmp_path), pretraining_seeds={"mine": (5, 7)})

    runs = [run for run in found.plan().runs if run.label == "mine"]
    assert [run.source.pretraining_seed for run in runs] == [5, 7]
    assert [run.planned().pretraining_seed for run in runs] == [5, 7]
    assert len({run.spec.key for run in runs}) == 2


def test_seeds_and_files_of_a_name_are_as_many(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 seeds for 2 files"):
        prepared(tmp_path, "knn", *two_files(tmp_path), pretraining_seeds={"mine": (5,)})
    with pytest.raises(UsageError, match="--pretrain-seed other: 1 seeds for 0 files"):
        prepared(tmp_path, "knn", *two_files(tmp_path), pretraining_seeds={"other": (5,)})


def test_the_dry_run_says_what_is_on_file_of_an_older_version(tmp_path: Path, checkpoint: str) -> None:
    found = prepared(tmp_path, "knn", checkpoint)
    run = next(run for run in found.plan().runs if run.label == "mine")
    older = run.spec.model_copy(update={"version": run.spec.version - 1})
    found.bench.store.put(record(label="mine", spec=older, seconds=60))
    console = Console(file=io.StringIO(), width=200)

    dry.dry_run(found.job, found.bench, Display(console))

    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert (
        f"1 result on file is of an older version or other settings: task version {older.version} →" in said
    )
    assert "takes about 60 s" in said
