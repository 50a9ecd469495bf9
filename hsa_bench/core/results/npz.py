"""Arrays of anybody's .npz: no pickle is run, and no more memory is asked for than the file holds."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

LARGEST = 2**30
"""Bytes of all arrays of a file together; a detection run on COCO takes some tens of MB."""

DAMAGED = (
    EOFError, zipfile.BadZipFile, zlib.error, struct.error, AttributeError, RuntimeError, TypeError,
    SyntaxError, OverflowError, MemoryError, KeyError,
)  # fmt: skip
"""What reading a damaged or made-up archive raises, beside ValueError."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a file of which nothing is known.

    Raises:
        ValueError: It is damaged, holds objects, or would take more than `LARGEST`; the message names it.
        OSError: There is no such file.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: is no file")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > LARGEST:
                raise ValueError(f"{path}: holds more than {LARGEST // 2**20} MiB")
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except DAMAGED as error:
        raise ValueError(f"{path}: damaged ({type(error).__name__})") from error
    except ValueError as error:
        raise error if f"{path}" in str(error) else ValueError(f"{path}: damaged ({error})") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        dtype, size = _described(file)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds pickled objects, which are not read")
    if size > member.file_size:
        raise ValueError(f"{member.filename} is cut off")
    with archive.open(member) as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def _described(file: IO[bytes]) -> tuple[np.dtype[Any], int]:
    """Kind and bytes of an array, by its header."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return dtype, math.prod(shape) * dtype.itemsize
