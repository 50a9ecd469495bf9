"""`python -m eval_tasks.voc --check`: what is missing, before hours are spent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer import Typer

from eval_tasks._detection.preflight import checks, command
from eval_tasks._detection.settings import DetectionTask
from eval_tasks.voc import TASKS
from hsa_bench.core.context import Context
from tests.support.command import Done, call
from tests.support.voc_layout import write_voc

VOC = replace(TASKS[0], engine="torchvision", classes="auto")


def lines(task: DetectionTask, root: Path) -> list[str]:
    return [str(one) for one in checks(task, Context(data_root=root, cache=root))]


def write_own(root: Path) -> None:
    write_voc(root, "train", {"a": [("wren", (1, 1, 9, 9), False)]})
    write_voc(root, "val", {"b": [("wren", (1, 1, 9, 9), False), ("wren", (70, 1, 80, 9), False)]})


def test_data_plan_and_left_out_objects_are_told(tmp_path: Path) -> None:
    write_own(tmp_path)

    said = "\n".join(lines(replace(VOC, root=str(tmp_path), batch=2), tmp_path))

    assert "MISSING" not in said
    assert "ok       train images: 1 images (1 with objects), 1 objects of 1 classes" in said
    assert "note     test images: 1 objects are left out: val.txt: object 2 in JPEGImages/b.jpg" in said
    assert "192,000 iterations of 2 images, learning rate 0.0025, warm-up 800" in said
    assert "memory: about 9 GiB for 2 images" in said


def test_missing_data_are_named(tmp_path: Path) -> None:
    (missing,) = (line for line in lines(VOC, tmp_path) if line.startswith("MISSING"))

    assert "VOCdevkit/VOC2007: no folder in VOC's layout" in missing


@pytest.mark.parametrize(("engine", "sign"), [("auto", "note"), ("detectron2", "MISSING")])
def test_a_missing_detectron2_matters_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, sign: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    (said,) = (line for line in lines(replace(VOC, engine=engine), tmp_path) if "detectron2:" in line)

    assert said.startswith(sign)
    assert "pip install --no-build-isolation ./detectron2" in said


def test_the_command_ends_with_1_where_something_is_missing_and_0_else(tmp_path: Path) -> None:
    def check(*options: object) -> Done:
        return call(app, *options, "--set", "engine=torchvision")

    app = Typer()
    app.command()(command(TASKS))

    missing = check("--check", "--data", str(tmp_path))
    assert (missing.returncode, "MISSING  data" in missing.stdout) == (1, True)
    write_own(tmp_path)
    good = check("--check", "--set", f"voc.root={tmp_path}", "--set", "classes=auto")
    assert good.returncode == 0, good.stdout
    wrong = check("--check", "--set", "btach=2")
    assert wrong.returncode == 2
    assert "did you mean batch" in wrong.stderr
