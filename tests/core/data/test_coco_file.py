from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as run_lengths
import pytest

from hsa_bench.core.data.detection.coco_file import Instance, Photo, RunLengths, read_annotations
from hsa_bench.core.errors import DataError

SQUARE = [2.0, 1.0, 6.0, 1.0, 6.0, 4.0, 2.0, 4.0]  # x 2..6, y 1..4


def instance(segmentation: Any, bbox: tuple[float, float, float, float] = (2, 1, 4, 3)) -> Instance:
    return Instance(image_id=1, category_id=1, bbox=bbox, area=12.0, segmentation=segmentation)


def content() -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 8, "height": 5}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 3,
                "bbox": [2, 1, 4, 3],
                "area": 12,
                "iscrowd": 0,
                "segmentation": [SQUARE],
            }
        ],
    }


def test_polygon_run_lengths_and_packed_run_lengths_are_the_same_mask() -> None:
    by_hand = np.zeros((5, 8), dtype=np.uint8)
    by_hand[1:4, 2:6] = 1
    written = [11, 3, 2, 3, 2, 3, 2, 3, 11]  # down the columns of a 5 x 8 picture, zeros first
    packed = run_lengths.encode(np.asfortranarray(by_hand))["counts"].decode()

    for segmentation in ([SQUARE], RunLengths((5, 8), written), RunLengths((5, 8), packed)):
        assert (instance(segmentation).mask(width=8, height=5) == by_hand).all()


def test_a_polygon_of_two_points_is_not_taken_for_a_box() -> None:
    assert instance([[0.0, 0.0, 8.0, 5.0], SQUARE]).mask(8, 5).sum() == 12


@pytest.mark.parametrize(
    ("bbox", "usable"),
    [
        ((2, 1, 4, 3), True),
        ((-3, 1, 4, 3), True),  # reaches into the picture
        ((2, 1, 0, 3), False),
        ((2, 1, 4, -1), False),
        ((8, 1, 4, 3), False),
        ((-4, 1, 4, 3), False),
        ((float("nan"), 1, 4, 3), False),
    ],
)
def test_only_boxes_with_an_area_inside_the_picture_are_usable(bbox: Any, usable: bool) -> None:
    photo = Photo(id=1, file_name="a.jpg", width=8, height=5)

    assert bool(instance([SQUARE], bbox).box_trouble_in(photo)) is not usable
    assert bool(instance(None, bbox).box_trouble_in(photo)) is not usable  # boxes alone


@pytest.mark.parametrize(
    "polygon",
    [
        [1.0, 1.0],
        [1.0, 1.0, 5.0, 1.0, 5.0],
        [1.0, 1.0, 5.0, float("nan"), 5.0, 4.0],
        [1.0, 1.0, 5.0, 1.0, 3.0, 1.0],  # on one line
    ],
)
def test_a_broken_polygon_is_told(polygon: list[float]) -> None:
    photo = Photo(id=1, file_name="a.jpg", width=8, height=5)

    assert instance([polygon]).mask_trouble_in(photo) == "its mask has no polygon of three points or more"
    assert not instance([polygon, SQUARE]).mask_trouble_in(photo)


def test_a_good_file_is_read_and_unknown_keys_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({**content(), "info": {"year": 2017}, "licenses": []}))

    file = read_annotations(path)

    assert file.images == [Photo(id=7, file_name="a.jpg", width=8, height=5)]
    assert file.annotations[0].segmentation == [SQUARE]


def broken(change: str) -> Any:
    c = content()
    annotation = c["annotations"][0]
    match change:
        case "no categories":
            del c["categories"]
        case "empty categories":
            c["categories"] = []
        case "no bbox":
            del annotation["bbox"]
        case "bbox of three":
            annotation["bbox"] = [1, 2, 3]
        case "category":
            annotation["category_id"] = 99
        case "image":
            annotation["image_id"] = 99
        case "double":
            c["images"] *= 2
    return c


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no categories", "categories: Field required"),
        ("empty categories", "lists no category"),
        ("no bbox", "annotations.0.bbox: Field required"),
        ("bbox of three", "annotations.0.bbox"),
        ("category", "annotations.0.category_id is 99"),
        ("image", "annotations.0.image_id is 99"),
        ("double", "image id 7 occurs twice"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_place(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(broken(change)))

    with pytest.raises(DataError, match=message) as refusal:
        read_annotations(path)
    assert str(path) in str(refusal.value)


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text("<html>404</html>")

    with pytest.raises(DataError, match=r"instances\.json: the file: Invalid JSON"):
        read_annotations(path)
