from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsa_bench.core.data.datasets import digits
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.errors import DataError


def picture(path: Path, side: int = 40, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), value, dtype=np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, count in (("train", 3), ("val", 2)):
        for label in ("cat", "dog"):
            for i in range(count):
                picture(tmp_path / "birds" / split / label / f"{i}.png", value=10 * i + len(label))
    return tmp_path / "birds"


def test_digits_are_the_same_pictures_every_time() -> None:
    first, again = digits.paint(np.eye(8) * 16, 5), digits.paint(np.eye(8) * 16, 5)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, digits.paint(np.eye(8) * 16, 6))


def test_digits_have_fixed_splits_with_all_classes_in_both(tmp_path: Path) -> None:
    data = open_dataset("digits", tmp_path)
    assert (len(data.train), len(data.test)) == (1297, 500)
    assert set(data.train.labels) == set(data.test.labels) == set(range(10))
    assert not set(data.train.examples) & set(data.test.examples)
    assert data.train.picture(0).size == (32, 32)


def test_held_out_digits_are_training_digits_alone(tmp_path: Path) -> None:
    whole, data = open_dataset("digits", tmp_path), open_dataset("digits-held-out", tmp_path)
    assert (len(data.train), len(data.test)) == (1000, 297)
    assert set(data.train.labels) == set(data.test.labels) == set(range(10))
    assert (*data.train.examples, *data.test.examples) == whole.train.examples
    assert not {*data.train.examples, *data.test.examples} & set(whole.test.examples)
    assert np.array_equal(data.test.picture(0), whole.train.picture(1000))


def test_digits_are_nearly_of_one_size_and_hardly_turned() -> None:
    """Else untrained networks group by size and turn: docs/results/demo-trials.md."""
    ink = np.zeros((8, 8))
    ink[1:7, 1:7] = 16.0
    sides = []
    for index in range(60):
        grey = digits.paint(ink, index).astype(np.float64).mean(2)
        marked = grey > (grey.min() + grey.max()) / 2
        sides += [np.ptp(np.flatnonzero(marked.any(axis))) + 1 for axis in (0, 1)]
    assert min(sides) > 16
    assert max(sides) < 26


def test_an_image_folder_opens_with_test_or_val(folder: Path) -> None:
    data = open_dataset(f"imagefolder:{folder}", Path())
    assert data.classes == ("cat", "dog")
    assert data.test.examples == ("val/cat/0.png", "val/cat/1.png", "val/dog/0.png", "val/dog/1.png")
    assert (data.image_size, data.resize) == (40, 40)


def test_large_pictures_are_seen_as_on_imagenet(folder: Path) -> None:
    for path in folder.glob("train/*/*.png"):
        picture(path, side=200)
    data = open_dataset(f"imagefolder:{folder}", Path("other root"))
    assert (data.image_size, data.resize) == (224, 256)


def test_imagenet_opens_below_the_data_root(folder: Path) -> None:
    folder.rename(folder.parent / "imagenet")
    data = open_dataset("imagenet", folder.parent)
    assert (data.name, data.image_size, len(data.train)) == ("imagenet", 224, 6)


def test_the_fingerprint_follows_the_pixels_not_the_place(folder: Path, tmp_path: Path) -> None:
    first = open_dataset(f"imagefolder:{folder}", Path()).fingerprint()
    moved = folder.rename(tmp_path / "moved")
    assert open_dataset(f"imagefolder:{moved}", Path()).fingerprint() == first
    picture(moved / "train" / "cat" / "0.png", value=200)
    open_dataset.cache_clear()
    assert open_dataset(f"imagefolder:{moved}", Path()).fingerprint() != first


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no train", "needs the folders train/"),
        ("no test", r"needs the folders train/ and test/ \(or val/\)"),
        ("empty class", "emu: no image in this class folder"),
    ],
)
def test_a_wrong_folder_is_an_error_that_names_it(folder: Path, damage: str, message: str) -> None:
    if damage == "no train":
        (folder / "train").rename(folder / "training")
    if damage == "no test":
        (folder / "val").rename(folder / "validation")
    if damage == "empty class":
        (folder / "train" / "emu").mkdir()
    with pytest.raises(DataError, match=message):
        open_dataset(f"imagefolder:{folder}", Path(damage))


def test_classes_are_those_of_both_splits(folder: Path) -> None:
    picture(folder / "train" / "ant" / "0.png")
    picture(folder / "val" / "emu" / "0.png")
    data = open_dataset(f"imagefolder:{folder}", Path("union"))
    assert data.train.classes == data.test.classes == ("ant", "cat", "dog", "emu")
    assert data.train.classes[data.train.labels[0]] == "ant"
    assert data.test.classes[data.test.labels[-1]] == "emu"


def test_an_unreadable_image_is_named(folder: Path) -> None:
    bad = folder / "train" / "dog" / "1.png"
    bad.write_bytes(b"not a picture")
    with pytest.raises(DataError, match=rf"{bad}: cannot be read as an image"):
        open_dataset(f"imagefolder:{folder}", Path("unreadable"))


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10", "imagenet"])
def test_a_missing_data_set_says_where_it_was_looked_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        open_dataset(name, tmp_path)


def test_an_unknown_data_set_suggests_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean digits"):
        open_dataset("digit", tmp_path)
