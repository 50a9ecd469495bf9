"""COCO's annotation file: pictures, categories, boxes and masks (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import codecs
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from hsa_bench.core.data.detection import masks
from hsa_bench.core.data.detection.listed_files import shortened
from hsa_bench.core.data.detection.masks import Polygons, RunLengths
from hsa_bench.core.errors import DataError
from hsa_bench.core.input.settings import explain


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects, numbered as the file likes."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture."""

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One object, or a crowd of them."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    """Left, top, width, height, px."""
    area: float | None = None
    """Of the mask, px²; decides whether the object counts as small, medium or large."""
    segmentation: Annotated[Polygons | RunLengths | None, BeforeValidator(masks.stated)] = None
    """Polygons as x, y, x, y, …, or run lengths; None or [] where there is a box alone."""
    iscrowd: int = 0
    ignore: Any = 0
    """Another mark than COCO's, which pycocotools passes over and Detectron2 refuses."""
    difficult: bool = False
    """VOC's mark for objects that the test does not ask for."""
    id: int | str = ""
    """As the file numbers it; for messages."""

    def mask(self, width: int, height: int) -> NDArray[np.uint8]:
        """The pixels it covers in its picture of that size, [height, width], 0 or 1; it must have a mask."""
        assert self.segmentation, "it has no mask"
        return masks.unpacked(masks.packed(self.segmentation, width, height))

    def box_trouble_in(self, photo: Photo) -> str:
        """Why it cannot be used at all: its box holds nothing of the picture; else empty."""
        if not all(map(math.isfinite, self.bbox)):
            return f"its box {list(self.bbox)} is not a number"
        x, y, w, h = self.bbox
        if w <= 0 or h <= 0:
            return f"its box {list(self.bbox)} has no area"
        if min(x + w, photo.width) <= max(x, 0) or min(y + h, photo.height) <= max(y, 0):
            return f"its box {list(self.bbox)} lies outside the picture of {photo.width} x {photo.height} px"
        return ""

    def mask_trouble_in(self, photo: Photo) -> str:
        """Why its mask cannot be drawn; empty where it can, or where there is none."""
        return masks.fault(self.segmentation, photo.width, photo.height) if self.segmentation else ""

    @property
    def is_sized(self) -> bool:
        """Whether the file states an area."""
        return self.area is not None and math.isfinite(self.area) and self.area >= 0

    def sized_in(self, photo: Photo) -> float:
        """Its area, px²: the file's where it states one, else its mask's, else its box's (pycocotools)."""
        if self.area is not None and self.is_sized:
            return self.area
        if self.segmentation and not self.mask_trouble_in(photo):
            return masks.area(self.segmentation, photo.width, photo.height)
        return self.bbox[2] * self.bbox[3]


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """The parts of the file that detection needs; others are passed over."""

    images: list[Photo]
    categories: list[Category]
    annotations: list[Instance]


def read_annotations(path: Path) -> AnnotationFile:
    """Read and check an annotation file.

    Raises:
        DataError: Not JSON, a key is missing or of the wrong type, an id is double or unknown.
    """
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); put the file of annotations there"
        ) from error
    try:
        file = TypeAdapter(AnnotationFile).validate_json(content)
    except ValidationError as error:
        fault = explain(error)
        remedy = (
            "expected COCO's instances format: images, categories, annotations with bbox and segmentation"
        )
        raise DataError(f"{path}: {fault.field or 'the file'}: {fault.reason}; {remedy}") from error
    for kind, rows in (("image", file.images), ("category", file.categories)):
        if not rows:
            raise DataError(f"{path}: lists no {kind}")
        double = [number for number, count in Counter(row.id for row in rows).items() if count > 1]
        if double:
            raise DataError(f"{path}: {kind} id {shortened(double[0])} occurs twice")
    _check_known(path, "image_id", (a.image_id for a in file.annotations), {p.id for p in file.images})
    _check_known(
        path, "category_id", (a.category_id for a in file.annotations), {c.id for c in file.categories}
    )
    _check_marks(path, file.annotations)
    return file


def _check_marks(path: Path, instances: Iterable[Instance]) -> None:
    for row, instance in enumerate(instances):
        if instance.ignore:
            raise DataError(
                f"{path}: annotations.{row}.ignore is {shortened(repr(instance.ignore))}, which COCO "
                "does not have; set iscrowd to 1 where an object counts neither way, or remove it"
            )


def _check_known(path: Path, key: str, used: Iterable[int], known: set[int]) -> None:
    for row, number in enumerate(used):
        if number not in known:
            kind = "images" if key == "image_id" else "categories"
            raise DataError(
                f"{path}: annotations.{row}.{key} is {shortened(number)}, which {kind} does not list; "
                "repair the file"
            )
