"""Pictures held in memory: the same pixels, read and decoded once, within a bound."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsa_bench.core.data.held_images import HeldImages, held
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages, FileImages
from hsa_bench.core.errors import BrokenPicture

SIZES = [(20, 30), (31, 17), (8, 8), (25, 25), (12, 40)]
"""Width and height, px."""


@dataclass(frozen=True)
class Counted:
    """Pictures in files that count how often they are asked for."""

    files: FileImages
    asked: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Image.Image:
        self.asked.append(index)
        return self.files[index]

    def digest(self) -> str:
        return self.files.digest()

    @property
    def side(self) -> int:
        return 0


@pytest.fixture
def files(tmp_path: Path) -> ImageSet:
    rng = np.random.default_rng(0)
    names = [f"{i}.{'jpg' if i % 2 else 'png'}" for i in range(len(SIZES))]
    for name, (width, height) in zip(names, SIZES, strict=True):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / name)
    counted = Counted(FileImages(tmp_path, tuple(names)))
    return ImageSet(counted, np.arange(5) % 2, ("a", "b"), tuple(names))


def asked(images: ImageSet) -> list[int]:
    """Which pictures were read, in order."""
    source = images.images.images if isinstance(images.images, HeldImages) else images.images
    assert isinstance(source, Counted)
    return source.asked


def same(one: ImageSet, other: ImageSet) -> bool:
    return all(
        np.array_equal(np.asarray(one.picture(i)), np.asarray(other.picture(i))) for i in range(len(one))
    )


@pytest.mark.parametrize("workers", [0, 3])
def test_held_pictures_are_the_same_pixels_and_are_read_once(files: ImageSet, workers: int) -> None:
    kept = held(files, [3, 0, 4], workers)
    assert sorted(asked(kept)) == [0, 3, 4]
    plain = replace(files, images=files.images.files)  # type: ignore[attr-defined]
    for _ in range(3):
        part = kept.subset([4, 3, 4])
        assert part.examples == ("4.png", "3.jpg", "4.png")
        assert same(part, plain.subset([4, 3, 4]))
    assert sorted(asked(kept)) == [0, 3, 4]
    assert same(kept, plain)
    assert sorted(asked(kept)) == [0, 1, 2, 3, 4]  # the others as they are asked for


def test_rows_are_those_of_the_set_and_not_of_all_pictures(files: ImageSet) -> None:
    part = files.subset([4, 2, 1])
    kept = held(part, [0, 2])
    assert sorted(asked(kept)) == [1, 4]
    assert same(kept, part)


def test_what_identifies_the_pictures_stays(files: ImageSet) -> None:
    part = files.subset([3, 0, 4])
    kept = held(part, [0, 1])
    assert kept.fingerprint() == part.fingerprint()
    assert (kept.images.side, len(kept.images), len(kept)) == (0, 5, 3)


def test_pictures_beyond_the_bound_are_read_when_asked_for(files: ImageSet) -> None:
    first_two = sum(width * height * 3 for width, height in SIZES[:2])
    kept = held(files, range(5), most=first_two)
    assert isinstance(kept.images, HeldImages)
    assert sorted(kept.images.places) == [0, 1]
    assert kept.images.pixels.numel() == first_two
    before = len(asked(kept))
    assert same(kept, files)
    assert asked(kept)[before:].count(2) == 2  # of both sets
    assert asked(kept)[before:].count(0) == 1  # of the other alone
    assert same(held(files, range(5), most=0), files)


def test_a_picture_that_is_wanted_twice_is_held_once(files: ImageSet) -> None:
    kept = held(files.subset([2, 2, 2]), [0, 1])
    assert asked(kept) == [2]
    assert same(kept, files.subset([2, 2, 2]))


def test_what_is_in_memory_is_left_alone(files: ImageSet) -> None:
    kept = held(files, range(5))
    assert held(kept, range(5)) is kept
    pixels = ImageSet(
        ArrayImages(np.zeros((2, 4, 4, 3), np.uint8)), np.zeros(2, np.int64), ("a",), ("0", "1")
    )
    assert held(pixels, [0]) is pixels


def test_they_survive_pickling(files: ImageSet) -> None:
    kept = held(files, range(5))
    again = pickle.loads(pickle.dumps(kept))
    assert same(again, kept)


def test_a_broken_picture_is_named(files: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "3.jpg").write_bytes(b"nothing")
    assert len(held(files, [0, 4])) == 5
    with pytest.raises(BrokenPicture, match=r"3\.jpg.*replace or remove it"):
        held(files, [3])
