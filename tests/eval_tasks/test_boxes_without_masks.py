"""Objects that have a box and no mask, or no area, as annotation tools write them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as run_lengths
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from eval_tasks._detection.samples import TrainingSamples
from eval_tasks._detection.scoring.coco import average_precisions, evaluate
from eval_tasks.coco import TASKS, Coco, score
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import DetectionData, DetectionSplit, open_coco
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.preprocess import Preprocess
from tests.support.coco_layout import HEIGHT, POLYGON, WIDTH, write_coco

FPN = next(task for task in TASKS if task.name == "coco-fpn-1x")

NONE: list[Any] = [
    [],
    [[]],
    [[], []],
    {},
    None,
    "",
    [[2, 1, 4, 3]],
    [2, 1, 4, 3],
    {"size": [8, 12], "counts": []},
]
"""What says that there is no mask, or says the box once more."""

BROKEN: list[Any] = [
    [[2, 1]],
    [[2, 1, 6, 1, 6]],
    [[2, 1, 6, 1, float("nan"), 4]],
    [[2, 1, 6, 1, 4, 1]],
    [[0, 0, 1e18, 0, 1e18, 1e18]],
    {"size": [8, 12], "counts": [1]},
    {"size": [8, 12], "counts": [-8, 104]},
    {"size": [8, 12], "counts": [10**12]},
    {"size": [8, 12], "counts": "zz"},
    {"size": [8, 12], "counts": "é"},
    {"size": [8, 12], "counts": "o" * 10_000},
    {"size": [8, 12], "counts": [96]},
]
"""Masks that cannot be drawn."""


def opened(root: Path, masks: bool) -> DetectionData:
    open_coco.cache_clear()
    return replace(FPN, root=str(root), masks=masks).data("", Context(data_root=root, cache=root))


def stating(segmentation: Any, *, drop: str = "") -> Callable[[str, dict[str, Any]], None]:
    """The second object of each split has this for its mask."""

    def change(split: str, said: dict[str, Any]) -> None:
        said["annotations"][1]["segmentation"] = segmentation
        if drop:
            del said["annotations"][1][drop]

    return change


def perfect(split: DetectionSplit) -> list[dict[str, Any]]:
    return [
        {"image_id": o.image_id, "category_id": o.category_id, "bbox": list(o.bbox), "score": 1.0}
        for objects in split.objects
        for o in objects
    ]


@pytest.mark.parametrize("segmentation", [*NONE, *BROKEN, "missing"], ids=lambda s: json.dumps(s)[:30])
def test_a_box_counts_whatever_is_said_of_its_mask_where_masks_are_off(
    tmp_path: Path, segmentation: Any
) -> None:
    missing = segmentation == "missing"
    root = write_coco(tmp_path, stating(None if missing else segmentation, drop="segmentation" * missing))

    data = opened(root, masks=False)

    assert [len(objects) for objects in data.val.objects] == [1, 1, 1]
    assert data.train.dropped == data.val.dropped == ()
    assert score(perfect(data.val), data.val.truth())["bbox/AP"] == pytest.approx(100)


@pytest.mark.parametrize("segmentation", NONE, ids=json.dumps)
def test_a_box_alone_is_refused_with_count_and_remedy_where_masks_are_on(
    tmp_path: Path, segmentation: Any
) -> None:
    root = write_coco(tmp_path, stating(segmentation))

    with pytest.raises(
        DataError,
        match=r"instances_train\.json: has boxes without masks, 1 of 3, such as object 1 in train1\.png; "
        r"set coco-fpn-1x\.masks=false",
    ):
        opened(root, masks=True)


@pytest.mark.parametrize("segmentation", BROKEN, ids=lambda s: json.dumps(s)[:30])
def test_a_broken_mask_is_not_learnt_and_counts_neither_way_in_the_test(
    tmp_path: Path, segmentation: Any
) -> None:
    data = opened(write_coco(tmp_path, stating(segmentation)), masks=True)

    assert [len(objects) for objects in data.train.objects] == [1, 0, 1]
    (learnt,) = data.train.dropped
    assert learnt.startswith("instances_train.json: object 1 in train1.png: its ")
    assert learnt.endswith("; not learnt")
    (tested,) = data.val.dropped
    assert tested.endswith("; its box counts, its mask neither way")
    rows = [{**row, "segmentation": POLYGON} for row in perfect(data.val)]
    masks = [{name: value for name, value in row.items() if name != "bbox"} for row in rows]
    for kind, found in (("bbox", rows), ("segm", masks), ("segm", masks[:1] + masks[2:])):
        evaluation = evaluate(kind, found, data.val.truth(kind))  # type: ignore[arg-type]
        assert average_precisions(evaluation)["AP"] == pytest.approx(100)


def test_a_mask_of_another_pictures_size_is_refused_with_both(tmp_path: Path) -> None:
    root = write_coco(tmp_path, stating({"size": [16, 24], "counts": [10, 20, 354]}))

    assert len(opened(root, masks=False).val.objects[1]) == 1
    with pytest.raises(DataError, match=r"object 1 in train1\.png: its mask is of 24 x 16 px, .* of 12 x 8"):
        opened(root, masks=True)
    with pytest.raises(DataError, match="its mask is of -1 x -1 px"):
        opened(write_coco(tmp_path, stating({"size": [-1, -1], "counts": [1]})), masks=True)


def test_a_crowd_without_a_mask_is_that_of_its_box(tmp_path: Path) -> None:
    def crowd(split: str, said: dict[str, Any]) -> None:
        said["annotations"][1].update(iscrowd=1, segmentation=[], bbox=[0, 0, 6, 4])

    data = opened(write_coco(tmp_path, crowd), masks=True)

    assert "crowd without a mask" in data.val.dropped[0]
    found = [{**row, "segmentation": POLYGON} for row in perfect(data.val)]
    assert score(found, data.val.truth("segm"))["segm/AP"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("segmentation", "area"),
    [
        (POLYGON, 12.0),
        ([[2, 1, 6, 1, 6, 4]], None),  # a triangle: whatever pycocotools draws
        ({"size": [HEIGHT, WIDTH], "counts": [10, 5, 81]}, 5.0),
        ([], 12.0),
        ([[2, 1]], 12.0),
        (None, 12.0),
    ],
)
@pytest.mark.parametrize("stated", ["missing", None, -1, float("nan"), float("inf")])
def test_a_missing_area_is_that_of_the_mask_or_else_of_the_box(
    tmp_path: Path, segmentation: Any, area: float | None, stated: Any
) -> None:
    def change(split: str, said: dict[str, Any]) -> None:
        said["annotations"][1].update(segmentation=segmentation, area=stated)
        if stated == "missing":
            del said["annotations"][1]["area"]

    ((found,),) = opened(write_coco(tmp_path, change), masks=False).val.objects[1:2]

    if area is None:
        area = float(
            run_lengths.area(run_lengths.merge(run_lengths.frPyObjects(segmentation, HEIGHT, WIDTH)))
        )
        assert 4 < area < 8
    assert found.area == area


def test_training_samples_of_a_mixed_file_are_whole_where_masks_are_off(tmp_path: Path) -> None:
    data = opened(write_coco(tmp_path, stating([])), masks=False)
    task = replace(FPN, masks=False, train_sizes=(8,), flip=False)

    _, target = TrainingSamples(data.train, Preprocess(), task, 0)[0, 1]

    assert target["boxes"].tolist() == [[2, 1, 6, 4]]


def test_a_mark_that_detectron2_refuses_is_refused(tmp_path: Path) -> None:
    def change(split: str, said: dict[str, Any]) -> None:
        said["annotations"][2]["ignore"] = 1

    with pytest.raises(DataError, match=r"annotations\.2\.ignore is 1, .*set iscrowd to 1"):
        opened(write_coco(tmp_path, change), masks=False)


def test_data_whose_objects_were_once_left_out_have_another_fingerprint(tmp_path: Path) -> None:
    usual = opened(write_coco(tmp_path / "a"), masks=False).fingerprint()
    nothing = opened(write_coco(tmp_path / "b", stating(None)), masks=False)
    empty = opened(write_coco(tmp_path / "c", stating([])), masks=False)

    assert len({usual, nothing.fingerprint(), empty.fingerprint()}) == 3


@pytest.fixture(scope="module")
def every_second_box_alone(real_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 + 8 real pictures; every second object has `"segmentation": []` and no area."""
    root = tmp_path_factory.mktemp("real") / "coco"
    for split in ("train2017", "val2017"):
        said = json.loads(
            (real_images / "coco-mini" / "annotations" / f"instances_{split}.json").read_bytes()
        )
        said["images"] = sorted(said["images"], key=lambda photo: photo["id"])[:8]
        chosen = {photo["id"] for photo in said["images"]}
        said["annotations"] = [one for one in said["annotations"] if one["image_id"] in chosen]
        for one in said["annotations"][1::2]:
            one["segmentation"] = []
        (root / split).mkdir(parents=True)
        (root / "annotations").mkdir(exist_ok=True)
        for photo in said["images"]:
            shutil.copy(real_images / "coco-mini" / split / photo["file_name"], root / split)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(said))
    return root


def pycocotools_on_the_file(path: Path, rows: list[dict[str, Any]]) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[0])


def test_of_real_pictures_every_object_counts_as_in_pycocotools(every_second_box_alone: Path) -> None:
    data = opened(every_second_box_alone, masks=False)
    path = every_second_box_alone / "annotations" / "instances_val2017.json"
    said = json.loads(path.read_bytes())

    counts = sum(map(len, data.val.objects)), sum(map(len, data.train.objects))
    assert counts == (55, 30)
    rows = [
        {"image_id": o["image_id"], "category_id": o["category_id"], "bbox": o["bbox"], "score": 1.0}
        for o in said["annotations"]
    ]
    assert score(rows, data.val.truth())["bbox/AP"] == pytest.approx(100)
    rng = np.random.default_rng(0)
    for row in rows:
        row["bbox"] = (np.array(row["bbox"]) + rng.normal(0, 8, 4).clip(-9, 9)).tolist()
        row["score"] = float(np.float32(rng.random()))
    expected = pycocotools_on_the_file(path, [dict(row) for row in rows])
    assert 5 < expected < 90
    assert score(rows, data.val.truth())["bbox/AP"] == pytest.approx(expected, abs=1e-9)


def test_both_variants_of_the_task_know_the_remedy_by_their_own_name(tmp_path: Path) -> None:
    root = write_coco(tmp_path, stating([]))
    task: Coco = replace(TASKS[0], root=str(root))
    open_coco.cache_clear()

    with pytest.raises(DataError, match=r"set coco\.masks=false"):
        task.data("", Context(data_root=root, cache=root))
