"""Tiny copies of published image sets, in their real archives' layout: a few pictures a class."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

GROUNDS = ((200, 60, 60), (60, 200, 60), (60, 60, 200))
"""Of the three classes that every set has."""


def picture(path: Path, ground: int = 0, size: tuple[int, int] = (40, 30), index: int = 0) -> None:
    """A JPEG of one colour under noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(index).normal(0, 20, (size[1], size[0], 3))
    Image.fromarray((np.array(GROUNDS[ground]) + noise).clip(0, 255).astype(np.uint8)).save(path)


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def food101(root: Path) -> None:
    """food-101.tar.gz: 4 training and 2 test pictures of each class."""
    splits: dict[str, dict[str, list[str]]] = {"train": {}, "test": {}}
    for ground, name in enumerate(("apple_pie", "ramen", "waffles")):
        for i in range(6):
            picture(root / f"food-101/images/{name}/{i}.jpg", ground, index=i)
            splits["train" if i < 4 else "test"].setdefault(name, []).append(f"{name}/{i}")
    for split, listed in splits.items():
        text(root / f"food-101/meta/{split}.json", json.dumps(listed))


def dtd(root: Path) -> None:
    """dtd-r1.0.1.tar.gz, extracted in dtd/: 2 pictures of each class for training, validation and test."""
    names = "banded", "dotted", "woven"
    for part, split in enumerate(("train", "val", "test")):
        lines = [f"{name}/{name}_{part}{i}.jpg" for name in names for i in range(2)]
        for line in lines:
            picture(root / "dtd/dtd/images" / line, names.index(line.partition("/")[0]), index=part)
        text(root / f"dtd/dtd/labels/{split}1.txt", *lines)
        text(root / f"dtd/dtd/labels/{split}2.txt", *reversed(lines))


def aircraft(root: Path) -> None:
    """fgvc-aircraft-2013b.tar.gz: 4 + 2 pictures of each variant, whose names have blanks and slashes."""
    data = root / "fgvc-aircraft-2013b/data"
    names = "A340-200", "DH-82", "F/A-18 Hornet"
    text(data / "variants.txt", *names)
    for split, numbers in (("trainval", range(4)), ("test", range(4, 6))):
        listed = [(f"{100 * ground + i:07}", ground) for ground in range(3) for i in numbers]
        for number, ground in listed:
            picture(data / f"images/{number}.jpg", ground, index=int(number))
        text(data / f"images_variant_{split}.txt", *(f"{number} {names[g]}" for number, g in listed))


def pets(root: Path) -> None:
    """images.tar.gz and annotations.tar.gz in oxford-iiit-pet/; the last breed has one test picture more."""
    base = root / "oxford-iiit-pet"
    names = "Abyssinian", "american_bulldog", "Bengal"
    for split, numbers in (("trainval", range(4)), ("test", range(4, 6))):
        listed = [(name, i) for name in names for i in numbers]
        listed += [("Bengal", 6)] if split == "test" else []
        for name, i in listed:
            picture(base / f"images/{name}_{i}.jpg", names.index(name), index=i)
        text(base / f"annotations/{split}.txt", *(f"{n}_{i} {names.index(n) + 1} 1 1" for n, i in listed))


def flowers102(root: Path) -> None:
    """102flowers.tgz in flowers-102/: classes 1, 2 and 102, 2 + 2 + 2 pictures each."""
    base = root / "flowers-102"
    labels = np.array([1, 2, 102] * 6)
    for index, label in enumerate(labels, start=1):
        picture(base / f"jpg/image_{index:05}.jpg", [1, 2, 102].index(label), index=index)
    savemat(base / "imagelabels.mat", {"labels": labels[None]})
    parts = np.arange(1, 19).reshape(3, 6)
    savemat(base / "setid.mat", {"trnid": parts[0], "valid": parts[1], "tstid": parts[2]})


def cars(root: Path) -> None:
    """cars_train.tgz, cars_test.tgz, car_devkit.tgz and the test labels in stanford_cars/."""
    base = root / "stanford_cars"
    kind = [(name, "O") for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    (base / "devkit").mkdir(parents=True)
    names = np.array(["Acura RL Sedan 2012", "BMW M3 Coupe 2012", "Ram C/V Cargo Van 2012"], dtype=object)
    savemat(base / "devkit/cars_meta.mat", {"class_names": names})
    lists = (("train", 12, "devkit/cars_train_annos.mat"), ("test", 6, "cars_test_annos_withlabels.mat"))
    for split, count, file in lists:
        rows = [(1, 1, 9, 9, i % 3 + 1, f"{i + 1:05}.jpg") for i in range(count)]
        for i, row in enumerate(rows):
            picture(base / f"cars_{split}" / row[-1], i % 3, index=i)
        savemat(base / file, {"annotations": np.array(rows, dtype=kind)})


SETS: dict[str, Callable[[Path], None]] = {
    "food101": food101,
    "dtd": dtd,
    "aircraft": aircraft,
    "pets": pets,
    "flowers102": flowers102,
    "cars": cars,
}


def accept_any_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision knows the hashes of Flowers' real label files; ours are others."""
    from torchvision.datasets import Flowers102

    unhashed = {kind: (file, None) for kind, (file, _) in Flowers102._file_dict.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", unhashed)
