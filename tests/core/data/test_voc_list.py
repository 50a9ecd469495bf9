"""VOC's lists as people's tools write them, and the picture that an id stands for."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from PIL import Image

from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.data.detection.voc_folder import open_voc
from hsa_bench.core.data.detection.voc_labels import open_voc_labels
from hsa_bench.core.data.detection.voc_list import image_list
from hsa_bench.core.errors import DataError
from tests.support.voc_layout import write_voc

BOX = (1, 1, 9, 9)


def listed(root: Path, content: bytes, ids: tuple[str, ...] = ("a", "b")) -> list[str]:
    write_voc(root, "train", {one: [("dog", BOX, False)] for one in ids}, pictures=False)
    (root / "ImageSets" / "Main" / "train.txt").write_bytes(content)
    return image_list(root, "train")


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\n",
        b"b\r\na\r\n",
        b"a\rb",
        codecs.BOM_UTF8 + b"a\nb",
        b"\n  a  \n\n\tb\n\n",
        b"a 1\nb -1\n",
        b"a  1\nb  0\n",
        b"a.jpg\nb.JPG\n",
        b"a.jpeg\nb.png\n",
        b"a.xml\nb.XML\n",
        b"a.jpg 1\nb.jpg -1\n",
        b"# of the 3rd of May\na\n#b\nb\n",
        b"a\nb\na\n",
    ],
)
def test_a_line_is_an_id_whatever_stands_about_it(tmp_path: Path, content: bytes) -> None:
    assert listed(tmp_path, content) == ["a", "b"]


@pytest.mark.parametrize(
    "number", ["IMG 0001", "IMG 1", "a.b", "v1.jpg", "photo (2)", "ä ö", "x 1 -1", "1", "a#1", "two  spaces"]
)
def test_an_id_may_have_spaces_dots_and_letters_of_any_kind(tmp_path: Path, number: str) -> None:
    content = f"a\n{number}\n{number} -1\n".encode()

    assert listed(tmp_path, content, ("a", number)) == sorted(["a", number])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\xff\xfe\n", r"train\.txt, line 2: not UTF-8"),
        ("a\nb".encode("utf-16"), r"train\.txt, line 1: not UTF-8"),
        (b"a\ncaf\xe9\n", r"line 2: not UTF-8 .*save the list as UTF-8"),
        (b"a\n\x00b\n", r"line 2: has a NUL"),
        (b"", r"train\.txt: names no image"),
        (b"# nothing\n\n", r"names no image"),
    ],
)
def test_what_is_no_list_is_refused_with_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(tmp_path, content)


def voc(root: Path) -> DetectionData:
    open_voc.cache_clear()
    return open_voc(root, ("train",), "val", "auto")


def named(root: Path, number: str, stated: str) -> None:
    """Let an annotation name a picture."""
    path = root / "Annotations" / f"{number}.xml"
    text = path.read_text().replace("<annotation>", f"<annotation><filename>{stated}</filename>")
    path.write_text(text)


def write_two(root: Path) -> None:
    write_voc(root, "train", {"a": [("dog", BOX, False)], "b": [("dog", BOX, False)]})
    write_voc(root, "val", {"c": [("dog", BOX, False)]})


def test_the_picture_is_that_of_the_id_whatever_the_annotation_names(tmp_path: Path) -> None:
    write_two(tmp_path)
    named(tmp_path, "a", "b.jpg")
    named(tmp_path, "b", "../../etc/b.jpg")
    named(tmp_path, "c", "C:\\photos\\other.png")

    data = voc(tmp_path)

    assert data.train.images.names == ("JPEGImages/a.jpg", "JPEGImages/b.jpg")
    assert data.val.images.names == ("JPEGImages/c.jpg",)


@pytest.mark.parametrize("ending", [".JPG", ".jpeg", ".JPEG", ".png", ".PNG"])
def test_a_picture_may_have_another_ending(tmp_path: Path, ending: str) -> None:
    write_two(tmp_path)
    (tmp_path / "JPEGImages" / "b.jpg").unlink()
    Image.new("RGB", (60, 40)).save(tmp_path / "JPEGImages" / f"b{ending}")

    assert voc(tmp_path).train.images.names[1] == f"JPEGImages/b{ending}"

    Image.new("RGB", (60, 40)).save(tmp_path / "JPEGImages" / "b.jpg")
    assert voc(tmp_path).train.images.names[1] == "JPEGImages/b.jpg"


def test_two_pictures_that_may_be_meant_are_refused(tmp_path: Path) -> None:
    write_two(tmp_path)
    (tmp_path / "JPEGImages" / "b.jpg").rename(tmp_path / "JPEGImages" / "b.JPG")
    Image.new("RGB", (60, 40)).save(tmp_path / "JPEGImages" / "b.png")

    with pytest.raises(DataError, match=r"b\.JPG: .*b\.xml describes it, or b\.png beside it; remove one"):
        voc(tmp_path)


def test_a_picture_that_the_annotation_alone_names_is_refused_with_the_remedy(tmp_path: Path) -> None:
    write_two(tmp_path)
    (tmp_path / "JPEGImages" / "b.jpg").rename(tmp_path / "JPEGImages" / "photo.jpg")
    named(tmp_path, "b", "photo.jpg")

    with pytest.raises(DataError, match=r"b\.jpg: no such picture, .*names photo\.jpg, .*rename it b\.jpg"):
        voc(tmp_path)


def test_labels_of_voc_are_read_by_the_same_lists_and_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "VOC2007"
    write_voc(folder, "trainval", {"IMG 1": [("dog", BOX, False)], "b": [("cat", BOX, False)]})
    write_voc(folder, "test", {"c": [("dog", BOX, False)]})
    (folder / "ImageSets" / "Main" / "trainval.txt").write_bytes(codecs.BOM_UTF8 + b"IMG 1\r\nb.jpg 1\r\n")
    (folder / "JPEGImages" / "b.jpg").rename(folder / "JPEGImages" / "b.JPG")
    open_voc_labels.cache_clear()

    data = open_voc_labels(tmp_path)

    assert data.train.examples == ("VOC2007/JPEGImages/IMG 1.jpg", "VOC2007/JPEGImages/b.JPG")
    assert data.train_labels.max(axis=1).tolist() == [1, 1]
