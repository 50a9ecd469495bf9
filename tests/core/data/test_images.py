import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

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


def test_only_squares_of_one_size_have_a_side() -> None:
    assert ArrayImages(np.zeros((2, 8, 8, 3), np.uint8)).side == 8
    assert ArrayImages(np.zeros((2, 8, 9, 3), np.uint8)).side == 0
    assert FileImages(Path(), ("a.jpg",)).side == 0


def test_images_survive_pickling(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(file(photograph(), "JPEG"))
    images = pickle.loads(pickle.dumps(FileImages(tmp_path, ("a.jpg",))))
    assert images[0].size == (61, 47)
