"""A folder of one folder a class, with `train/` and `test/` or `val/`: anyone's own images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsa_bench.core.data import Classification, ImageSet
from hsa_bench.core.data_error import DataError
from hsa_bench.core.images import FileImages

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"}
SMALL = 96
"""Images up to this side are taken whole; larger ones as on ImageNet, 256 then 224 px."""


def load(root: Path, name: str) -> Classification:
    """Open `root/train` and `root/test` (or `val`).

    Raises:
        DataError: A folder is missing, a class is empty or in one split only, or the first image is broken.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; {name} needs train/ and test/ or val/ in it")
    held_out = next((root / s for s in ("test", "val") if (root / s).is_dir()), None)
    if not (root / "train").is_dir() or held_out is None:
        raise DataError(f"{root}: needs the folders train/ and test/ (or val/), one folder a class in each")
    train, test = _split(root, "train"), _split(root, held_out.name)
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise DataError(f"{root}: class folders differ between train/ and {held_out.name}/: {odd[:5]}")
    side = min(train.picture(0).size)
    small = side <= SMALL
    return Classification(
        name=name,
        train=train,
        test=test,
        image_size=side if small else 224,
        resize=side if small else 256,
    )


def _split(root: Path, split: str) -> ImageSet:
    classes = tuple(sorted(p.name for p in (root / split).iterdir() if p.is_dir()))
    names: list[str] = []
    labels: list[int] = []
    for label, folder in enumerate(classes):
        found = sorted(
            str(p.relative_to(root))
            for p in (root / split / folder).rglob("*")
            if p.suffix.lower() in EXTENSIONS
        )
        if not found:
            raise DataError(f"{root / split / folder}: no image in this class folder; fill or remove it")
        names += found
        labels += [label] * len(found)
    if not names:
        raise DataError(f"{root / split}: no class folders in it")
    images = FileImages(root, tuple(names))
    return ImageSet(images, np.array(labels, dtype=np.int64), classes, tuple(names))
