"""A folder of one folder a class, with `train/` and `test/` or `val/`: anyone's own images.

Classes are those of both splits together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hsa_bench.core.data.datasets._walk import PassedOver, class_folders, pictures
from hsa_bench.core.data.decode_check import headers
from hsa_bench.core.data.fingerprint import drawn
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.data.manifest import shown
from hsa_bench.core.errors import DataError

SMALL = 96
"""Images up to this side are taken whole; larger ones as on ImageNet, 256 then 224 px."""

MEASURED = 101
"""Pictures of a split that are measured, or all; the median side of training is the data set's."""

NAMED = 10
"""Classes of one split alone that a note names; the others it counts."""


def load(root: Path, name: str) -> Classification:
    """Open `root/train` and `root/test` (or `val`).

    Raises:
        DataError: A folder is missing, a class folder is empty, or one of the pictures measured is broken.
    """
    if not root.is_dir():
        raise DataError(f"{shown(root)}: no such folder; {shown(name)} needs train/ and test/ or val/ in it")
    held_out = next((root / s for s in ("test", "val") if (root / s).is_dir()), None)
    if not (root / "train").is_dir() or held_out is None:
        raise DataError(
            f"{shown(root)}: needs the folders train/ and test/ (or val/), one folder a class in each"
        )
    passed = PassedOver()
    folders = {split: class_folders(root, split, passed) for split in ("train", held_out.name)}
    classes = tuple(sorted({*folders["train"], *folders[held_out.name]}))
    train, test = (_split(root, split, found, classes, passed) for split, found in folders.items())
    side, _ = (_side(images) for images in (train, test))
    small = side <= SMALL
    return Classification(
        name=name,
        train=train,
        test=test,
        image_size=side if small else 224,
        resize=side if small else 256,
        notes=tuple(_notes(root, train, test, passed)),
    )


def _split(
    root: Path, split: str, folders: list[str], classes: tuple[str, ...], passed: PassedOver
) -> ImageSet:
    names: list[str] = []
    labels: list[int] = []
    for folder in folders:
        found = pictures(root, f"{split}/{folder}", passed)
        if not found:
            raise DataError(
                f"{shown(root / split / folder)}: no image in this class folder; fill or remove it"
            )
        names += found
        labels += [classes.index(folder)] * len(found)
    images = FileImages(root, tuple(names))
    said = tuple(map(shown, classes)), tuple(map(shown, names))
    return ImageSet(images, np.array(labels, dtype=np.int64), *said)


def _side(split: ImageSet) -> int:
    """Median of the shorter sides of a fixed draw of pictures, px: one odd picture changes nothing."""
    images = split.images
    assert isinstance(images, FileImages)
    measured = drawn(len(images), MEASURED, MEASURED, "image size")
    found = headers(replace(images, names=tuple(images.names[i] for i in measured)))
    return sorted(min(fact.width, fact.height) for fact in found)[len(found) // 2]


def _notes(root: Path, train: ImageSet, test: ImageSet, passed: PassedOver) -> Iterator[str]:
    if passed.names:
        yield f"{shown(root)}: passed over {passed}"
    for here, other, where in ((train, test, "training"), (test, train, "test")):
        alone = sorted({*here.labels.tolist()} - {*other.labels.tolist()})
        if alone:
            named = ", ".join(here.classes[label] for label in alone[:NAMED])
            more = f" and {len(alone) - NAMED} more" if len(alone) > NAMED else ""
            yield f"{shown(root)}: {named}{more} in {where} pictures alone"
