from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsa_bench.core.data.image_set import (
    Classification,
    ImageSet,
    balanced,
    label_subset,
    listed_subset,
    subset_hash,
)
from hsa_bench.core.data.images import ArrayImages, FileImages
from hsa_bench.core.errors import DataError


def small_set(count: int = 12, classes: int = 3) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    labels = (np.arange(count) % classes).astype(np.int64)
    names = tuple(f"train/{i}.png" for i in range(count))
    return ImageSet(ArrayImages(pixels), labels, tuple("abcdef"[:classes]), names)


@pytest.mark.parametrize(
    ("fraction", "share"), [(0.01, [1, 1, 1]), (0.1, [1, 2, 10]), (0.25, [1, 6, 25]), (1.0, [4, 25, 100])]
)
def test_a_label_subset_takes_the_same_share_of_every_class(fraction: float, share: list[int]) -> None:
    labels = np.repeat([0, 1, 2], [4, 25, 100])
    drawn = label_subset(labels, fraction, seed=0)
    assert drawn == sorted(set(drawn))
    assert np.bincount(labels[drawn]).tolist() == share


def test_a_label_subset_belongs_to_its_seed() -> None:
    labels = np.repeat([0, 1], 50)
    assert label_subset(labels, 0.1, seed=0) == label_subset(labels, 0.1, seed=0)
    assert label_subset(labels, 0.1, seed=0) != label_subset(labels, 0.1, seed=1)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01])
def test_a_share_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        label_subset(np.zeros(3, dtype=np.int64), fraction, seed=0)


def test_a_balanced_draw_is_as_even_as_the_classes_allow() -> None:
    labels = np.repeat([0, 1, 2], [2, 10, 10])
    assert np.bincount(labels[balanced(labels, 12, seed=0)]).tolist() == [2, 5, 5]
    assert balanced(labels, 100, seed=0) == list(range(22))


def test_a_list_names_images_by_path_or_base_name(tmp_path: Path) -> None:
    names = ("train/a/1.png", "train/b/2.png", "train/b/3.png")
    (tmp_path / "list.txt").write_text("3.png\ntrain/a/1.png\n3.png\n")
    assert listed_subset(names, tmp_path / "list.txt") == [0, 2]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("4.png", "entry 1: '4.png' names 0"), ("1.png\n2.png", "entry 2: '2.png' names 2"), ("", "no image")],
)
def test_a_list_that_fits_badly_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=complaint):
        listed_subset(("a/1.png", "a/2.png", "b/2.png"), tmp_path / "list.txt")


NAMES = ("train/a b/1 c.png", "train/a b/2.png", "train/caf\\xe9/3.png")


@pytest.mark.parametrize(
    "content",
    [
        b"train/a b/1 c.png\n3.png\n",
        b"\xef\xbb\xbftrain/a b/1 c.png\r\n3.png",
        "1 c.png\r\n3.png\r\n".encode("utf-16"),
        b"\n  \"train/a b/1 c.png\"  \n\n'3.png'\n",
        b"1 c.png\r3.png",
    ],
    ids=["blanks", "mark and CRLF", "UTF-16", "quotes", "CR"],
)
def test_a_list_is_read_as_editors_write_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    assert listed_subset(NAMES, tmp_path / "list.txt") == [0, 2]


def test_a_line_may_hold_several_names(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("2.png 3.png\n")
    assert listed_subset(NAMES, tmp_path / "list.txt") == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "list.txt: is no text in UTF-8"),
        (b"caf\xe9/3.png", "list.txt: is no text in UTF-8"),
        (b"2.png\n../../etc/passwd\n", r"list.txt, entry 2: '../../etc/passwd' names 0 training images"),
        (b" \n", "list.txt: names no image"),
    ],
)
def test_a_list_that_cannot_be_used_is_an_error_that_names_it(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        listed_subset(NAMES, tmp_path / "list.txt")


def test_a_subset_hash_is_that_of_the_names_drawn() -> None:
    names = ("a", "b", "c")
    assert subset_hash(names, [0, 2]) == subset_hash(("a", "c"), [0, 1]) != subset_hash(names, [0, 1])


def test_a_subset_of_a_subset_shows_the_right_pictures() -> None:
    whole = small_set()
    part = whole.subset([8, 3, 5]).subset([2, 0])
    assert part.examples == ("train/5.png", "train/8.png")
    assert part.labels.tolist() == [2, 2]
    assert np.array_equal(np.asarray(part.picture(0)), np.asarray(whole.picture(5)))


def test_a_fingerprint_holds_pictures_labels_names_and_rows() -> None:
    whole = small_set()
    pixels = whole.images.pixels.copy()  # type: ignore[attr-defined]
    pixels[0, 0, 0, 0] ^= 1
    changed = [
        replace(whole, images=ArrayImages(pixels)),
        replace(whole, labels=whole.labels[::-1].copy()),
        replace(whole, examples=("x", *whole.examples[1:])),
        replace(whole, classes=("x", *whole.classes[1:])),
        whole.subset(range(11)),
        whole.subset([1, 0, *range(2, 12)]),
    ]
    prints = {s.fingerprint() for s in (whole, *changed)}
    assert len(prints) == 1 + len(changed)
    assert small_set().fingerprint() == whole.fingerprint()


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_outside_the_classes_are_refused(label: int) -> None:
    labels = np.array([0, 1, label], dtype=np.int64)
    with pytest.raises(DataError, match="there are 3 classes"):
        ImageSet(ArrayImages(np.zeros((3, 2, 2, 3), dtype=np.uint8)), labels, ("a", "b", "c"), tuple("xyz"))


def test_a_limit_draws_both_splits_class_balanced() -> None:
    data = Classification("toy", small_set(), small_set(9), image_size=4, resize=4)
    limited = data.limited(6)
    assert (
        np.bincount(limited.train.labels).tolist() == np.bincount(limited.test.labels).tolist() == [2, 2, 2]
    )
    assert data.limited(None) is data
    assert limited.fingerprint() != data.fingerprint()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    images = FileImages(tmp_path, ("good.png", "bad.png"))
    assert images[0].size == (4, 4)
    with pytest.raises(DataError, match=r"bad\.png: cannot be read"):
        images[1]


def test_files_are_fingerprinted_by_content(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 10).save(tmp_path / "a.bmp")
    before = FileImages(tmp_path, ("a.bmp",))
    assert before[0].mode == "RGB"
    assert before.digest() == FileImages(tmp_path, ("a.bmp",)).digest()
    Image.new("L", (4, 4), 11).save(tmp_path / "a.bmp")  # same name, same size
    assert before.digest() != FileImages(tmp_path, ("a.bmp",)).digest()
