"""Pictures with boxes and masks; COCO's folder layout (Lin et al. 2014, arXiv:1405.0312).

`annotations/instances_train*.json` and `annotations/instances_val*.json` name the splits; the pictures of
`instances_train2017.json` stand in `train2017/`, and so on. The order of a file's rows changes nothing.

Refused, before work starts: a missing picture, one that lies outside its folder, one of another size than
stated; an unknown image or category, an id or a picture that occurs twice; a file that is not what it should
be. Left out and named in the result: an object whose box has no area or lies outside its picture. A box that
reaches over the edge stays as it is for the test and ends at the edge in training. Pictures are turned as
their EXIF orientation says (`upright.py`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hsa_bench.core.data.detection import masks, remarks
from hsa_bench.core.data.detection.coco_file import Category, Instance, Photo, read_annotations
from hsa_bench.core.data.detection.listed_files import ListedFiles, refuse_unwritable, shortened
from hsa_bench.core.data.detection.upright import UprightImages, upright
from hsa_bench.core.digest import WHOLE, digest
from hsa_bench.core.errors import DataError
from hsa_bench.core.seed import generator


@dataclass(frozen=True)
class DetectionSplit:
    """One split: pictures, and the objects in each."""

    annotation_file: Path
    """Where the objects are from: a file, or a list of images with a file each."""
    annotations: str
    """Hash of what the annotations say."""
    images: UprightImages
    photos: tuple[Photo, ...]
    """What the file says of each of `images`."""
    objects: tuple[tuple[Instance, ...], ...]
    """Objects in each of `images`, crowds included."""
    categories: tuple[Category, ...]
    """By ascending id."""
    dropped: tuple[str, ...]
    """Why objects are left out, a text each that names file and object."""
    sound: bool = True
    """Whether every mask that is stated can be drawn."""

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def class_names(self) -> NDArray[np.str_]:
        """Names of the categories, [C]."""
        return np.array([category.name for category in self.categories], np.str_)

    def subset(self, chosen: Sequence[int]) -> DetectionSplit:
        """The chosen pictures, in the order given."""
        return replace(
            self,
            images=replace(self.images, names=tuple(self.images.names[i] for i in chosen)),
            photos=tuple(self.photos[i] for i in chosen),
            objects=tuple(self.objects[i] for i in chosen),
        )

    def limited(self, limit: int | None) -> DetectionSplit:
        """`limit` pictures by a fixed draw, in the file's order; all of them for None."""
        if limit is None:
            return self
        order = torch.randperm(len(self), generator=generator(0, "limit")).tolist()
        return self.subset(sorted(order[:limit]))

    def truth(self, kind: Literal["bbox", "segm"] = "bbox") -> dict[str, Any]:
        """The split as the content of an annotation file, as pycocotools takes it.

        Args:
            kind: For "segm" an object without a mask that can be drawn is a crowd of its box: what is found
                there counts neither way.
        """
        return {
            "images": [{"id": p.id, "width": p.width, "height": p.height} for p in self.photos],
            "categories": [{"id": c.id, "name": c.name} for c in self.categories],
            "annotations": [
                {
                    "image_id": instance.image_id,
                    "category_id": instance.category_id,
                    "bbox": list(instance.bbox),
                    "area": instance.area,
                    "iscrowd": int(instance.iscrowd != 0),
                    **_mask(instance, photo, kind),
                }
                for photo, objects in zip(self.photos, self.objects, strict=True)
                for instance in objects
            ],
        }

    def fingerprint(self) -> str:
        """Hash over the annotation file and the pictures of the split."""
        return digest(self.annotations, self.images.digest())


@dataclass(frozen=True)
class DetectionData:
    """A data set for detection with its fixed splits."""

    name: str
    train: DetectionSplit
    val: DetectionSplit

    @property
    def categories(self) -> tuple[Category, ...]:
        """Shared by both splits, by ascending id."""
        return self.train.categories

    def fingerprint(self) -> str:
        """Hash over both splits."""
        return digest(self.train.fingerprint(), self.val.fingerprint())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the data, though it can be used."""
        return (
            *remarks.on_pictures(self.train.images, self.val.images),
            *remarks.on_classes(self.categories, self.train.objects, self.val.objects),
        )

    def limited(self, limit: int | None) -> DetectionData:
        """A fixed draw of `limit` pictures of each split, for quick looks."""
        return replace(self, train=self.train.limited(limit), val=self.val.limited(limit))


@lru_cache(maxsize=1)
def open_coco(root: Path, name: str) -> DetectionData:
    """Open a folder in COCO's layout.

    Args:
        root: The folder that holds `annotations/`.
        name: What results call the data set.

    Raises:
        DataError: A file is missing or not what it should be; the message names it.
    """
    refuse_unwritable(root)
    train, val = _open_split(root, "train"), _open_split(root, "val")
    if train.categories != val.categories:
        raise DataError(f"{val.annotation_file}: its categories differ from those of {train.annotation_file}")
    return DetectionData(name=name, train=train, val=val)


def _open_split(root: Path, split: str) -> DetectionSplit:
    path = _annotation_file(root, split)
    folder = root / path.stem.removeprefix("instances_")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; the pictures of {path} belong there")
    file = read_annotations(path)
    _check_pictures(path, ListedFiles(folder, root), file.images)
    photos = sorted(file.images, key=lambda photo: photo.id)
    names, stated = [p.file_name for p in photos], [(p.width, p.height) for p in photos]
    images, _ = upright(folder, names, stated, lambda _: path)
    objects, dropped = usable(path, photos, sorted(file.annotations, key=_order))
    sound = _are_sound(file.annotations, photos)
    mended = not (sound and all(one.is_sized for one in file.annotations))
    return DetectionSplit(
        annotation_file=path,
        # version 1 of this reader left objects out, or took another area
        annotations=digest(path.read_bytes(), *(["reader 2"] if mended else []), length=WHOLE),
        images=images,
        photos=tuple(photos),
        objects=objects,
        categories=tuple(sorted(file.categories, key=lambda category: category.id)),
        dropped=dropped,
        sound=sound,
    )


def _are_sound(instances: Iterable[Instance], photos: Iterable[Photo]) -> bool:
    """Whether each object states a mask that can be drawn, or says nothing of one."""
    by_id = {photo.id: photo for photo in photos}
    return not any(
        one.segmentation == [] or one.mask_trouble_in(by_id[one.image_id])
        for one in instances
        if one.segmentation is not None
    )


def _check_pictures(path: Path, there: ListedFiles, photos: Sequence[Photo]) -> None:
    seen: dict[str, int] = {}
    for photo in photos:
        if trouble := there.trouble(photo.file_name, "picture"):
            raise DataError(
                f"{there.folder / shortened(photo.file_name)}: {trouble}; {path} lists it as image "
                f"{shortened(photo.id)}"
            )
        file = posixpath.normpath(photo.file_name)
        if file in seen:
            raise DataError(
                f"{path}: images {seen[file]} and {photo.id} are one picture, {photo.file_name}; "
                "list it once, with all its objects"
            )
        seen[file] = photo.id


def usable(
    path: Path, photos: Sequence[Photo], instances: Iterable[Instance]
) -> tuple[tuple[tuple[Instance, ...], ...], tuple[str, ...]]:
    """Sort objects to their pictures, each with its area.

    Returns:
        The objects in each picture, and why others are left out.
    """
    by_id = {photo.id: photo for photo in photos}
    objects: dict[int, list[Instance]] = {photo.id: [] for photo in photos}
    dropped = []
    for instance in instances:
        photo = by_id[instance.image_id]
        if trouble := instance.box_trouble_in(photo):
            dropped.append(f"{path.name}: {named(instance, photo)}: {trouble}")
        else:
            sized = instance if instance.is_sized else replace(instance, area=instance.sized_in(photo))
            objects[photo.id].append(sized)
    return tuple(tuple(objects[photo.id]) for photo in photos), tuple(dropped)


def named(instance: Instance, photo: Photo) -> str:
    """Name an object by its number, if it has one, and its picture."""
    return f"{'an object' if instance.id == '' else f'object {instance.id}'} in {photo.file_name}"


def _mask(instance: Instance, photo: Photo, kind: Literal["bbox", "segm"]) -> dict[str, Any]:
    """The mask of an object for `truth`, and what else differs where it has none that can be drawn."""
    if instance.segmentation and not instance.mask_trouble_in(photo):
        return {"segmentation": masks.drawn(instance.segmentation, photo.width, photo.height)}
    if kind == "bbox":
        return {}
    return {"segmentation": [masks.outline(instance.bbox)], "iscrowd": 1}


def _order(instance: Instance) -> tuple[Any, ...]:
    """Of a file's objects, whatever their order there."""
    return instance.image_id, str(instance.id).zfill(20), instance.category_id, instance.bbox


def _annotation_file(root: Path, split: str) -> Path:
    wanted = root / "annotations" / f"instances_{split}*.json"
    found = sorted(wanted.parent.glob(wanted.name))
    if len(found) != 1:
        names = f"{len(found)} of them: {', '.join(p.name for p in found)}" if found else "no such file"
        raise DataError(f"{wanted}: {names}; a folder in COCO's layout has exactly one for each split")
    if not found[0].is_file():
        raise DataError(f"{found[0]}: is not a regular file; put the file of annotations there")
    return found[0]
