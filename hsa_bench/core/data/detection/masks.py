"""Masks as COCO's file writes them: polygons or run lengths, checked before pycocotools sees them.

pycocotools reads beyond its memory where packed run lengths are cut off, and takes four numbers for a box.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycocotools.mask as run_lengths
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hsa_bench.core.errors import DataError
from hsa_bench.core.input.settings import explain

Polygons = list[list[float]]
"""Each as x, y, x, y, …, px."""

LONGEST = 2e7
"""Points of a polygon times its extent in px, from which it is refused: pycocotools draws it at five times
the size."""

OTHER_SIZE = "its mask is of"
"""How the fault begins of a mask that belongs to a picture of another size."""


@dataclass(frozen=True, slots=True)
class RunLengths:
    """A mask as run lengths down its columns, written out or packed into a string."""

    size: tuple[int, int]
    """Height and width, px."""
    counts: list[int] | str

    def lengths(self) -> list[int] | None:
        """Return the lengths written out; None where the string is not one of COCO's."""
        return self.counts if isinstance(self.counts, list) else _unpacked(self.counts)

    def broken(self, width: int, height: int) -> str:
        """Say why it is not a mask of a picture of that size; empty where it is, if one without a pixel."""
        if self.size != (height, width):
            return (
                f"{OTHER_SIZE} {self.size[1]} x {self.size[0]} px, its picture of {width} x {height}; "
                "draw it at the picture's size"
            )
        lengths = self.lengths()
        if lengths is None or min(lengths, default=-1) < 0 or sum(lengths) != width * height:
            return f"its run lengths do not fill the picture of {width} x {height} px"
        return ""

    def fault(self, width: int, height: int) -> str:
        """Say why it cannot be learnt from in a picture of that size; empty where it can."""
        lengths = self.lengths() or []
        return self.broken(width, height) or ("" if sum(lengths[1::2]) else "its mask has no pixel")


Mask = Polygons | RunLengths

_READER = TypeAdapter(RunLengths)


def stated(given: Any) -> Any:
    """Return a file's `segmentation`, [] where it states no mask: it is empty, or a box once more."""
    if isinstance(given, dict):
        return given if given and given.get("counts", True) else []
    if not isinstance(given, list):
        return given if given or given is None else []
    parts = [part for part in given if part not in ([], None)]
    return given if parts and not _is_box(parts) and not all(map(_is_box, parts)) else []


def _is_box(given: Any) -> bool:
    return isinstance(given, list) and len(given) == 4 and all(isinstance(n, int | float) for n in given)


def fault(mask: Mask, width: int, height: int) -> str:
    """Say why a mask cannot be drawn in a picture of that size, px; empty where it can."""
    if isinstance(mask, RunLengths):
        return mask.fault(width, height)
    if not any(is_drawable(polygon, width, height) for polygon in mask):
        return "its mask has no polygon of three points or more"
    return ""


def check_run_lengths(stated: Any, width: int, height: int, named: str) -> None:
    """Refuse run lengths that pycocotools would read beyond their end; polygons, and its own bytes, pass.

    Raises:
        DataError: They do not fill a picture of that size, px.
    """
    if not stated or not isinstance(stated, Mapping) or isinstance(stated.get("counts"), bytes):
        return
    try:
        fault = _READER.validate_python(dict(stated)).broken(width, height)
    except ValidationError as error:
        fault = f"its run lengths cannot be read ({explain(error).reason})"
    if fault:
        raise DataError(f"{named}: {fault}")


def is_drawable(polygon: list[float], width: int, height: int) -> bool:
    """Whether it has three points, all of them numbers about the picture, and some area."""
    if len(polygon) < 6 or len(polygon) % 2 or not math.isfinite(sum(polygon)):
        return False
    x, y = polygon[::2], polygon[1::2]
    left, right, top, bottom = min(x), max(x), min(y), max(y)
    about = left >= -width and right <= 2 * width and top >= -height and bottom <= 2 * height
    extent = max(right - left, bottom - top)
    return about and right > left and bottom > top and extent * len(x) <= LONGEST


def drawn(mask: Mask, width: int, height: int) -> Polygons | dict[str, Any]:
    """Return a mask without a fault as pycocotools takes it, less polygons that cannot be drawn."""
    if isinstance(mask, RunLengths):
        return {"size": list(mask.size), "counts": mask.counts}
    return [polygon for polygon in mask if is_drawable(polygon, width, height)]


def packed(mask: Mask, width: int, height: int) -> dict[str, Any]:
    """Pack a mask without a fault into run lengths as pycocotools has them."""
    found = drawn(mask, width, height)
    if isinstance(found, list):
        return run_lengths.merge(run_lengths.frPyObjects(found, height, width))
    return found if isinstance(found["counts"], str) else run_lengths.frPyObjects(found, height, width)


def outline(box: Sequence[float]) -> list[float]:
    """Return the polygon about a box of left, top, width, height, px."""
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def unpacked(rle: dict[str, Any]) -> NDArray[np.uint8]:
    """Run lengths as pixels, [height, width], 0 or 1."""
    with warnings.catch_warnings():  # pycocotools 2.0.11 lags behind numpy 2's array protocol
        warnings.simplefilter("ignore", DeprecationWarning)
        return run_lengths.decode(rle)


def area(mask: Mask, width: int, height: int) -> float:
    """Pixels that a mask without a fault covers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(run_lengths.area(packed(mask, width, height)))


def _unpacked(text: str) -> list[int] | None:
    """Read packed lengths: digits of five bits from the lowest, each length less the one before the last."""
    lengths: list[int] = []
    value = bits = 0
    for letter in text:
        digit = ord(letter) - 48
        if not 0 <= digit < 64 or bits > 60:
            return None
        value |= (digit & 31) << bits
        bits += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << bits
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = bits = 0
    return lengths if bits == 0 else None
