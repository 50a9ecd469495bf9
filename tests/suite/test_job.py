from __future__ import annotations

from pathlib import Path

import pytest

from hsa_bench.core.errors import UsageError
from hsa_bench.suite.choose_tasks import choose_tasks
from hsa_bench.suite.make_job import make_job, presets
from hsa_bench.suite.options import parse_checkpoint

MOCO = {"checkpoints": [{"label": "moco", "path": "moco.pth"}]}


def test_nothing_named_is_the_demo() -> None:
    assert make_job("", {}, []).preset == "demo"
    assert make_job("", {"tasks": ("linear",)}, []).preset == "demo"


def test_options_and_settings_win_over_the_preset() -> None:
    job = make_job("demo", {"tasks": ("knn",), "seeds": (1, 2)}, ["knn.k=5", "linear.epochs=1"])
    assert job.tasks == ("knn",)
    assert job.seeds == (1, 2)
    assert job.settings["knn.k"] == 5
    assert job.settings["linear.epochs"] == 1


def test_every_shipped_preset_is_a_job_whose_settings_exist() -> None:
    for name in presets():
        job = make_job(name, {"arch": "resnet18"}, [])
        assert choose_tasks(job.tasks, job.settings_of(pretraining=False), 0, job.asked)


@pytest.mark.parametrize(
    ("preset", "options", "settings", "message"),
    [
        ("dmeo", {}, [], "did you mean demo"),
        ("", {"dataset": "digits"}, [], "give --checkpoint NAME=PATH"),
        ("demo", {}, ["linear=3"], "write task.field=value"),
        ("demo", {"random_controls": "many"}, [], "random_controls"),
        ("demo", {"tsks": ("knn",)}, [], "did you mean tasks"),
        ("", {"dataset": "digits", "arch": "resnet18"}, ["pretrain.epochs=3"], "pretrains nothing"),
        ("", {**MOCO, "branch": "mocco=key"}, [], "--branch mocco=…: no such backbone; there are moco"),
        ("", {**MOCO, "file_format": "moco=moco,min=moco"}, [], "--format min=…: no such backbone"),
        ("", {**MOCO, "arch": "moc=resnet50"}, [], "--arch moc=…: no such backbone"),
        ("", {"checkpoints": [{"label": "random", "path": "a.pth"}]}, [], "random: is the name of a control"),
        ("", {"checkpoints": [{"label": "pixels", "path": "a.pth"}]}, [], "pixels: is the name of a control"),
        (
            "",
            {"dataset": "digits", "pretrain": {"backbones": {"a": {}}}},
            [],
            "name the architecture to pretrain",
        ),
    ],
)
def test_a_wrong_job_is_refused_with_the_remedy(
    preset: str, options: dict[str, object], settings: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make_job(preset, options, settings)


def test_a_broken_preset_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("dataset: [digits")
    with pytest.raises(UsageError, match=r"mine\.yaml: not YAML"):
        make_job(str(path), {}, [])
    path.write_text("dataset: digits\narhc: resnet18\n")
    with pytest.raises(UsageError, match=r"mine\.yaml, field arhc.*did you mean arch"):
        make_job(str(path), {}, [])


@pytest.mark.parametrize("text", ["mine.pth", "=mine.pth", "mine=", "a/b=c.pth"])
def test_a_checkpoint_is_a_name_and_a_path(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=PATH"):
        parse_checkpoint(text)


def test_a_plugins_name_sets_all_its_variants_and_a_variants_name_one() -> None:
    tasks = choose_tasks(["semisup"], {"semisup.steps": 7, "semisup-1.steps": 3}, 0)
    assert {c.task.name: c.task.settings()["steps"] for c in tasks} == {"semisup-1": 3, "semisup-10": 7}


def test_a_variant_can_be_chosen_alone_and_a_task_from_elsewhere_by_its_path() -> None:
    tasks = choose_tasks(["semisup-10", "my_lab.my_eval"], {"my_lab.my_eval.above": 2}, image_size=64)
    assert [c.task.name for c in tasks] == ["semisup-10", "norm", "raises", "killed", "moves-trunk"]
    assert tasks[1].task.settings()["image_size"] == 64


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["liner"], {}, "did you mean linear"),
        (["linear"], {"linear.epoch": 3}, r"linear\.epoch: no such setting; did you mean epochs"),
        (["linear"], {"linear.epochs": "many"}, r"linear\.epochs: .*integer.*'many'"),
        (["linear"], {"liner.epochs": 3}, "no task 'liner'; did you mean linear"),
        (["linear"], {"coco.itertions": 3}, r"coco\.itertions: no such setting; did you mean iterations"),
        (["knn", "linear-cached"], {"linear.epochs": 3}, "changes nothing, .* are knn, linear-cached$"),
        (["no.such.module"], {}, "cannot be imported"),
    ],
)
def test_unknown_tasks_fields_and_values_are_refused_with_a_suggestion(
    names: list[str], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        choose_tasks(names, settings, 0)


def test_what_becomes_of_a_classifier_is_said_of_all_or_of_one_by_name() -> None:
    own = {"arch": "my_lab.nets:build", "dataset": "digits", "image_size": 96}
    (request,) = make_job("", {**own, "head": "drop"}, []).requests()
    assert (request.head, request.side) == ("drop", 96)
    (request,) = make_job("", {**own, "head": "build=keep"}, []).requests()
    assert request.head == "keep"
    with pytest.raises(UsageError, match="--head other=…: no such backbone"):
        make_job("", {**own, "head": "other=keep"}, [])
