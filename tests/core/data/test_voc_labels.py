from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsa_bench.core.data.detection.voc_folder import CLASSES
from hsa_bench.core.data.detection.voc_labels import ABSENT, IGNORED, PRESENT, VocLabels, open_voc_labels
from hsa_bench.core.errors import DataError
from tests.support.voc_layout import Named, write_voc

BOX = (1, 1, 9, 9)
DOG: Named = ("dog", BOX, False)
HARD_DOG: Named = ("dog", BOX, True)
CAT: Named = ("cat", BOX, False)


def write_devkit(root: Path) -> None:
    images = {"000003": [CAT, DOG], "000001": [HARD_DOG, DOG], "000002": [HARD_DOG], "000004": []}
    write_voc(root / "VOC2007", "trainval", images)
    write_voc(root / "VOC2007", "test", {"000009": [HARD_DOG, CAT]})


def opened(root: Path) -> VocLabels:
    open_voc_labels.cache_clear()
    return open_voc_labels(root)


def test_a_class_is_present_by_an_object_that_is_not_difficult(tmp_path: Path) -> None:
    write_devkit(tmp_path / "VOCdevkit")

    for root in (tmp_path, tmp_path / "VOCdevkit"):
        data = opened(root)
        dog, cat = CLASSES.index("dog"), CLASSES.index("cat")
        assert data.train.examples == tuple(f"VOC2007/JPEGImages/00000{i}.jpg" for i in (1, 2, 3, 4))
        assert data.train_labels[:, dog].tolist() == [PRESENT, IGNORED, PRESENT, ABSENT]
        assert data.train_labels[:, cat].tolist() == [ABSENT, ABSENT, PRESENT, ABSENT]
        assert data.test_labels[0, [cat, dog]].tolist() == [PRESENT, IGNORED]
        others = np.delete(data.train_labels, [dog, cat], axis=1)
        assert others.shape == (4, 18) and (others == ABSENT).all()
        assert data.classes == CLASSES
        assert data.test.picture(0).size == (60, 40)


def test_another_label_is_another_fingerprint(tmp_path: Path) -> None:
    write_devkit(tmp_path)
    before = opened(tmp_path).fingerprint()
    assert opened(tmp_path).fingerprint() == before

    write_voc(tmp_path / "VOC2007", "test", {"000009": [DOG, CAT]}, pictures=False)

    assert opened(tmp_path).fingerprint() != before


def test_a_limit_draws_pictures_with_their_labels(tmp_path: Path) -> None:
    images = {f"{i:06}": [DOG] if i % 3 else [CAT] for i in range(12)}
    for split in ("trainval", "test"):
        write_voc(tmp_path / "VOC2007", split, images)
    data = opened(tmp_path)

    few = data.limited(5)

    assert (len(few.train), len(few.test)) == (5, 5)
    for example, labels in zip(few.train.examples, few.train_labels, strict=True):
        assert np.array_equal(labels, data.train_labels[data.train.examples.index(example)])
    assert data.limited(None) is data


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"VOC2007/Annotations: no such folder; VOC 2007 .* belongs in"):
        opened(tmp_path / "VOCdevkit")
    write_devkit(tmp_path)
    (tmp_path / "VOC2007" / "JPEGImages" / "000009.jpg").unlink()
    with pytest.raises(DataError, match=r"000009\.jpg: no such picture, though test lists it"):
        opened(tmp_path)
    write_voc(tmp_path / "VOC2007", "test", {"000009": [("wren", BOX, False)]})
    with pytest.raises(DataError, match="'wren', which is none of VOC's 20 classes"):
        opened(tmp_path)
