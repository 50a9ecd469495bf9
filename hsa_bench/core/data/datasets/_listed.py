"""What data sets of picture files that torchvision lists have in common: found, checked, decoded late."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.data.manifest import shown
from hsa_bench.core.errors import DataError


@dataclass(frozen=True)
class Wanted:
    """What must lie below the data root."""

    name: str
    """Of the data set."""
    folder: str
    """What the extracted archive must give, below the data root or a folder of the data set's name in it."""
    archive: str
    """File, and where it is from."""

    def found(self, root: Path) -> Path:
        """`root/<name>` or `root`, whichever holds the folder.

        Raises:
            DataError: Neither does.
        """
        for place in (root / self.name, root):
            if (place / self.folder).is_dir():
                return place
        raise DataError(
            f"{root}: no folder {self.folder} in it or in {root / self.name}; "
            f"{self.name} wants {self.archive}; see --data"
        )

    def __str__(self) -> str:
        return f"{self.folder}, of {self.archive},"


@dataclass(frozen=True)
class Listed:
    """Picture files of one split and their classes, as torchvision lists them."""

    files: Sequence[str | Path]
    """Absolute, or relative to where Python runs."""
    labels: Sequence[int]
    classes: Sequence[str]


def classification(name: str, place: Path, train: Iterable[Listed], test: Listed) -> Classification:
    """A data set of large pictures: 224 px crops of 256 px.

    Args:
        name: Of the data set.
        place: Folder that pictures are named relative to.
        train: Splits that are trained on together.
        test: The held-out split.

    Raises:
        DataError: Splits have unlike classes, or the first picture of one cannot be read.
    """
    train = tuple(train)
    classes = tuple(test.classes)
    if any(tuple(split.classes) != classes for split in train):
        raise DataError(f"{place}: the splits of {name} list unlike classes; extract its archive again")
    files = [file for split in train for file in split.files]
    labels = [label for split in train for label in split.labels]
    both = (_images(place, files, labels, classes), _images(place, test.files, test.labels, classes))
    for images in both:
        images.picture(0)
    return Classification(name, *both, image_size=224, resize=256)


def _images(
    place: Path, files: Sequence[str | Path], labels: Sequence[int], classes: tuple[str, ...]
) -> ImageSet:
    names = tuple(_inside(place, str(file)) for file in files)
    if not names:
        raise DataError(f"{place}: a split lists no picture; extract the archive again")
    return ImageSet(FileImages(place, names), np.array(labels, dtype=np.int64), classes, names)


def _inside(place: Path, file: str) -> str:
    """The name of a listed picture below the data set's folder.

    Raises:
        DataError: The list names one outside.
    """
    name = os.path.relpath(file, place)
    if name.split(os.sep)[0] == "..":
        raise DataError(f"{shown(file)}: a list of {shown(place)} names this picture outside it; not opened")
    return Path(name).as_posix()
