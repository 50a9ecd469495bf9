"""COCO's annotation file: pictures, categories, boxes and masks (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as run_lengths
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hsa_bench.core.errors import DataError
from hsa_bench.core.settings import explain


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
class RunLengths:
    """A mask as run lengths down its columns, written out or packed into a string."""

    size: tuple[int, int]
    """Height and width, px."""
    counts: list[int] | str

    def packed(self) -> dict[str, Any]:
        """As pycocotools takes it."""
        rle = {"size": list(self.size), "counts": self.counts}
        return run_lengths.frPyObjects(rle, *self.size) if isinstance(self.counts, list) else rle


@dataclass(frozen=True, slots=True)
class Instance:
    """One object, or a crowd of them."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    """Left, top, width, height, px."""
    area: float
    """Of the mask, px²; decides whether the object counts as small, medium or large."""
    segmentation: list[list[float]] | RunLengths | None = None
    """Polygons as x, y, x, y, …, or run lengths; None where there are boxes alone."""
    iscrowd: int = 0
    difficult: bool = False
    """VOC's mark for objects that the test does not ask for."""
    id: int | str = ""
    """As the file numbers it; for messages."""

    def drawn(self) -> list[list[float]] | dict[str, Any]:
        """The mask as pycocotools takes it, less polygons of fewer than three points.

        pycocotools itself would take four numbers for a box.
        """
        if isinstance(self.segmentation, RunLengths):
            return self.segmentation.packed()
        return [polygon for polygon in self.segmentation or () if _is_drawable(polygon)]

    def mask(self, width: int, height: int) -> NDArray[np.uint8]:
        """The pixels it covers, [height, width], 0 or 1."""
        drawn = self.drawn()
        if isinstance(drawn, list):
            drawn = run_lengths.merge(run_lengths.frPyObjects(drawn, height, width))
        return unpacked(drawn)

    def trouble_in(self, photo: Photo) -> str:
        """Why it cannot be used: its box holds nothing of the picture, or its mask is broken; else empty."""
        if not all(map(math.isfinite, self.bbox)):
            return f"its box {list(self.bbox)} is not a number"
        x, y, w, h = self.bbox
        if w <= 0 or h <= 0:
            return f"its box {list(self.bbox)} has no area"
        if min(x + w, photo.width) <= max(x, 0) or min(y + h, photo.height) <= max(y, 0):
            return f"its box {list(self.bbox)} lies outside the picture of {photo.width} x {photo.height} px"
        if self.segmentation is not None and not self.drawn():
            return "its mask has no polygon of three points or more"
        return ""


def _is_drawable(polygon: list[float]) -> bool:
    """Whether it has three points, all of them numbers, and some area."""
    if len(polygon) < 6 or len(polygon) % 2 or not all(map(math.isfinite, polygon)):
        return False
    x, y = polygon[::2], polygon[1::2]
    return max(x) > min(x) and max(y) > min(y)


def unpacked(rle: dict[str, Any]) -> NDArray[np.uint8]:
    """Run lengths as pixels, [height, width], 0 or 1."""
    with warnings.catch_warnings():  # pycocotools 2.0.11 lags behind numpy 2's array protocol
        warnings.simplefilter("ignore", DeprecationWarning)
        return run_lengths.decode(rle)


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
        file = TypeAdapter(AnnotationFile).validate_json(path.read_bytes())
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
            raise DataError(f"{path}: {kind} id {double[0]} occurs twice")
    _check_known(path, "image_id", (a.image_id for a in file.annotations), {p.id for p in file.images})
    _check_known(
        path, "category_id", (a.category_id for a in file.annotations), {c.id for c in file.categories}
    )
    return file


def _check_known(path: Path, key: str, used: Iterable[int], known: set[int]) -> None:
    for row, number in enumerate(used):
        if number not in known:
            kind = "images" if key == "image_id" else "categories"
            raise DataError(
                f"{path}: annotations.{row}.{key} is {number}, which {kind} does not list; repair the file"
            )
