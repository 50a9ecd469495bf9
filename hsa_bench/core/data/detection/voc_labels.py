"""Which classes each picture of PASCAL VOC 2007 shows (Everingham et al. 2010), for classification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from hsa_bench.core.data.detection.listed_files import refuse_unwritable, shortened
from hsa_bench.core.data.detection.voc_file import VocFile, read_voc
from hsa_bench.core.data.detection.voc_folder import CLASSES, annotations_of
from hsa_bench.core.data.detection.voc_pictures import VocPictures
from hsa_bench.core.data.image_set import Classification, ImageSet, Labels, balanced
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.digest import digest
from hsa_bench.core.errors import DataError

YEAR = "VOC2007"

PRESENT, IGNORED, ABSENT = 1, 0, -1
"""An object of the class that is not marked difficult; only difficult ones; none. These are the numbers in
VOC's own `ImageSets/Main/<class>_<list>.txt`."""


@dataclass(frozen=True)
class VocLabels(Classification):
    """VOC 2007, learnt from trainval and tested on test.

    A picture may show several classes, so the one label that its image sets have says nothing.
    """

    train_labels: Labels
    """`PRESENT`, `IGNORED` or `ABSENT`, [N, 20]."""
    test_labels: Labels
    """Alike, [I, 20]."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The twenty, in the order of the labels' columns."""
        return CLASSES

    def fingerprint(self) -> str:
        """Hash over pictures and labels."""
        labels = (np.ascontiguousarray(part).tobytes() for part in (self.train_labels, self.test_labels))
        return digest(super().fingerprint(), *labels)

    def limited(self, limit: int | None) -> VocLabels:
        """A fixed draw of `limit` pictures of each split, for quick looks."""
        if limit is None:
            return self
        train, test = (balanced(images.labels, limit, seed=0) for images in (self.train, self.test))
        return replace(
            self,
            train=self.train.subset(train),
            test=self.test.subset(test),
            train_labels=self.train_labels[train],
            test_labels=self.test_labels[test],
        )


@lru_cache(maxsize=1)
def open_voc_labels(root: Path) -> VocLabels:
    """Open VOC 2007 in a VOCdevkit.

    Args:
        root: A VOCdevkit, or a folder that holds one.

    Raises:
        DataError: Something is missing or not what it should be; the message names it.
    """
    refuse_unwritable(root)
    home = root / "VOCdevkit" if (root / "VOCdevkit").is_dir() else root
    folder = home / YEAR
    for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
        if not (folder / part).is_dir():
            raise DataError(
                f"{folder / part}: no such folder; VOC 2007 (trainval and test) belongs in {folder}, or give "
                "the VOCdevkit that holds it as root"
            )
    pictures = VocPictures(folder, home)
    train, train_labels = _split(home, "trainval", pictures)
    test, test_labels = _split(home, "test", pictures)
    return VocLabels(root.name, train, test, 224, 256, train_labels, test_labels)


def labels_of(file: VocFile, path: Path) -> list[int]:
    """What one annotation file says of each class, [20].

    Raises:
        DataError: An object of a class that VOC does not have.
    """
    found = dict.fromkeys(CLASSES, ABSENT)
    for one in file.objects:
        if one.name not in found:
            raise DataError(
                f"{path}: an object is a {shortened(one.name)!r}, which is none of VOC's 20 classes"
            )
        found[one.name] = max(found[one.name], IGNORED if one.difficult else PRESENT)
    return list(found.values())


def _split(home: Path, name: str, pictures: VocPictures) -> tuple[ImageSet, Labels]:
    path = home / YEAR / "ImageSets" / "Main" / f"{name}.txt"
    files = {one: read_voc(one) for one in annotations_of(home, path)}
    labels = np.array([labels_of(file, one) for one, file in files.items()], np.int64)
    found = [pictures.picture(one.stem, f"{name} lists it", file.file_name) for one, file in files.items()]
    return _images(home, [picture.relative_to(home).as_posix() for picture in found]), labels


def _images(home: Path, names: Sequence[str]) -> ImageSet:
    nothing = np.zeros(len(names), np.int64)
    return ImageSet(FileImages(home, tuple(names)), nothing, ("any of VOC's",), tuple(names))
