from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.data.detection.voc_folder import CLASSES, Classes, open_voc
from hsa_bench.core.errors import DataError
from tests.support.voc_layout import write_voc

DEFAULT = (("VOC2007/trainval", "VOC2012/trainval"), "VOC2007/test")


def opened(root: Path, classes: Classes = "voc") -> DetectionData:
    open_voc.cache_clear()
    return open_voc(root, *DEFAULT, classes)


def write_devkit(root: Path) -> None:
    write_voc(root / "VOC2007", "trainval", {"000002": [("dog", (1, 1, 60, 40), False)], "000001": []})
    write_voc(root / "VOC2007", "test", {"000003": [("cat", (11, 6, 30, 25), True)]})
    write_voc(root / "VOC2012", "trainval", {"2008_000001": [("person", (5, 5, 9, 9), False)]})


def test_a_devkit_is_learnt_from_both_years_and_tested_on_2007(tmp_path: Path) -> None:
    write_devkit(tmp_path / "VOCdevkit")

    for root in (tmp_path, tmp_path / "VOCdevkit"):
        data = opened(root)
        assert data.train.images.names == (
            "VOC2007/JPEGImages/000001.jpg",
            "VOC2007/JPEGImages/000002.jpg",
            "VOC2012/JPEGImages/2008_000001.jpg",
        )
        assert data.val.images.names == ("VOC2007/JPEGImages/000003.jpg",)
        assert tuple(c.name for c in data.categories) == CLASSES
        assert data.train.images[1].size == (60, 40)


def test_boxes_count_from_1_and_include_their_last_pixel(tmp_path: Path) -> None:
    write_devkit(tmp_path)

    data = opened(tmp_path)

    assert [o.bbox for objects in data.train.objects for o in objects] == [(0, 0, 60, 40), (4, 4, 5, 5)]
    ((found,),) = data.val.objects
    assert found.bbox == (10, 5, 20, 20)
    assert found.difficult
    assert CLASSES[found.category_id - 1] == "cat"


def test_a_folder_of_ones_own_has_its_own_lists_and_classes(tmp_path: Path) -> None:
    root = tmp_path / "birds"
    write_voc(root, "train", {"a": [("wren", (1, 1, 9, 9), False)]})
    write_voc(root, "val", {"b": [("kite", (1, 1, 9, 9), False)]})

    data = opened(root, "auto")

    assert [c.name for c in data.categories] == ["kite", "wren"]
    assert data.name == "birds"
    assert (len(data.train), len(data.val)) == (1, 1)
    assert [c.name for c in opened(root, ("wren", "kite")).categories] == ["wren", "kite"]
    turned = open_voc(root, ("val",), "train", "auto")
    assert turned.train.images.names == data.val.images.names


def test_the_order_of_the_list_changes_nothing(tmp_path: Path) -> None:
    write_devkit(tmp_path)
    data = opened(tmp_path)
    path = tmp_path / "VOC2007" / "ImageSets" / "Main" / "trainval.txt"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))

    again = opened(tmp_path)

    assert again.train.photos == data.train.photos
    assert again.fingerprint() == data.fingerprint()


def test_the_fingerprint_follows_the_annotations(tmp_path: Path) -> None:
    write_devkit(tmp_path)
    before = opened(tmp_path).fingerprint()
    path = tmp_path / "VOC2007" / "Annotations" / "000002.xml"
    path.write_text(path.read_text().replace("dog", "cat"))

    assert opened(tmp_path).fingerprint() != before


def test_boxes_that_hold_nothing_are_left_out_and_named(tmp_path: Path) -> None:
    write_devkit(tmp_path)
    bad = [("dog", (10, 10, 9, 20), False), ("dog", (61, 1, 70, 9), False), ("dog", (50, 1, 70, 9), False)]
    write_voc(tmp_path / "VOC2007", "trainval", {"000002": bad})

    train = opened(tmp_path).train

    assert train.dropped == (
        "trainval.txt: object 1 in VOC2007/JPEGImages/000002.jpg: its box [9.0, 9.0, 0.0, 11.0] has no area",
        "trainval.txt: object 2 in VOC2007/JPEGImages/000002.jpg: its box [60.0, 0.0, 10.0, 9.0] lies "
        "outside the picture of 60 x 40 px",
    )
    assert sum(map(len, train.objects)) == 2  # the one over the edge stays


def test_a_missing_size_is_read_from_the_picture(tmp_path: Path) -> None:
    write_devkit(tmp_path)
    path = tmp_path / "VOC2007" / "Annotations" / "000003.xml"
    text = path.read_text()
    path.write_text(text[: text.index("<size>")] + text[text.index("</size>") + 7 :])
    Image.new("RGB", (64, 48)).save(tmp_path / "VOC2007" / "JPEGImages" / "000003.jpg")

    (photo,) = opened(tmp_path).val.photos

    assert (photo.width, photo.height) == (64, 48)


def broken(what: str, root: Path) -> None:
    folder = root / "VOC2007"
    annotation = folder / "Annotations" / "000002.xml"
    if what == "picture":
        (folder / "JPEGImages" / "000002.jpg").unlink()
    elif what == "annotation":
        annotation.unlink()
    elif what == "list":
        (folder / "ImageSets" / "Main" / "test.txt").unlink()
    elif what == "year":
        (root / "VOC2012").rename(root / "elsewhere")
    else:
        annotation.write_text(what)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("picture", r"000002\.jpg: no such picture"),
        ("annotation", r"000002\.xml: no such annotation file"),
        ("list", r"test\.txt: no such list of images"),
        ("year", r"VOC2012: no folder in VOC's layout"),
        ("<annotation", r"000002\.xml: cannot be read as VOC's XML"),
        (
            "<annotation><object><name>dog</name></object></annotation>",
            r"000002\.xml: object 1 has no bndbox",
        ),
        (
            "<annotation><object><name>dog</name><bndbox><xmin>?</xmin></bndbox></object></annotation>",
            r"000002\.xml: object 1: xmin is '\?', not a number",
        ),
        (
            "<annotation><size><width>9</width><height>9</height></size><object><name>unicorn</name><bndbox>"
            "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>",
            r"000002\.xml: object 1 is a 'unicorn', .*classes=auto",
        ),
    ],
)
def test_what_is_missing_or_broken_is_refused_by_its_name(tmp_path: Path, what: str, message: str) -> None:
    write_devkit(tmp_path)
    broken(what, tmp_path)

    with pytest.raises(DataError, match=message):
        opened(tmp_path)


def test_the_real_subset_is_opened_whole(real_images: Path) -> None:
    data = opened(real_images / "voc-mini")

    assert (len(data.train), len(data.val)) == (97, 100)
    assert len({o.category_id for objects in data.val.objects for o in objects}) == 19
    assert not data.train.dropped
