from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

from hsa_bench.core.data.datasets import digits
from hsa_bench.core.data.detection import digit_scenes as module
from hsa_bench.core.data.detection.detection_data import open_coco
from hsa_bench.core.data.detection.digit_scenes import SIDE, digit_scenes, outlines, own_digits, scenes


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCENES", {"train": 6, "val": 4})


def test_scenes_are_a_coco_folder_with_ten_categories(tmp_path: Path) -> None:
    data = open_coco(digit_scenes(tmp_path), "digit-scenes")

    assert (len(data.train), len(data.val)) == (6, 4)
    assert [category.name for category in data.categories] == list("0123456789")
    assert data.train.dropped == data.val.dropped == ()
    assert data.train.images[0].size == (SIDE, SIDE)
    assert all(1 <= len(objects) <= module.MOST for objects in data.train.objects)


def test_a_seed_gives_the_same_scenes_and_another_seed_others(tmp_path: Path) -> None:
    here, there = digit_scenes(tmp_path / "here"), digit_scenes(tmp_path / "there")
    other = digit_scenes(tmp_path / "here", seed=1)

    prints = [open_coco(root, "scenes").fingerprint() for root in (here, there, other)]

    assert prints[0] == prints[1] != prints[2]


def test_scenes_are_generated_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    root = digit_scenes(tmp_path)
    marked = root / "annotations" / "instances_val.json"
    before = marked.stat().st_mtime_ns

    assert digit_scenes(tmp_path) == root
    assert marked.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [root]


def test_val_scenes_show_the_test_digits_and_only_them() -> None:
    labels = load_digits().target

    assert not set(own_digits("train")) & set(own_digits("val"))
    assert labels[own_digits("val")].tolist() == digits.load(Path()).test.labels.tolist()


def test_boxes_and_masks_fit_the_digits(tmp_path: Path) -> None:
    data = open_coco(digit_scenes(tmp_path), "scenes")

    for scene, photo, objects in zip(scenes("val", 0), data.val.photos, data.val.objects, strict=True):
        covered = np.zeros((SIDE, SIDE))
        for cover, label, instance in zip(scene.covers, scene.labels, objects, strict=True):
            mask = instance.mask(photo.width, photo.height)
            rows, columns = np.nonzero(mask)
            x, y, w, h = instance.bbox
            assert instance.category_id == label + 1
            assert mask[cover >= 0.6].all()  # all ink is inside, holes are filled
            assert instance.area == mask.sum()
            assert (columns.min(), rows.min()) == pytest.approx((x, y), abs=1.5)
            assert (columns.max() + 1, rows.max() + 1) == pytest.approx((x + w, y + h), abs=1.5)
            covered += mask
        assert (covered <= 1).mean() > 0.999  # masks keep apart


def test_the_outline_of_a_ring_fills_its_hole() -> None:
    picture = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).ellipse((20, 20, 60, 60), fill=1, outline=1)
    ImageDraw.Draw(picture).ellipse((30, 30, 50, 50), fill=0)

    found = outlines(np.asarray(picture, dtype=np.float64))

    assert len(found) == 1
    assert np.hypot(*(np.reshape(found[0], (-1, 2)) - 40.5).T) == pytest.approx(20.5, abs=1)
