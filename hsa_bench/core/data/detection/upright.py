"""Pictures that stand upright, and whose size is the one that their annotations were drawn at.

As in Detectron2 (facebookresearch/detectron2 @02b5c4e detectron2/data/detection_utils.py:125-172,202-226): a
picture is turned as its EXIF orientation says, and then has the size that is stated. Only headers are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from hsa_bench.core.data.decode_check import headers
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.data.manifest import Fact
from hsa_bench.core.digest import digest
from hsa_bench.core.errors import DataError

Size = tuple[int, int]
"""Width and height, px."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by its orientation."""

LYING = {5, 6, 7, 8}
"""Orientations whose width is the height of the upright picture."""


@dataclass(frozen=True)
class UprightImages(FileImages):
    """Pictures that are decoded from files and turned as their EXIF orientation says."""

    turns: tuple[tuple[str, int], ...] = ()
    """Names of those that are turned, and their orientation."""

    def __getitem__(self, index: int) -> Image.Image:
        picture = super().__getitem__(index)
        turn = self._turn.get(self.names[index])
        return picture if turn is None else picture.transpose(TURNS[turn])

    @cached_property
    def _turn(self) -> dict[str, int]:
        return dict(self.turns)

    def digest(self) -> str:
        """Hash of the content, and of the turns where there are some."""
        turns = [f"{name} {self._turn[name]}" for name in self.names if name in self._turn]
        return digest(super().digest(), *turns) if turns else super().digest()


def upright(
    folder: Path, names: Sequence[str], stated: Sequence[Size | None], source: Callable[[int], object]
) -> tuple[UprightImages, list[Size]]:
    """Look at the headers of pictures, and at their sizes after turning.

    Args:
        folder: Where they are.
        names: Relative to it.
        stated: Size of each as its annotations have it, None where they do not say.
        source: Who says so, by the picture's index, for messages.

    Returns:
        The pictures, and the size of each.

    Raises:
        DataError: A picture cannot be read, or has another size than stated.
    """
    found = headers(FileImages(folder, tuple(names)))
    sizes = [_size(fact) for fact in found]
    for index, (said, size) in enumerate(zip(stated, sizes, strict=True)):
        if said not in (None, size):
            raise DataError(_mismatch(folder / names[index], found[index], said, source(index)))
    turns = tuple((name, fact.turn) for name, fact in zip(names, found, strict=True) if fact.turn in TURNS)
    return UprightImages(folder, tuple(names), turns), sizes


def _size(fact: Fact) -> Size:
    return (fact.height, fact.width) if fact.turn in LYING else (fact.width, fact.height)


def _mismatch(path: Path, fact: Fact, said: Size | None, source: object) -> str:
    assert said is not None
    width, height = _size(fact)
    turned = f", upright by its EXIF orientation {fact.turn}," if fact.turn in TURNS else ""
    return (
        f"{path}: has {width} x {height} px{turned} where {source} says {said[0]} x {said[1]}; boxes "
        "would not lie where their objects are: use the picture that was annotated, or correct boxes and size"
    )
