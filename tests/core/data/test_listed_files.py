"""Pictures that annotations and lists name: none outside its folder is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hsa_bench.core.errors import DataError
from tests.support.coco_layout import opened_coco, write_coco
from tests.support.voc_layout import opened_voc, write_voc

VOC = (("VOC2007/trainval",), "VOC2007/test")


def naming(name: str) -> Callable[[str, dict[str, Any]], None]:
    def change(split: str, said: dict[str, Any]) -> None:
        said["images"][0]["file_name"] = name

    return change


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.png"
    Image.new("RGB", (12, 8), (1, 2, 3)).save(path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../../secret.png",
        "../train/../../secret.png",
        "sub/../../../secret.png",
        "..\\..\\secret.png",
        "ABSOLUTE",
        "C:\\secret.png",
        "\\\\server\\secret.png",
        "",
        ".",
        "a\0b.png",
    ],
)
def test_a_name_that_leads_out_of_the_pictures_folder_is_refused(
    tmp_path: Path, secret: Path, name: str
) -> None:
    root = write_coco(tmp_path / "coco", naming(str(secret) if name == "ABSOLUTE" else name))

    with pytest.raises(DataError, match=r"instances_train\.json lists it as image 10"):
        opened_coco(root)


def test_a_picture_of_the_other_split_is_not_one_of_this_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leads out of its folder by '\.\.'"):
        opened_coco(write_coco(tmp_path, naming("../val/val0.png")))


def test_a_picture_in_a_folder_below_is_found(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    for split in ("train", "val"):
        (root / split / "a").mkdir()
        os.rename(root / split / f"{split}0.png", root / split / "a" / "0.png")
    write_again = tmp_path / "again"
    write_coco(write_again, naming("a/0.png"))
    for split in ("train", "val"):
        (write_again / split / "a").mkdir()
        os.rename(write_again / split / f"{split}0.png", write_again / split / "a" / "0.png")

    assert opened_coco(write_again).val.images.names[0] == "a/0.png"


def test_a_link_out_of_the_pictures_folder_is_refused_and_one_within_the_data_followed(
    tmp_path: Path, secret: Path
) -> None:
    root = write_coco(tmp_path / "coco")
    picture = root / "train" / "train0.png"
    (root / "store").mkdir()
    os.rename(picture, root / "store" / "0.png")
    picture.symlink_to("../store/0.png")
    assert len(opened_coco(root).train) == 3

    picture.unlink()
    picture.symlink_to(secret)
    with pytest.raises(
        DataError, match=rf"train0\.png: leads to .*{secret.name}, outside .*; copy the picture"
    ):
        opened_coco(root)


def test_a_folder_that_is_a_link_inside_the_pictures_folder_is_not_followed_out(
    tmp_path: Path, secret: Path
) -> None:
    root = write_coco(tmp_path / "coco", naming("sub/secret.png"))
    (root / "train" / "sub").symlink_to(secret.parent)

    with pytest.raises(DataError, match=r"secret\.png: leads to .*, outside"):
        opened_coco(root)


def test_root_and_folders_of_the_layout_may_be_links(tmp_path: Path) -> None:
    store = write_coco(tmp_path / "store" / "coco")
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "whole").symlink_to(store)
    (lab / "parts").mkdir()
    for part in ("train", "val", "annotations"):
        (lab / "parts" / part).symlink_to(store / part)

    expected = opened_coco(store).fingerprint()

    assert opened_coco(lab / "whole").fingerprint() == expected
    assert opened_coco(lab / "parts").fingerprint() == expected


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling"])
def test_what_is_not_a_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    root = write_coco(tmp_path)
    picture = root / "val" / "val1.png"
    picture.unlink()
    if kind == "folder":
        picture.mkdir()
    elif kind == "pipe":
        os.mkfifo(picture)
    else:
        picture.symlink_to("gone.png")

    message = {"folder": "is a folder", "pipe": "is not a regular file", "dangling": "no such picture"}[kind]
    with pytest.raises(DataError, match=rf"val1\.png: {message}.*instances_val\.json"):
        opened_coco(root)


def write_birds(root: Path) -> Path:
    write_voc(root, "train", {"a": [("wren", (1, 1, 9, 9), False)]})
    write_voc(root, "val", {"b": [("wren", (1, 1, 9, 9), False)]})
    return root


@pytest.mark.parametrize(
    "line", ["../../x", "../Annotations/a", "/etc/passwd", "sub/a", "sub\\a", "..", "a\0"]
)
def test_a_lists_line_that_is_no_id_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    root = write_birds(tmp_path)
    (root / "ImageSets" / "Main" / "train.txt").write_text(f"a\n{line}\n")

    with pytest.raises(DataError, match=r"train\.txt, line 2: "):
        opened_voc(root, "train", "val")


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "VOC2007/trainvall", "VOC2008/trainval", "./train", "trian"]
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_list_is_one_of_the_folder_or_refused_with_those_there(
    tmp_path: Path, name: str, split: str
) -> None:
    root = write_birds(tmp_path)
    with pytest.raises(DataError, match=rf"the list '{name}', to {split} with: .*Main has train, val"):
        opened_voc(root, **{"train": "train", "test": "val", split: name})

    devkit = tmp_path / "VOCdevkit"
    write_birds(devkit / "VOC2007")
    wanted = {"train": "VOC2007/train", "test": "VOC2007/val", split: name}
    with pytest.raises(DataError):
        opened_voc(devkit, wanted["train"], wanted["test"])


def test_lists_of_a_devkit_stand_for_those_of_ones_own_folder(tmp_path: Path) -> None:
    root = write_birds(tmp_path)

    own = opened_voc(root, "train", "val")
    assert opened_voc(root, "VOC2012/trainval", "VOC2007/test").fingerprint() == own.fingerprint()


def test_pictures_and_annotations_of_voc_are_not_links_to_elsewhere(tmp_path: Path, secret: Path) -> None:
    root = write_birds(tmp_path / "birds")
    for name, beside in (("JPEGImages/a.jpg", secret), ("Annotations/a.xml", tmp_path / "birds.xml")):
        write_birds(root)
        (root / name).rename(beside)
        (root / name).symlink_to(beside)
        with pytest.raises(DataError, match=rf"{name}: leads to .*, outside"):
            opened_voc(root, "train", "val")
        (root / name).unlink()
