"""VOC's lists of images: which images a split has, one a line (Everingham et al. 2010).

A line is an image's id. Passed over are a byte order mark, blank lines, lines that begin with `#`, a
picture's or an annotation's ending after the id, and the label (1, 0 or -1) in the second column of VOC's
lists of a class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hsa_bench.core.data.detection.listed_files import name_trouble, shortened
from hsa_bench.core.errors import DataError

PICTURES = (".jpg", ".jpeg", ".png")
"""Endings of pictures, whatever their case."""

LABELLED = re.compile(r"(?P<id>.*\S)\s+(?P<label>-1|[01]|\+1)")


def image_list(folder: Path, name: str) -> list[str]:
    """Ids of the images in a list, sorted, each once.

    Args:
        folder: In VOC's layout.
        name: Of the list, without `.txt`.

    Raises:
        DataError: No such list, an empty one, or a line that is not an id; the message has its number.
    """
    path = folder / "ImageSets" / "Main" / f"{name}.txt"
    if name_trouble(f"{name}.txt") or not path.is_file():
        raise DataError(f"{path}: no such list of images; VOC's layout has one for each split")
    known = folder / "Annotations"
    ids = sorted({_id(path, number, line, known) for number, line in _lines(path)})
    if not ids:
        raise DataError(f"{path}: names no image")
    return ids


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that name an image, with their numbers."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    for number, line in enumerate(re.split(rb"\r\n|\n|\r", content), start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {number}: not UTF-8 ({error.reason}); save the list as UTF-8"
            ) from error
        if "\0" in text:
            raise DataError(f"{path}, line {number}: has a NUL; save the list as plain text in UTF-8")
        if text and not text.startswith("#"):
            yield number, text


def _id(path: Path, number: int, line: str, annotations: Path) -> str:
    """The id that a line has; its annotation decides what belongs to it."""
    labelled = LABELLED.fullmatch(line)
    candidates = [line, *([labelled["id"]] if labelled else [])]
    candidates += [stem for one in candidates if (stem := _without_ending(one)) != one]
    if len(candidates) > 1:
        for one in candidates:
            if not _trouble(one) and (annotations / f"{one}.xml").exists():
                return one
    plain = candidates[-1]
    if trouble := _trouble(plain):
        raise DataError(
            f"{path}, line {number}: {shortened(line)!r} {trouble}; give an image's id, as 000005"
        )
    return plain


def _trouble(number: str) -> str:
    if trouble := name_trouble(number):
        return trouble
    return "is a path, not an id" if re.search(r"[/\\]", number) else ""


def _without_ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if stem and f"{dot}{ending}".lower() in (*PICTURES, ".xml") else name
