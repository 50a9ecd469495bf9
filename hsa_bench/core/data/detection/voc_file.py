"""PASCAL VOC's annotation file: one image, its objects (Everingham et al. 2010)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from hsa_bench.core.errors import DataError


@dataclass(frozen=True)
class VocObject:
    """One object."""

    name: str
    corners: tuple[float, float, float, float]
    """xmin, ymin, xmax, ymax, counted from 1, the last pixel included."""
    difficult: bool


@dataclass(frozen=True)
class VocFile:
    """What an annotation file says of its image."""

    file_name: str
    """Empty where it does not say."""
    size: tuple[int, int] | None
    """Width and height, px."""
    objects: tuple[VocObject, ...]


def read_voc(path: Path) -> VocFile:
    """Read an annotation file.

    Raises:
        DataError: No such file, not XML, or an object lacks its name or box.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file, though the list of images names it") from None
    except Exception as error:  # an XML file that is made to harm can raise anything
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: cannot be read as VOC's XML ({reason}); repair or remove it") from error
    size = root.find("size")
    return VocFile(
        file_name=(root.findtext("filename") or "").strip(),
        size=_size(path, size) if size is not None else None,
        objects=tuple(_object(path, i, one) for i, one in enumerate(root.findall("object"), start=1)),
    )


def _size(path: Path, found: ElementTree.Element) -> tuple[int, int] | None:
    if not all((found.findtext(side) or "").strip() for side in ("width", "height")):
        return None
    width, height = (_number(path, "size", found, side) for side in ("width", "height"))
    for side in (width, height):
        if side != int(side):
            raise DataError(f"{path}: size: {side} px is not a whole number; repair or remove it")
    return (int(width), int(height)) if width > 0 and height > 0 else None


def _object(path: Path, number: int, found: ElementTree.Element) -> VocObject:
    name, box = (found.findtext("name") or "").strip(), found.find("bndbox")
    if not name or box is None:
        raise DataError(f"{path}: object {number} has no {'bndbox' if name else 'name'}; repair or remove it")
    x0, y0, x1, y1 = (_number(path, f"object {number}", box, k) for k in ("xmin", "ymin", "xmax", "ymax"))
    return VocObject(name, (x0, y0, x1, y1), (found.findtext("difficult") or "0").strip() == "1")


def _number(path: Path, what: str, found: ElementTree.Element, name: str) -> float:
    text = (found.findtext(name) or "").strip()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{path}: {what}: {name} is {text[:80]!r}, not a number; repair or remove it")
    return number
