"""Pictures that stand upright, and whose size is the one that their annotations were drawn at.

As in Detectron2 (facebookresearch/detectron2 @02b5c4e detectron2/data/detection_utils.py:125-172,202-226): a
picture is turned as its EXIF orientation says, and then has the size that is stated. Only headers are read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from hsa_bench.core.data.images import FileImages
from hsa_bench.core.digest import digest
from hsa_bench.core.errors import DataError

Size = tuple[int, int]
"""Width and height, px."""

ORIENTATION = 274
"""EXIF's tag."""

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


@dataclass(frozen=True)
class Header:
    """What a picture's file says of it before its pixels."""

    size: Size
    """As it lies in the file."""
    mode: str
    """Pillow's name of the pixels' kind."""
    turn: int
    """EXIF's orientation; 1 where there is none."""

    @property
    def upright(self) -> Size:
        """Size after turning."""
        return (self.size[1], self.size[0]) if self.turn in LYING else self.size

    @property
    def trouble(self) -> str:
        """Why the pixels cannot be read as they are; empty where they can."""
        if self.mode in {"I", "F"} or self.mode.startswith("I;16"):
            return (
                f"has pixels of more than 8 bits (Pillow's mode {self.mode}); convert it to 8 bits a channel"
            )
        return ""


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
    sizes, turns = [], []
    for index, (name, said) in enumerate(zip(names, stated, strict=True)):
        header = read_header(folder / name)
        if said not in (None, header.upright):
            raise DataError(_mismatch(folder / name, header, said, source(index)))
        sizes.append(header.upright)
        if header.turn in TURNS:
            turns.append((name, header.turn))
    return UprightImages(folder, tuple(names), tuple(turns)), sizes


def read_header(path: Path) -> Header:
    """Read a picture's header.

    Raises:
        DataError: It is no picture, too large, or of pixels that Pillow would not convert to 8 bits.
    """
    try:
        with warnings.catch_warnings():  # of sizes that are odd and still read
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                header = Header(picture.size, picture.mode, _orientation(picture))
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: larger than Pillow reads ({error}); make it smaller") from error
    except Exception as error:  # a broken header can raise anything
        raise DataError(f"{path}: cannot be read as an image ({error}); replace or remove it") from error
    if header.trouble:
        raise DataError(f"{path}: {header.trouble}")
    return header


def _orientation(picture: Image.Image) -> int:
    try:
        turn = picture.getexif().get(ORIENTATION)
    except Exception:  # as Detectron2: a broken EXIF block turns nothing
        return 1
    return turn if turn in TURNS else 1


def _mismatch(path: Path, header: Header, said: Size | None, source: object) -> str:
    assert said is not None
    width, height = header.upright
    turned = f", upright by its EXIF orientation {header.turn}," if header.turn in TURNS else ""
    return (
        f"{path}: has {width} x {height} px{turned} where {source} says {said[0]} x {said[1]}; boxes "
        "would not lie where their objects are: use the picture that was annotated, or correct boxes and size"
    )
