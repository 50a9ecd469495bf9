"""A folder of one folder a class, with `train/` and `test/` or `val/`: anyone's own images.

Classes are those of both splits together.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.errors import DataError

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"}
SMALL = 96
"""Images up to this side are taken whole; larger ones as on ImageNet, 256 then 224 px."""


def load(root: Path, name: str) -> Classification:
    """Open `root/train` and `root/test` (or `val`).

    Raises:
        DataError: A folder is missing, a class folder is empty, or the first image is broken.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; {name} needs train/ and test/ or val/ in it")
    held_out = next((root / s for s in ("test", "val") if (root / s).is_dir()), None)
    if not (root / "train").is_dir() or held_out is None:
        raise DataError(f"{root}: needs the folders train/ and test/ (or val/), one folder a class in each")
    classes = tuple(sorted({*_classes(root, "train"), *_classes(root, held_out.name)}))
    train, test = (_split(root, split, classes) for split in ("train", held_out.name))
    side = min(train.picture(0).size)
    small = side <= SMALL
    return Classification(
        name=name,
        train=train,
        test=test,
        image_size=side if small else 224,
        resize=side if small else 256,
    )


def _classes(root: Path, split: str) -> set[str]:
    found = {p.name for p in (root / split).iterdir() if p.is_dir()}
    if not found:
        raise DataError(f"{root / split}: no class folders in it")
    return found


def _split(root: Path, split: str, classes: tuple[str, ...]) -> ImageSet:
    names: list[str] = []
    labels: list[int] = []
    for label, folder in enumerate(classes):
        if not (root / split / folder).is_dir():
            continue  # a class of the other split
        found = sorted(
            str(p.relative_to(root))
            for p in (root / split / folder).rglob("*")
            if p.suffix.lower() in EXTENSIONS
        )
        if not found:
            raise DataError(f"{root / split / folder}: no image in this class folder; fill or remove it")
        names += found
        labels += [label] * len(found)
    images = FileImages(root, tuple(names))
    return ImageSet(images, np.array(labels, dtype=np.int64), classes, tuple(names))
