import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from hsa_bench.core.data.decode_check import headers
from hsa_bench.core.data.images import ArrayImages, FileImages, decoded
from hsa_bench.core.errors import DataError


def photograph(width: int = 61, height: int = 47) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def file(picture: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


TURNED = Image.Exif()
TURNED[274] = 6  # "rotate it", which no reference does
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGB", "JPEG", {"quality": 90}),
        ("RGB", "JPEG", {"quality": 20, "subsampling": "4:2:0"}),
        ("RGB", "JPEG", {"subsampling": "4:4:4", "progressive": True}),
        ("RGB", "JPEG", {"subsampling": "4:2:2", "icc_profile": SRGB}),
        ("RGB", "JPEG", {"exif": TURNED}),
        ("L", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("RGB", "PNG", {}),
        ("P", "PNG", {}),
        ("RGBA", "PNG", {}),
    ],
)
def test_pixels_are_pillows(mode: str, kind: str, options: dict[str, object]) -> None:
    content = file(photograph().convert(mode), kind, **options)
    with Image.open(io.BytesIO(content)) as picture:
        expected = np.asarray(picture.convert("RGB"))
    found = decoded(content)
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), expected)


def test_a_jpeg_with_something_behind_its_end_is_read(tmp_path: Path) -> None:
    content = file(photograph(), "JPEG")
    assert np.array_equal(np.asarray(decoded(content + b"\0" * 64)), np.asarray(decoded(content)))


@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_a_broken_file_is_named(tmp_path: Path, damage: str) -> None:
    content = file(photograph(), "JPEG")
    broken = {"half": content[: len(content) // 2], "empty": b"", "text": b"not found"}[damage]
    (tmp_path / "a.jpg").write_bytes(broken)
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image"):
        FileImages(tmp_path, ("a.jpg",))[0]


RAMP = np.linspace(0, 65535, 64).reshape(8, 8)

DEEP = {
    "a.png": RAMP.astype(np.uint16),
    "a.tif": RAMP.astype(np.uint16),
    "big.tif": RAMP.astype(">u2"),
    "twelve.png": (RAMP / 16).astype(np.uint16),
    "a.pgm": RAMP.astype(np.uint16),
    "whole.tif": RAMP.astype(np.int32),
    "unit.tif": (RAMP / 65535).astype(np.float32),
    "bytes.tif": (RAMP / 257).astype(np.float32),
}
"""Grey of more than 8 bits; Pillow's conversion to RGB cuts it off at 255."""


@pytest.mark.parametrize("name", DEEP)
def test_grey_of_more_than_8_bits_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    Image.fromarray(DEEP[name]).save(tmp_path / name)
    images = FileImages(tmp_path, (name,))
    with pytest.raises(DataError, match=rf"{name}: its pixels are .*convert it to 8 bits"):
        images[0]
    with pytest.raises(DataError, match=rf"{name}: its pixels are .*convert it to 8 bits"):
        headers(images)


def png_of_16_bits(colour: int, channels: int) -> tuple[bytes, NDArray[np.uint16]]:
    """A PNG by its specification, as Pillow writes none, and its numbers, [8, 8, channels]."""
    pixels = np.linspace(0, 65535, 64 * channels).astype(np.uint16).reshape(8, 8, channels)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""), pixels


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_colours_of_16_bits_open_as_their_upper_8(colour: int, channels: int) -> None:
    content, pixels = png_of_16_bits(colour, channels)
    assert np.array_equal(np.asarray(decoded(content)), (pixels >> 8)[:, :, :3])


def test_a_picture_above_pillows_limit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (50, 50)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    images = FileImages(tmp_path, ("a.png",))
    for read in (lambda: images[0], lambda: headers(images)):
        with pytest.raises(DataError, match=r"a\.png: is larger than Pillow opens"):
            read()


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to nothing", "link to itself"])
def test_only_regular_files_are_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("a.png" if kind == "link to itself" else "nowhere.png")
    images = FileImages(tmp_path, ("a.png",))
    for read in (lambda: images[0], images.digest, lambda: headers(images)):
        with pytest.raises(DataError, match=r"a\.png: (is no regular file|cannot be)"):
            read()


def test_names_that_are_not_utf8_are_read_and_shown(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(b"no picture")
    images = FileImages(tmp_path, (name,))
    assert len(images.digest()) == 64
    with pytest.raises(DataError, match=r"caf\\xe9\.png: cannot be read as an image"):
        images[0]


def test_only_squares_of_one_size_have_a_side() -> None:
    assert ArrayImages(np.zeros((2, 8, 8, 3), np.uint8)).side == 8
    assert ArrayImages(np.zeros((2, 8, 9, 3), np.uint8)).side == 0
    assert FileImages(Path(), ("a.jpg",)).side == 0


def test_images_survive_pickling(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(file(photograph(), "JPEG"))
    images = pickle.loads(pickle.dumps(FileImages(tmp_path, ("a.jpg",))))
    assert images[0].size == (61, 47)
