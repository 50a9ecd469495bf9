"""Pictures whose size is not the one stated, EXIF's orientation, and pixels of more than 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from hsa_bench.core.data.decode_check import ORIENTATION, headers
from hsa_bench.core.data.detection.detection_data import DetectionData, open_coco
from hsa_bench.core.data.detection.voc_folder import open_voc
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.errors import DataError
from tests.support.coco_layout import write_coco
from tests.support.voc_layout import write_voc

GRADIENT = np.arange(12 * 8 * 3, dtype=np.uint8).reshape(8, 12, 3)


def coco(root: Path) -> DetectionData:
    open_coco.cache_clear()
    return open_coco(root, "mine")


def voc(root: Path) -> DetectionData:
    open_voc.cache_clear()
    return open_voc(root, ("train",), "val", "auto")


def save(path: Path, orientation: int, pixels: np.ndarray[Any, Any] = GRADIENT) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def stating(width: int, height: int) -> Callable[[str, dict[str, Any]], None]:
    def change(split: str, said: dict[str, Any]) -> None:
        said["images"][0].update(width=width, height=height)

    return change


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_a_picture_is_turned_as_its_orientation_says(tmp_path: Path, orientation: int, ending: str) -> None:
    def change(split: str, said: dict[str, Any]) -> None:
        lying = orientation in {5, 6, 7, 8}
        said["images"][0].update(
            width=8 if lying else 12, height=12 if lying else 8, file_name=f"{split}0.{ending}"
        )

    root = write_coco(tmp_path, change)
    for split in ("train", "val"):
        save(root / split / f"{split}0.{ending}", orientation)

    picture = coco(root).val.images[0]

    with Image.open(root / "val" / f"val0.{ending}") as file:
        assert np.array_equal(np.asarray(picture), np.asarray(ImageOps.exif_transpose(file)))


def test_turned_pictures_have_another_fingerprint_and_upright_ones_the_old(tmp_path: Path) -> None:
    prints = []
    for orientation in (1, 3):
        root = write_coco(tmp_path / str(orientation))
        save(root / "val" / "val0.png", orientation)
        prints.append((coco(root).val.images.digest(), coco(root).val.images))
    (upright, _), (turned, images) = prints

    assert images.turns == (("val0.png", 3),)
    assert upright != turned
    assert type(images).__mro__[1](images.root, images.names).digest() != turned


@pytest.mark.parametrize(
    ("orientation", "stated", "message"),
    [
        (1, (24, 16), r"val0\.png: has 12 x 8 px where .*instances_val\.json says 24 x 16"),
        (1, (8, 12), r"has 12 x 8 px where .* says 8 x 12"),
        (6, (12, 8), r"has 8 x 12 px, upright by its EXIF orientation 6, where .* says 12 x 8"),
        (1, (0, 0), r"says 0 x 0"),
        (1, (-12, -8), r"says -12 x -8"),
        (1, (10**40, 8), r"has 12 x 8 px"),
    ],
)
def test_another_size_than_stated_is_refused_with_both(
    tmp_path: Path, orientation: int, stated: tuple[int, int], message: str
) -> None:
    root = write_coco(tmp_path, lambda split, said: stating(*stated)(split, said) if split == "val" else None)
    save(root / "val" / "val0.png", orientation)

    with pytest.raises(DataError, match=message):
        coco(root)


def write_two(root: Path, size: str, picture: tuple[int, int] = (60, 40)) -> None:
    write_voc(root, "train", {"a": [("dog", (1, 1, 9, 9), False)]})
    write_voc(root, "val", {"b": [("dog", (41, 11, 60, 40), False)]})
    path = root / "Annotations" / "b.xml"
    text = path.read_text()
    path.write_text(text[: text.index("<size>")] + size + text[text.index("</size>") + 7 :])
    Image.new("RGB", picture).save(root / "JPEGImages" / "b.jpg")


@pytest.mark.parametrize(
    "size",
    [
        "",
        "<size/>",
        "<size><width>0</width><height>0</height></size>",
        "<size><width/><height/></size>",
        "<size><width>-1</width><height>-1</height></size>",
        "<size><width>60.0</width><height> 40 </height><depth>3</depth></size>",
    ],
)
def test_a_size_that_voc_does_not_state_is_the_pictures(tmp_path: Path, size: str) -> None:
    write_two(tmp_path, size)

    data = voc(tmp_path)

    assert (data.val.photos[0].width, data.val.photos[0].height) == (60, 40)
    assert [len(objects) for objects in data.val.objects] == [1]


@pytest.mark.parametrize("size", [(25, 40), (60, 20), (40, 60), (120, 80)])
def test_a_wrong_size_in_voc_is_refused_and_drops_no_object(tmp_path: Path, size: tuple[int, int]) -> None:
    write_two(tmp_path, f"<size><width>{size[0]}</width><height>{size[1]}</height></size>")

    with pytest.raises(DataError, match=rf"b\.jpg: has 60 x 40 px where .*b\.xml says {size[0]} x {size[1]}"):
        voc(tmp_path)


def test_a_lying_picture_in_voc_has_the_size_after_turning(tmp_path: Path) -> None:
    write_two(tmp_path, "<size><width>60</width><height>40</height></size>", (40, 60))
    path = tmp_path / "JPEGImages" / "b.jpg"
    save(path, 6, np.zeros((60, 40, 3), np.uint8))

    data = voc(tmp_path)

    assert data.val.images[0].size == (60, 40)


def deep(path: Path, kind: str) -> None:
    pixels = {
        "16 bits": np.full((8, 12), 40_000, np.uint16),
        "32 bits": np.full((8, 12), 70_000, np.int32),
        "float": np.full((8, 12), 0.5, np.float32),
    }[kind]
    Image.fromarray(pixels).save(path, format="TIFF")


@pytest.mark.parametrize("kind", ["16 bits", "32 bits", "float"])
def test_pixels_of_more_than_8_bits_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    root = write_coco(tmp_path)
    deep(root / "train" / "train1.png", kind)

    with pytest.raises(DataError, match=r"train1\.png.*convert it to 8 bits"):
        coco(root)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_other_kinds_of_pixels_are_read(tmp_path: Path, mode: str) -> None:
    root = write_coco(tmp_path)
    ending = "JPEG" if mode in {"CMYK", "YCbCr"} else "PNG"
    Image.fromarray(GRADIENT).convert(mode).save(root / "train" / "train1.png", format=ending)

    picture = coco(root).train.images[1]

    assert (picture.mode, picture.size) == ("RGB", (12, 8))


@pytest.mark.parametrize("content", [b"", b"GIF", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"not a picture"])
def test_a_file_that_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    root = write_coco(tmp_path)
    (root / "val" / "val2.png").write_bytes(content)

    with pytest.raises(DataError, match=r"val2\.png"):
        coco(root)


def test_a_picture_above_pillows_limit_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_coco(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)

    with pytest.raises(DataError, match=r"train0\.png.*smaller"):
        coco(root)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's
def test_a_broken_exif_block_turns_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(GRADIENT).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken")

    (fact,) = headers(FileImages(tmp_path, ("a.jpg",)))
    assert (fact.width, fact.height, fact.turn) == (12, 8, 1)
