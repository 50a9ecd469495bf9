from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hsa_bench.core.data.detection.detection_data import DetectionData, open_coco
from hsa_bench.core.errors import DataError


def write_coco(root: Path, suffix: str = "", pictures: int = 6) -> None:
    """Pictures of 8 x 5 px, each with an object of 4 x 3; the first of a split has two broken ones more."""
    for split in ("train", "val"):
        name = split + suffix
        (root / name).mkdir(parents=True)
        images, annotations = [], []
        for i in range(pictures):
            Image.new("RGB", (8, 5), (40 * i, 10, 10)).save(root / name / f"{i}.png")
            images.append({"id": 10 + i, "file_name": f"{i}.png", "width": 8, "height": 5})
            annotations.append(annotation(10 + i, [2, 1, 4, 3]))
        annotations += [annotation(10, [2, 1, 0, 3]), annotation(10, [9, 1, 4, 3])]
        categories = [{"id": 5, "name": "dog"}, {"id": 3, "name": "cat"}]
        content = {"images": images, "categories": categories, "annotations": annotations}
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))


def annotation(image: int, bbox: list[float]) -> dict[str, Any]:
    polygon = [[2, 1, 6, 1, 6, 4, 2, 4]]
    return {"image_id": image, "category_id": 3, "bbox": bbox, "area": 12, "segmentation": polygon}


def opened(root: Path) -> DetectionData:
    open_coco.cache_clear()
    return open_coco(root, "mine")


@pytest.mark.parametrize("suffix", ["", "2017"])
def test_a_coco_folder_is_opened_by_its_annotation_files(tmp_path: Path, suffix: str) -> None:
    write_coco(tmp_path, suffix)

    data = opened(tmp_path)

    assert (len(data.train), len(data.val)) == (6, 6)
    assert data.train.images[2].getpixel((0, 0)) == (80, 10, 10)
    assert [category.name for category in data.categories] == ["cat", "dog"]  # by ascending id
    assert [len(objects) for objects in data.val.objects] == [1] * 6


def test_boxes_that_hold_nothing_of_their_picture_are_dropped_and_counted(tmp_path: Path) -> None:
    write_coco(tmp_path)

    assert opened(tmp_path).train.dropped == (
        "instances_train.json: an object in 0.png: its box [2.0, 1.0, 0.0, 3.0] has no area",
        "instances_train.json: an object in 0.png: its box [9.0, 1.0, 4.0, 3.0] lies outside the picture of "
        "8 x 5 px",
    )


def test_the_order_of_rows_in_the_file_changes_nothing(tmp_path: Path) -> None:
    write_coco(tmp_path)
    data = opened(tmp_path)
    path = tmp_path / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: rows[::-1] for name, rows in content.items()}))

    again = opened(tmp_path)

    assert again.train.photos == data.train.photos
    assert again.train.objects == data.train.objects
    assert again.train.images == data.train.images
    assert again.categories == data.categories


def test_limit_draws_the_same_pictures_of_each_split_every_time(tmp_path: Path) -> None:
    write_coco(tmp_path)
    data = opened(tmp_path)

    few, again = data.limited(3), opened(tmp_path).limited(3)

    assert len(few.train) == len(few.val) == 3
    assert few.train.images.names == again.train.images.names
    assert few.train.photos[1].file_name == few.train.images.names[1]
    assert few.fingerprint() != data.fingerprint()
    assert data.limited(None) == data
    assert len(data.limited(100).val) == 6


def test_the_fingerprint_follows_pictures_and_annotations(tmp_path: Path) -> None:
    write_coco(tmp_path / "a")
    prints = {opened(tmp_path / "a").fingerprint()}
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert {opened(tmp_path / "b").fingerprint()} == prints

    Image.new("RGB", (8, 5), (1, 2, 3)).save(tmp_path / "b" / "val" / "3.png")
    prints.add(opened(tmp_path / "b").fingerprint())
    file = tmp_path / "b" / "annotations" / "instances_train.json"
    file.write_text(file.read_text().replace('"area": 12', '"area": 11'))
    prints.add(opened(tmp_path / "b").fingerprint())

    assert len(prints) == 3


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/annotations/instances_train\*\.json: no such file"):
        opened(tmp_path / "nowhere")

    write_coco(tmp_path)
    (tmp_path / "val" / "4.png").unlink()
    with pytest.raises(DataError, match=r"val/4\.png: no such picture"):
        opened(tmp_path)

    shutil.rmtree(tmp_path / "train")
    with pytest.raises(DataError, match=r"train: no such folder"):
        opened(tmp_path)


def test_two_annotation_files_of_one_split_are_refused(tmp_path: Path) -> None:
    write_coco(tmp_path)
    shutil.copy(
        tmp_path / "annotations" / "instances_train.json",
        tmp_path / "annotations" / "instances_train2014.json",
    )

    with pytest.raises(DataError, match=r"2 of them: instances_train\.json, instances_train2014\.json"):
        opened(tmp_path)


def test_splits_with_different_categories_are_refused(tmp_path: Path) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_val.json"
    file.write_text(file.read_text().replace("dog", "cow"))

    with pytest.raises(DataError, match="categories differ"):
        opened(tmp_path)


def test_real_coco_annotations_are_read_whole(real_images: Path) -> None:
    data = opened(real_images / "coco-mini")

    assert (len(data.train), len(data.val), len(data.categories)) == (100, 100, 80)
    assert sum(map(len, data.val.objects)) == 712
    assert data.train.dropped == data.val.dropped == ()
    photo, instance = data.val.photos[0], data.val.objects[0][0]
    assert instance.mask(photo.width, photo.height).sum() == pytest.approx(instance.area, rel=0.02)
