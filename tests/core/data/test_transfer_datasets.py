"""The picture sets of transfer, opened from tiny copies in the layout of the real archives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import Flowers102

from hsa_bench.core import registry
from hsa_bench.core.data.datasets import flowers102
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.errors import DataError
from tests.support.picture_sets import SETS, accept_any_labels, picture, text

FIRST = {
    "food101": "food-101/images/apple_pie/0.jpg",
    "dtd": "dtd/dtd/images/banded/banded_00.jpg",
    "aircraft": "fgvc-aircraft-2013b/data/images/0000000.jpg",
    "pets": "oxford-iiit-pet/images/Abyssinian_0.jpg",
    "flowers102": "flowers-102/jpg/image_00001.jpg",
    "cars": "stanford_cars/cars_train/00001.jpg",
}


@pytest.fixture(autouse=True)
def _labels(monkeypatch: pytest.MonkeyPatch) -> None:
    accept_any_labels(monkeypatch)


def opened(name: str, root: Path) -> Classification:
    open_dataset.cache_clear()
    return open_dataset(name, root)


def told(data: Classification) -> list[str]:
    """The class of each test picture, by name."""
    return [data.classes[label] for label in data.test.labels]


@pytest.mark.parametrize("name", SETS)
def test_a_set_opens_with_its_official_splits(name: str, tmp_path: Path) -> None:
    SETS[name](tmp_path)
    data = opened(name, tmp_path)
    assert data.name == name
    assert (len(data.train), len(data.test)) == (12, 7 if name == "pets" else 6)
    assert np.bincount(data.train.labels).max() == 4
    assert data.train.classes == data.test.classes
    assert data.train.examples[0] == FIRST[name]
    assert not set(data.train.examples) & set(data.test.examples)
    assert (data.image_size, data.resize) == (224, 256)


@pytest.mark.parametrize("name", SETS)
def test_pictures_belong_to_their_labels_and_stay_in_their_files(name: str, tmp_path: Path) -> None:
    SETS[name](tmp_path)
    data = opened(name, tmp_path)
    for split in (data.train, data.test):
        assert isinstance(split.images, FileImages)
        for i, label in enumerate(split.labels):
            colour = np.asarray(split.picture(i)).mean((0, 1))
            assert colour.argmax() == sorted(set(data.train.labels.tolist())).index(label)


@pytest.mark.parametrize("name", SETS)
def test_a_folder_of_the_sets_name_holds_it_as_well(name: str, tmp_path: Path) -> None:
    SETS[name](tmp_path / "here")
    SETS[name](tmp_path / "there" / name)
    here, there = (opened(name, tmp_path / place) for place in ("here", "there"))
    assert here.train.examples == there.train.examples
    assert here.fingerprint() == there.fingerprint()


@pytest.mark.parametrize("name", SETS)
def test_a_missing_set_names_the_folder_and_the_archive_it_wants(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(name, tmp_path)
    message = str(caught.value)
    assert f"{tmp_path}: no folder {FIRST[name].partition('/')[0]}" in message
    assert f"or in {tmp_path / name}" in message
    assert "gz" in message and "see --data" in message


@pytest.mark.parametrize("name", SETS)
def test_a_picture_that_is_listed_but_not_there_is_named(name: str, tmp_path: Path) -> None:
    SETS[name](tmp_path)
    (tmp_path / FIRST[name]).unlink()
    with pytest.raises(DataError, match=FIRST[name]):
        opened(name, tmp_path)


def test_a_later_picture_that_is_missing_is_named_before_work_starts(tmp_path: Path) -> None:
    SETS["pets"](tmp_path)
    lost = tmp_path / "oxford-iiit-pet/images/Bengal_2.jpg"
    lost.unlink()
    data = opened("pets", tmp_path)
    with pytest.raises(DataError, match=str(lost)):
        data.fingerprint()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("food101", "food-101/meta/test.json"),
        ("dtd", "dtd/dtd/labels/val1.txt"),
        ("aircraft", "fgvc-aircraft-2013b/data/images_variant_test.txt"),
        ("pets", "oxford-iiit-pet/annotations/trainval.txt"),
        ("flowers102", "flowers-102/setid.mat"),
        ("cars", "stanford_cars/cars_test_annos_withlabels.mat"),
    ],
)
@pytest.mark.parametrize("damage", ["absent", "empty", "other words"])
def test_a_damaged_list_is_an_error_about_the_data(name: str, file: str, damage: str, tmp_path: Path) -> None:
    SETS[name](tmp_path)
    (tmp_path / file).unlink()
    if damage != "absent":
        (tmp_path / file).write_text("" if damage == "empty" else "something else\n")
    with pytest.raises(DataError) as caught:
        opened(name, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "download" not in str(caught.value)


def test_a_list_names_no_picture_outside_its_folder(tmp_path: Path) -> None:
    root = tmp_path / "data"
    SETS["food101"](root)
    picture(tmp_path / "secret.jpg")
    lists = root / "food-101/meta/test.json"
    listed = json.loads(lists.read_text())
    listed["ramen"][0] = "../../../secret"
    lists.write_text(json.dumps(listed))
    with pytest.raises(DataError, match=r"secret\.jpg: a list of .*data names this picture outside it"):
        opened("food101", root)


@pytest.mark.parametrize("content", ["[1, 2]", '{"ramen": 3}', '{"ramen": [{}]}', "null", '{"ramen": null}'])
def test_a_list_of_another_form_is_an_error_about_the_data(content: str, tmp_path: Path) -> None:
    SETS["food101"](tmp_path)
    (tmp_path / "food-101/meta/test.json").write_text(content)
    with pytest.raises(DataError, match=str(tmp_path)):
        opened("food101", tmp_path)


def test_splits_that_list_unlike_classes_are_refused(tmp_path: Path) -> None:
    SETS["dtd"](tmp_path)
    text(tmp_path / "dtd/dtd/labels/val1.txt", "banded/banded_10.jpg", "dotted/dotted_10.jpg")
    with pytest.raises(DataError, match="the splits of dtd list unlike classes"):
        opened("dtd", tmp_path)


def test_textures_are_those_of_the_first_split_with_validation_in_training(tmp_path: Path) -> None:
    SETS["dtd"](tmp_path)
    data = opened("dtd", tmp_path)
    kinds = [example.rpartition("_")[2] for example in data.train.examples]
    assert kinds == ["00.jpg", "01.jpg"] * 3 + ["10.jpg", "11.jpg"] * 3
    assert data.test.examples[0].endswith("banded_20.jpg")  # the second split lists it last


def test_aircraft_are_told_apart_by_variant(tmp_path: Path) -> None:
    SETS["aircraft"](tmp_path)
    assert told(opened("aircraft", tmp_path)) == ["A340-200"] * 2 + ["DH-82"] * 2 + ["F/A-18 Hornet"] * 2


def test_flowers_have_the_names_that_torchvision_gives_them(tmp_path: Path) -> None:
    SETS["flowers102"](tmp_path)
    assert told(opened("flowers102", tmp_path))[:3] == [
        "pink primrose",
        "hard-leaved pocket orchid",
        "blackberry lily",
    ]
    assert len(set(flowers102.CLASSES)) == 102
    assert getattr(Flowers102, "classes", flowers102.CLASSES) == flowers102.CLASSES


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("food101", "75,750 + 25,250"),
        ("dtd", "3,760 + 1,880"),
        ("aircraft", "6,667 + 3,333"),
        ("pets", "3,680 + 3,669"),
        ("flowers102", "2,040 + 6,149"),
        ("cars", "8,144 + 8,041"),
    ],
)
def test_the_listing_states_the_splits_of_the_literature(name: str, sizes: str) -> None:
    """Kornblith et al. 2019, table 1."""
    assert registry.load("hsa_bench.core.data.datasets", name).DATASET.note.startswith(sizes)
