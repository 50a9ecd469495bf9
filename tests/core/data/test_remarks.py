"""Data that can be used and say less than one might think; and data with nothing to learn or to find."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from eval_tasks import coco, voc
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import open_coco
from hsa_bench.core.data.detection.objects_there import to_find, to_learn
from hsa_bench.core.errors import DataError
from hsa_bench.core.input.settings import changed
from hsa_bench.core.runs.plan import ChosenTask, open_tasks
from tests.support.coco_layout import opened_coco, write_coco
from tests.support.voc_layout import Named, opened_voc, write_voc

DOG: Named = ("dog", (1, 1, 9, 9), False)
HARD_DOG: Named = ("dog", (1, 1, 9, 9), True)


def test_test_pictures_that_are_learnt_are_counted_by_their_bytes(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    assert opened_coco(root).notes == ("not tested for want of objects: dog (1 of 2 classes)",)

    shutil.copy(root / "train" / "train2.png", root / "val" / "val0.png")

    assert opened_coco(root).notes[0] == (
        "1 of 3 test images are training images too, such as val0.png: their objects are learnt by heart"
    )


def test_a_list_that_is_part_of_the_other_is_told(tmp_path: Path) -> None:
    write_voc(tmp_path, "both", {"a": [DOG], "b": [DOG]})
    write_voc(tmp_path, "half", {"b": [DOG]})

    assert (
        "1 of 1 test images are training images too, such as JPEGImages/b.jpg"
        in opened_voc(tmp_path, "both", "half").notes[0]
    )


def test_where_val_is_tested_train_is_learnt_and_not_trainval(tmp_path: Path) -> None:
    write_voc(tmp_path, "train", {"a": [DOG]})
    write_voc(tmp_path, "val", {"b": [DOG]})
    write_voc(tmp_path, "trainval", {"a": [DOG], "b": [DOG]})

    data = opened_voc(tmp_path, "VOC2007/trainval", "VOC2007/test")
    assert (data.train.images.names, data.val.images.names) == (("JPEGImages/a.jpg",), ("JPEGImages/b.jpg",))

    write_voc(tmp_path, "test", {"c": [DOG]})
    data = opened_voc(tmp_path, "VOC2007/trainval", "VOC2007/test")
    assert (len(data.train), data.val.images.names) == (2, ("JPEGImages/c.jpg",))


def test_classes_that_are_tested_and_not_learnt_are_told(tmp_path: Path) -> None:
    def change(split: str, said: dict[str, Any]) -> None:
        if split == "val":
            said["annotations"][0]["category_id"] = 5

    assert opened_coco(write_coco(tmp_path, change)).notes == (
        "tested without an object to learn from: dog (1 of 2 classes)",
    )


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("what", ["none", "crowds", "outside"])
def test_nothing_to_learn_or_to_find_is_refused_in_the_plan(tmp_path: Path, split: str, what: str) -> None:
    def change(here: str, said: dict[str, Any]) -> None:
        if here == split:
            for one in said["annotations"]:
                one.update({"crowds": {"iscrowd": 1}, "outside": {"bbox": [50, 1, 4, 3]}}.get(what, {}))
            said["annotations"] = [] if what == "none" else said["annotations"]

    task = changed(coco.TASKS[2], {"root": str(write_coco(tmp_path, change))}, "coco-fpn-1x")
    open_coco.cache_clear()

    (found,) = open_tasks(
        [ChosenTask("eval_tasks.coco", task)], "digits", Context(tmp_path, tmp_path / "cache")
    )

    wanted = {"train": "no image has an object to learn", "val": "no test image has an object to find"}[split]
    assert f"instances_{split}.json: {wanted}" in found.blocked
    assert ("3 are left out" in found.blocked) is (what == "outside")


def test_difficult_objects_are_learnt_and_alone_are_no_test(tmp_path: Path) -> None:
    write_voc(tmp_path, "train", {"a": [HARD_DOG]})
    write_voc(tmp_path, "val", {"b": [HARD_DOG]})
    data = opened_voc(tmp_path, "VOC2007/trainval", "VOC2007/test")
    assert (to_learn(data.train), to_find(data.val)) == ([0], [])

    task = changed(voc.TASKS[1], {"root": str(tmp_path), "classes": "auto"}, "voc-fpn")
    with pytest.raises(DataError, match=r"val\.txt: no test image has an object to find"):
        task.resolved(data, Context(tmp_path, tmp_path))


@pytest.mark.parametrize("before", ["", "./", ".//./"])
def test_one_picture_under_two_ids_is_refused_with_both(before: str, tmp_path: Path) -> None:
    def change(split: str, said: dict[str, Any]) -> None:
        said["images"][1]["file_name"] = before + said["images"][0]["file_name"]

    with pytest.raises(DataError, match=r"images 10 and 11 are one picture, \S*train0\.png; list it once"):
        opened_coco(write_coco(tmp_path, change))


def test_every_object_of_the_file_is_there_or_named(tmp_path: Path) -> None:
    boxes = [
        [2, 1, 4, 3],
        [50, 1, 4, 3],
        [2, 1, 0, 3],
        [6, 4, -4, -3],
        [float("nan"), 1, 4, 3],
        [-2, -1, 4, 3],
    ]

    def change(split: str, said: dict[str, Any]) -> None:
        first = said["annotations"][0]
        said["annotations"] += [{**first, "id": 100 + i, "bbox": box} for i, box in enumerate(boxes)]

    data = opened_coco(write_coco(tmp_path, change))

    for split in (data.train, data.val):
        assert sum(map(len, split.objects)) + len(split.dropped) == 3 + len(boxes)
        assert [text.split(" in ")[0] for text in split.dropped] == [
            f"{split.annotation_file.name}: object {100 + i}" for i in (1, 2, 3, 4)
        ]


def test_remarks_stand_in_the_check(tmp_path: Path) -> None:
    from eval_tasks._detection.preflight import checks

    root = write_coco(tmp_path)
    shutil.copy(root / "train" / "train2.png", root / "val" / "val0.png")
    open_coco.cache_clear()
    task = changed(coco.TASKS[2], {"root": str(root), "engine": "torchvision"}, "coco-fpn-1x")

    said = [str(check) for check in checks(task, Context(tmp_path, tmp_path / "cache"))]

    assert any(line.startswith("note     data: 1 of 3 test images are training images too") for line in said)
