"""Random access to pictures, in memory or in files."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hsa_bench.core.digest import WHOLE, digest
from hsa_bench.core.errors import DataError


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


HASHED_BYTES = 2**30
"""Folders up to this size are fingerprinted by content, larger ones by file names and sizes."""


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
        try:
            return decoded(path.read_bytes())
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: cannot be read as an image ({error}); replace or remove it") from error

    @property
    def side(self) -> int:
        return 0

    def digest(self) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:  # once a process: a folder of 60,000 files takes seconds
        sizes = [self._size(self.root / name) for name in self.names]
        by_content = sum(sizes) <= HASHED_BYTES
        total = hashlib.sha256(b"content" if by_content else b"sizes")
        for name, size in zip(self.names, sizes, strict=True):
            total.update(f"{name}\0{size}\0".encode())
            if by_content:
                total.update((self.root / name).read_bytes())
        return total.hexdigest()

    @staticmethod
    def _size(path: Path) -> int:
        try:
            return path.stat().st_size
        except OSError as error:
            raise DataError(f"{path}: cannot be found ({error}); put it back") from error


def decoded(content: bytes) -> Image.Image:
    """A picture in RGB from the bytes of its file: Pillow's pixels.

    Ordinary JPEG is decoded by simplejpeg, the same pixels in six tenths of the time. Pillow has the last
    word on everything else, and on files that simplejpeg refuses.
    """
    with Image.open(io.BytesIO(content)) as picture:
        if picture.format == "JPEG" and picture.mode in {"RGB", "L"}:
            with suppress(ValueError):
                return Image.fromarray(simplejpeg.decode_jpeg(content, "RGB"))
        return picture.convert("RGB")
