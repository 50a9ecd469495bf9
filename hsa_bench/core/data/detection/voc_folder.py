"""Pictures with boxes in PASCAL VOC's folder layout (Everingham et al. 2010).

A folder holds `Annotations/`, `ImageSets/Main/` and `JPEGImages/`; a VOCdevkit holds several such folders.
The image ID of a list is `JPEGImages/ID.jpg` with `Annotations/ID.xml`, as in Detectron2, whatever the
annotation's `<filename>` says. Boxes are counted from 1 with the last pixel included; as in Detectron2 they
become xmin - 1, ymin - 1, xmax, ymax. Difficult objects are learnt and not asked for in the test. What is
refused and what is left out is as for COCO (`detection_data.py`); a class that is not asked for is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from hsa_bench.core.data.detection.coco_file import Category, Instance, Photo
from hsa_bench.core.data.detection.detection_data import DetectionData, DetectionSplit, usable
from hsa_bench.core.data.detection.listed_files import ListedFiles, name_trouble, refuse_unwritable, shortened
from hsa_bench.core.data.detection.upright import upright
from hsa_bench.core.data.detection.voc_file import VocFile, read_voc
from hsa_bench.core.data.detection.voc_list import image_list
from hsa_bench.core.data.detection.voc_pictures import VocPictures
from hsa_bench.core.errors import DataError

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

Classes = Literal["voc", "auto"] | tuple[str, ...]

PLAIN = {"train": ("trainval", "train"), "test": ("test", "val")}
"""Lists of a folder of one's own, the first that there is; for a test on `val`, `train` before `trainval`."""

OF_DEVKIT = {f"VOC{year}/{name}" for year in (2007, 2012) for name in ("train", "val", "trainval", "test")}
"""Lists that a folder of one's own has not, and for which its own stand."""


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
    refuse_unwritable(root)
    home = root / "VOCdevkit" if (root / "VOCdevkit").is_dir() else root
    if (home / "Annotations").is_dir():
        lists = _own_lists(home, train, test)
    else:
        lists = {"train": [_list(home, name) for name in train], "test": [_list(home, test)]}
    files = {split: _read(home, paths) for split, paths in lists.items()}
    names = _classes(classes, [one for split in files.values() for one in split.values()])
    splits = {split: _split(home, lists[split][0], found, names) for split, found in files.items()}
    return DetectionData(name=root.name, train=splits["train"], val=splits["test"])


def _own_lists(home: Path, train: tuple[str, ...], test: str) -> dict[str, list[Path]]:
    """Lists of a folder of one's own, those of a VOCdevkit replaced."""
    folder = home / "ImageSets" / "Main"
    tested = _own_or_usual(folder, "test", (test,), PLAIN["test"])
    whole, part = PLAIN["train"]
    usual = (part, whole) if tested[0].stem == "val" else (whole, part)
    return {"train": _own_or_usual(folder, "train", train, usual), "test": tested}


def _own_or_usual(folder: Path, split: str, names: tuple[str, ...], usual: tuple[str, ...]) -> list[Path]:
    if not OF_DEVKIT.intersection(names):
        return [_own_list(folder, split, name) for name in names]
    if others := sorted(set(names) - OF_DEVKIT):
        raise DataError(
            f"{folder}: {others[0]!r} to {split} with stands beside lists of a VOCdevkit; {_lists(folder)}"
        )
    for name in usual:
        if (folder / f"{name}.txt").is_file():
            return [folder / f"{name}.txt"]
    wanted = " or ".join(f"{name}.txt" for name in PLAIN[split])
    raise DataError(f"{folder}: has no {wanted}, to {split} with; {_lists(folder)}")


def _own_list(folder: Path, split: str, name: str) -> Path:
    path = folder / f"{name}.txt"
    trouble = name_trouble(name) or ("names a folder, and lists are in this one" if "/" in name else "")
    trouble = trouble or ("" if path.is_file() else "no such list of images")
    if trouble:
        raise DataError(f"{path}: the list {name!r}, to {split} with: {trouble}; {_lists(folder)}")
    return path


def _lists(folder: Path) -> str:
    """The lists of a folder, for messages."""
    there = sorted(path.stem for path in folder.glob("*.txt"))[:10]
    return f"{folder} has {', '.join(there)}" if there else f"{folder} has no list"


def _list(home: Path, name: str) -> Path:
    folder, _, own = name.rpartition("/")
    if trouble := name_trouble(name):
        raise DataError(f"{home}: the list {shortened(name)!r}: {trouble}; name it as VOC2007/trainval")
    if not (home / folder / "Annotations").is_dir():
        raise DataError(
            f"{home / folder}: no folder in VOC's layout (Annotations, ImageSets/Main, JPEGImages); give a "
            "VOCdevkit or such a folder as root"
        )
    return home / folder / "ImageSets" / "Main" / f"{own}.txt"


def annotations_of(home: Path, path: Path) -> list[Path]:
    """Annotation files of the images in a list.

    Args:
        home: The data's root.
        path: The list, in a folder in VOC's layout.

    Raises:
        DataError: A line is not an id, or there is no such file; the message names it.
    """
    folder = path.parents[2]
    there = ListedFiles(folder / "Annotations", home)
    found = []
    for number in image_list(folder, path.stem):
        name = f"{number}.xml"
        if trouble := there.trouble(name, "annotation file"):
            raise DataError(f"{there.folder / name}: {trouble}, though {path} names it")
        found.append(there.folder / name)
    return found


def _read(home: Path, lists: Sequence[Path]) -> dict[Path, VocFile]:
    """Annotation files of the images in some lists, by path."""
    return {
        path: read_voc(path) for path in sorted({one for own in lists for one in annotations_of(home, own)})
    }


def _classes(classes: Classes, files: Sequence[VocFile]) -> tuple[str, ...]:
    if classes == "auto":
        return tuple(sorted({one.name for file in files for one in file.objects}))
    return CLASSES if classes == "voc" else tuple(classes)


def _split(home: Path, source: Path, files: Mapping[Path, VocFile], names: tuple[str, ...]) -> DetectionSplit:
    label = {name: i for i, name in enumerate(names, start=1)}
    instances: list[Instance] = []
    total = hashlib.sha256()
    for number, (path, file) in enumerate(files.items(), start=1):
        total.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes())
        instances += _instances(number, path, file, label)
    pictures = _pictures(home, files)
    images, sizes = upright(home, pictures, [file.size for file in files.values()], list(files).__getitem__)
    photos = [
        Photo(i, name, *size) for i, (name, size) in enumerate(zip(pictures, sizes, strict=True), start=1)
    ]
    objects, dropped = usable(source, photos, instances)
    return DetectionSplit(
        annotation_file=source,
        annotations=total.hexdigest(),
        images=images,
        photos=tuple(photos),
        objects=objects,
        categories=tuple(Category(number, name) for name, number in label.items()),
        dropped=dropped,
    )


def _instances(image: int, path: Path, file: VocFile, label: Mapping[str, int]) -> Iterator[Instance]:
    for place, one in enumerate(file.objects, start=1):
        if one.name not in label:
            raise DataError(
                f"{path}: object {place} is a {shortened(one.name)!r}, which is none of the {len(label)} "
                "classes asked for; name them all, or set classes=auto"
            )
        x0, y0, x1, y1 = one.corners
        box = (x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1)
        yield Instance(
            image_id=image,
            category_id=label[one.name],
            bbox=box,
            area=box[2] * box[3],
            difficult=one.difficult,
            id=place,
        )


def _pictures(home: Path, files: Mapping[Path, VocFile]) -> list[str]:
    """The picture of each annotation, relative to the root."""
    there = {folder: VocPictures(folder, home) for folder in {path.parents[1] for path in files}}
    found = (
        there[path.parents[1]].picture(path.stem, f"{path} describes it", file.file_name)
        for path, file in files.items()
    )
    return [path.relative_to(home).as_posix() for path in found]
