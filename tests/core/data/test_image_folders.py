"""Which files of an image folder are pictures: torchvision's less hidden names; the rest is counted."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from eval_tasks import knn
from hsa_bench.core.context import Context
from hsa_bench.core.data.datasets import _imagefolder
from hsa_bench.core.data.datasets._walk import EXTENSIONS
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.errors import DataError, UsageError
from hsa_bench.core.runs.task import ClassificationTask
from pretrain.task import Pretrain


def picture(path: Path, width: int = 40, height: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if path.suffix.lower() not in Image.registered_extensions() else None
    Image.fromarray(np.full((height, width, 3), len(path.name), dtype=np.uint8)).save(path, kind)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for label in ("ant", "bee"):
            for i in range(3):
                picture(tmp_path / "insects" / split / label / f"{i}.png")
    return tmp_path / "insects"


def opened(folder: Path) -> Classification:
    open_dataset.cache_clear()
    return open_dataset(f"imagefolder:{folder}", Path())


def torchvisions(folder: Path, split: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Classes, and each picture with its class, as torchvision lists them."""
    found = ImageFolder(str(folder / split))
    return found.classes, [
        (os.path.relpath(name, folder), found.classes[label]) for name, label in found.samples
    ]


def ours(data: Classification, split: str) -> tuple[list[str], list[tuple[str, str]]]:
    images = data.train if split == "train" else data.test
    named = [data.classes[label] for label in images.labels]
    return sorted(set(named)), list(zip(images.examples, named, strict=True))


def test_whatever_torchvision_takes_is_taken(folder: Path) -> None:
    ant = folder / "train" / "ant"
    for i, ending in enumerate((*EXTENSIONS, ".JPG", ".Png", ".TIFF")):
        picture(ant / f"kind{i}{ending}")
    picture(ant / "deep" / "deeper" / "a.png")
    picture(ant / "looks.png" / "b.jpg")  # a folder with a picture's name
    picture(ant / "two dots..png")
    picture(folder.parent / "elsewhere" / "c.png")
    (ant / "linked").symlink_to(folder.parent / "elsewhere")
    (ant / "file.png").symlink_to(folder.parent / "elsewhere" / "c.png")
    (folder / "train" / "cat").symlink_to(folder.parent / "elsewhere")
    (ant / "notes.txt").write_text("no picture")
    (ant / "a.gif").write_bytes(b"GIF89a")
    (folder / "train" / "README.md").write_text("no class")
    data = opened(folder)
    for split in ("train", "val"):
        classes, pictures = torchvisions(folder, split)
        assert ours(data, split)[0] == classes
        assert sorted(ours(data, split)[1]) == sorted(pictures)
    (said, alone) = data.notes
    assert "1 of no picture's kind, .gif (train/ant/a.gif)" in said
    assert "1 of no picture's kind, .txt (train/ant/notes.txt)" in said
    assert "1 beside the class folders (train/README.md)" in said
    assert alone == f"{folder}: cat in training pictures alone"


def test_the_endings_are_torchvisions() -> None:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    assert set(EXTENSIONS) == set(IMG_EXTENSIONS)


@pytest.mark.parametrize(
    "name", [".ipynb_checkpoints", "__MACOSX", "@eaDir", "lost+found", ".git", "$RECYCLE.BIN", "#recycle"]
)
def test_hidden_folders_are_no_classes_and_their_files_no_pictures(folder: Path, name: str) -> None:
    before = opened(folder)
    assert before.notes == ()
    picture(folder / "train" / name / "0-checkpoint.png")
    picture(folder / "train" / "ant" / name / "0-checkpoint.png")
    (folder / "val" / name).mkdir()
    data = opened(folder)
    assert data.classes == before.classes
    assert data.train.examples == before.train.examples
    assert data.fingerprint() == before.fingerprint()
    (said,) = data.notes
    names = ", ".join(sorted(f"{place}/{name}" for place in ("train", "train/ant", "val")))
    assert f"passed over 3 hidden or left by a system ({names})" in said


@pytest.mark.parametrize("name", ["._0.jpg", ".DS_Store", "Thumbs.db", ".hidden.png", "desktop.ini"])
def test_hidden_files_are_no_pictures(folder: Path, name: str) -> None:
    (folder / "train" / "ant" / name).write_bytes(b"\0\5\x16\7")
    data = opened(folder)
    assert len(data.train) == 6
    assert f"1 hidden or left by a system (train/ant/{name})" in data.notes[0]


def test_a_class_of_hidden_files_alone_is_refused(folder: Path) -> None:
    (folder / "train" / "cat").mkdir()
    (folder / "train" / "cat" / "._a.png").write_bytes(b"")
    with pytest.raises(DataError, match="cat: no image in this class folder"):
        opened(folder)


def test_pipes_and_sockets_are_passed_over_and_nothing_waits_for_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "train" / "ant" / "f.png")
    monkeypatch.chdir(folder / "train" / "bee")  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s.png")
        data = opened(folder)
    assert len(data.train) == 6
    data.fingerprint()
    assert "2 neither file nor folder (train/ant/f.png, train/bee/s.png)" in data.notes[0]


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "train" / "ant" / "up").symlink_to("..")
    (folder / "train" / "ant" / "self").symlink_to(".")
    (folder / "train" / "all").symlink_to("..")
    data = opened(folder)
    assert data.classes == ("ant", "bee")
    assert len(data.train) == 6
    assert "3 a link to a folder around it (train/all, train/ant/self, train/ant/up)" in data.notes[0]


@pytest.mark.parametrize("target", ["nowhere.png", "x.png"])
def test_a_picture_that_is_a_link_to_nothing_is_named(folder: Path, target: str) -> None:
    (folder / "train" / "ant" / "x.png").symlink_to(target)
    with pytest.raises(DataError, match=r"train/ant/x\.png: is a link that leads to no file"):
        opened(folder)


def test_names_in_latin_1_are_read(folder: Path) -> None:
    label = folder / "train" / os.fsdecode(b"caf\xe9")
    picture(label / os.fsdecode(b"\xfc.png"))
    data = opened(folder)
    assert data.classes == ("ant", "bee", "caf\\xe9")
    assert data.train.examples[-1] == "train/caf\\xe9/\\xfc.png"
    assert data.train.picture(6).size == (40, 40)
    data.fingerprint().encode()
    "".join((*data.train.examples, *data.classes, *data.notes)).encode()


def test_a_path_that_is_not_utf_8_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"caf\\xe9: .*not UTF-8.*link"):
        open_dataset(f"imagefolder:{folder.parent}/{os.fsdecode(bytes([99, 97, 102, 0xE9]))}", Path())


@pytest.mark.parametrize(("odd", "size"), [((24, 60), (40, 40)), ((500, 500), (40, 40))])
def test_one_odd_picture_does_not_set_the_size(
    folder: Path, odd: tuple[int, int], size: tuple[int, int]
) -> None:
    picture(folder / "train" / "ant" / "0.png", *odd)
    data = opened(folder)
    assert (data.image_size, data.resize) == size


def test_the_size_is_the_median_of_a_fixed_draw(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_imagefolder, "MEASURED", 3)
    for label in ("ant", "bee"):
        for i in range(3):
            picture(folder / "train" / label / f"{i}.png", width=200, height=150)
    assert (opened(folder).image_size, opened(folder).resize) == (224, 256)


def test_deep_pictures_are_refused_in_the_plan(folder: Path) -> None:
    for split in ("train", "val"):
        Image.fromarray(np.zeros((40, 40), np.uint16)).save(folder / split / "bee" / "1.png")
        with pytest.raises(DataError, match=rf"{split}/bee/1\.png: its pixels are .*convert it to 8 bits"):
            opened(folder)
        picture(folder / split / "bee" / "1.png")


def test_one_class_is_enough_to_pretrain_and_not_to_be_told_apart(folder: Path, ctx: Context) -> None:
    for path in (folder / "train" / "bee").iterdir():
        path.rename(folder / "train" / "ant" / f"of bee {path.name}")
    (folder / "train" / "bee").rmdir()
    task: ClassificationTask = knn.TASKS[0]
    open_dataset.cache_clear()
    with pytest.raises(DataError, match=r"one class \(ant\), so nothing can be told apart"):
        task.data(f"imagefolder:{folder}", ctx)
    data = Pretrain().data(f"imagefolder:{folder}", ctx)
    assert data.notes == (f"{folder}: bee in test pictures alone",)
