"""`python -m eval_tasks.voc --check`: what is missing, before hours are spent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer import Typer

from eval_tasks._detection.preflight import checks, command
from eval_tasks._detection.settings import DetectionTask
from eval_tasks.coco import TASKS as COCO_TASKS
from eval_tasks.voc import TASKS
from hsa_bench.core.context import Context
from tests.support.coco_layout import write_coco
from tests.support.command import Done, call
from tests.support.voc_layout import write_voc

COCO = COCO_TASKS[0]
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


def test_a_test_picture_that_cannot_be_decoded_is_found_by_the_check(tmp_path: Path) -> None:
    write_own(tmp_path)
    path = tmp_path / "JPEGImages" / "b.jpg"
    Image.effect_noise((60, 40), 50).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])  # its header says all that it should

    def images() -> list[str]:
        said = lines(replace(VOC, root=str(tmp_path), batch=2), tmp_path)
        return [line for line in said if "test images: " in line and "left out" not in line]

    assert any(
        line.startswith("MISSING") and "b.jpg" in line and "replace or remove it" in line for line in images()
    )
    path.write_bytes(whole)
    assert "ok       test images: the pictures can be decoded (all of them)" in images()


def test_a_picture_of_another_size_and_a_box_without_a_mask_are_found_by_the_check(tmp_path: Path) -> None:
    def missing(root: Path) -> str:
        task = replace(COCO, engine="torchvision", root=str(root))
        (said,) = (line for line in lines(task, tmp_path) if line.startswith("MISSING"))
        return said

    def larger(split: str, said: dict[str, Any]) -> None:
        said["images"][0]["width"] = 24

    def bare(split: str, said: dict[str, Any]) -> None:
        said["annotations"][0]["segmentation"] = []

    assert "train0.png: has 12 x 8 px where" in missing(write_coco(tmp_path / "a", larger))
    assert "set coco.masks=false" in missing(write_coco(tmp_path / "b", bare))


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
    nowhere = check("--check", "--device", "cuda:99")
    assert nowhere.returncode == 2 and "--device cuda:99: torch sees" in nowhere.stderr
    wrong = check("--check", "--set", "btach=2")
    assert wrong.returncode == 2
    assert "did you mean batch" in wrong.stderr
