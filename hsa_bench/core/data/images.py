"""Random access to pictures, in memory or in files."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from hsa_bench.core.data.fingerprint import fingerprint, hash_of
from hsa_bench.core.data.manifest import Fact, content_of, manifest_of, reason, shown
from hsa_bench.core.digest import WHOLE, digest
from hsa_bench.core.errors import BrokenPicture, DataError


class Images(Protocol):
    """Random access to pictures; must survive pickling, as loader processes need it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image.Image:
        """Picture `index`, in RGB."""
        ...

    def digest(self) -> str:
        """Hash of the content."""
        ...

    @property
    def side(self) -> int:
        """Side of the pictures where all are squares of one size, px; else 0."""
        ...


@dataclass(frozen=True)
class ArrayImages:
    """Pictures that are held in memory, uint8 [N, H, W, 3]."""

    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])

    @property
    def side(self) -> int:
        height, width = self.pixels.shape[1:3]
        return height if height == width else 0

    def digest(self) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return digest(np.ascontiguousarray(self.pixels).tobytes(), length=WHOLE)


@dataclass(frozen=True)
class FileImages:
    """Pictures that are decoded from files when asked for."""

    root: Path
    names: tuple[str, ...]
    """Paths relative to `root`."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Image.Image:
        path = self.root / self.names[index]
        content, stamp = content_of(path)
        try:
            return decoded(content)
        except FAULTS as error:
            fact = Fact(stamp, content=hash_of(content), fault=trouble(error))
            manifest_of(self.root).keep({self.names[index]: fact})
            raise BrokenPicture(f"{shown(path)}: {fact.fault}") from error

    @property
    def side(self) -> int:
        return 0

    def digest(self) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:  # once a process: a folder of 60,000 files takes seconds
        return fingerprint(self.root, self.names)


def decoded(content: bytes) -> Image.Image:
    """A picture in RGB from the bytes of its file: Pillow's pixels.

    Ordinary JPEG is decoded by simplejpeg, the same pixels in six tenths of the time. Pillow has the last
    word on everything else, and on files that simplejpeg refuses.

    Raises:
        DataError: Its pixels are numbers of more than 8 bits.
    """
    with Image.open(io.BytesIO(content)) as picture:
        refuse_depth(picture.mode)
        if picture.format == "JPEG" and picture.mode in {"RGB", "L"}:
            with suppress(ValueError):
                return Image.fromarray(simplejpeg.decode_jpeg(content, "RGB"))
        return picture.convert("RGB")


FAULTS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises of a file that is broken or made to harm; a time limit's alarm is none of them."""

DEEP = {"I": "whole numbers of more than 8 bits", "F": "floating-point numbers"}
"""By Pillow's mode; kinds of 16 bits are named I;16 and alike. Colours of 16 bits open as their upper 8."""


def refuse_depth(mode: str) -> None:
    """Refuse grey of more than 8 bits, whichever range it uses: Pillow would cut it off at 255.

    Raises:
        DataError: With the remedy, without the picture's name.
    """
    kind = DEEP.get(mode.partition(";")[0])
    if kind:
        raise DataError(
            f"its pixels are {kind} (mode {mode}), and nothing says which one is white; convert it to 8 bits"
        )


def trouble(error: Exception) -> str:
    """Why a picture cannot be opened, and what to do."""
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"is larger than Pillow opens ({reason(error)}); make it smaller or remove it"
    return f"cannot be read as an image ({reason(error)}); replace or remove it"
