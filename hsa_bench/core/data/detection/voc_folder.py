"""Pictures with boxes in PASCAL VOC's folder layout (Everingham et al. 2010).

A folder holds `Annotations/`, `ImageSets/Main/` and `JPEGImages/`; a VOCdevkit holds several such folders.
Boxes are counted from 1 with the last pixel included; as in Detectron2 they become xmin - 1, ymin - 1, xmax,
ymax. Difficult objects are learnt and not asked for in the test. What is refused and what is left out is as
for COCO (`detection_data.py`); a class that is not asked for is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import Image

from hsa_bench.core.data.detection.coco_file import Category, Instance, Photo
from hsa_bench.core.data.detection.detection_data import DetectionData, DetectionSplit, usable
from hsa_bench.core.data.detection.voc_file import VocFile, read_voc
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.errors import DataError

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

Classes = Literal["voc", "auto"] | tuple[str, ...]

PLAIN = {"train": ("trainval", "train"), "test": ("test", "val")}
"""Lists of a folder of one's own, the first that there is."""


@lru_cache(maxsize=1)
def open_voc(root: Path, train: tuple[str, ...], test: str, classes: Classes = "voc") -> DetectionData:
    """Open a VOCdevkit, or any folder in VOC's layout.

    Args:
        root: A VOCdevkit, a folder that holds one, or a folder with `Annotations/` of its own.
        train: Lists of a VOCdevkit to learn from, as `VOC2007/trainval`, or of a folder of one's own, as
            `train`; there, VOCdevkit's names stand for `trainval` or `train`.
        test: The list to be tested on, alike.
        classes: "voc" for the twenty, "auto" for those in the annotations, or names.

    Raises:
        DataError: Something is missing or not what it should be; the message names it.
    """
    home = root / "VOCdevkit" if (root / "VOCdevkit").is_dir() else root
    if (home / "Annotations").is_dir():
        lists = {"train": _own_lists(home, "train", train), "test": _own_lists(home, "test", (test,))}
    else:
        lists = {"train": [_list(home, name) for name in train], "test": [_list(home, test)]}
    files = {split: _read(paths) for split, paths in lists.items()}
    names = _classes(classes, [one for split in files.values() for one in split.values()])
    splits = {split: _split(home, lists[split][0], found, names) for split, found in files.items()}
    return DetectionData(name=root.name, train=splits["train"], val=splits["test"])


def image_list(folder: Path, name: str) -> list[str]:
    """Ids of the images in a list, sorted, each once.

    Raises:
        DataError: No such list, or an empty one.
    """
    path = folder / "ImageSets" / "Main" / f"{name}.txt"
    if not path.is_file():
        raise DataError(f"{path}: no such list of images; VOC's layout has one for each split")
    ids = sorted({line.split()[0] for line in path.read_text().splitlines() if line.strip()})
    if not ids:
        raise DataError(f"{path}: names no image")
    return ids


def _own_lists(home: Path, split: str, names: tuple[str, ...]) -> list[Path]:
    folder = home / "ImageSets" / "Main"
    if not any("/" in name for name in names):
        return [folder / f"{name}.txt" for name in names]
    for name in PLAIN[split]:
        if (folder / f"{name}.txt").is_file():
            return [folder / f"{name}.txt"]
    raise DataError(
        f"{folder}: has no {' or '.join(f'{name}.txt' for name in PLAIN[split])}, to {split} with"
    )


def _list(home: Path, name: str) -> Path:
    folder, _, own = name.rpartition("/")
    if not (home / folder / "Annotations").is_dir():
        raise DataError(
            f"{home / folder}: no folder in VOC's layout (Annotations, ImageSets/Main, JPEGImages); give a "
            "VOCdevkit or such a folder as root"
        )
    return home / folder / "ImageSets" / "Main" / f"{own}.txt"


def _read(lists: Sequence[Path]) -> dict[Path, VocFile]:
    """Annotation files of the images in some lists, by path."""
    paths = [
        path.parents[2] / "Annotations" / f"{number}.xml"
        for path in lists
        for number in image_list(path.parents[2], path.stem)
    ]
    return {path: read_voc(path) for path in sorted(paths)}


def _classes(classes: Classes, files: Sequence[VocFile]) -> tuple[str, ...]:
    if classes == "auto":
        return tuple(sorted({one.name for file in files for one in file.objects}))
    return CLASSES if classes == "voc" else tuple(classes)


def _split(home: Path, source: Path, files: Mapping[Path, VocFile], names: tuple[str, ...]) -> DetectionSplit:
    label = {name: i for i, name in enumerate(names, start=1)}
    pictures = {folder: _pictures(folder) for folder in {path.parents[1] for path in files}}
    photos, instances, total = [], [], hashlib.sha256()
    for number, (path, file) in enumerate(files.items(), start=1):
        photo = _photo(home, number, path, file, pictures[path.parents[1]])
        photos.append(photo)
        total.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes())
        for place, one in enumerate(file.objects, start=1):
            if one.name not in label:
                raise DataError(
                    f"{path}: object {place} is a {one.name!r}, which is none of the {len(names)} classes "
                    "asked for; name them all, or set classes=auto"
                )
            x0, y0, x1, y1 = one.corners
            box = (x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1)
            instances.append(
                Instance(
                    image_id=number,
                    category_id=label[one.name],
                    bbox=box,
                    area=box[2] * box[3],
                    difficult=one.difficult,
                    id=place,
                )
            )
    objects, dropped = usable(source, photos, instances)
    return DetectionSplit(
        annotation_file=source,
        annotations=total.hexdigest(),
        images=FileImages(home, tuple(photo.file_name for photo in photos)),
        photos=tuple(photos),
        objects=objects,
        categories=tuple(Category(number, name) for name, number in label.items()),
        dropped=dropped,
    )


def _pictures(folder: Path) -> set[str]:
    """One listing is faster than a look for each."""
    here = folder / "JPEGImages"
    if not here.is_dir():
        raise DataError(f"{here}: no such folder; the pictures of {folder / 'Annotations'} belong there")
    return {entry.name for entry in os.scandir(here)}


def _photo(home: Path, number: int, path: Path, file: VocFile, present: set[str]) -> Photo:
    """The picture that the annotation names, else the one of the same name."""
    wanted = [file.file_name, *(path.stem + suffix for suffix in (".jpg", ".jpeg", ".png"))]
    name = next((one for one in wanted if one in present), None)
    folder = path.parents[1] / "JPEGImages"
    if name is None:
        raise DataError(f"{folder / f'{path.stem}.jpg'}: no such picture, though {path} describes it")
    size = file.size
    if size is None:
        with Image.open(folder / name) as picture:
            size = picture.size
    return Photo(number, (folder / name).relative_to(home).as_posix(), *size)
