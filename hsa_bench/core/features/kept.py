"""A file of features with what proves it whole: a checksum, and the print of the network that they are of.

`KEY.npy` is the array. `KEY.json` beside it says what it is, its SHA-256, number format and shape, and the
print. Whatever does not hold is damaged or of another network, and is made again.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.digest import WHOLE
from hsa_bench.core.files import sweep, whole_file, write_text
from hsa_bench.core.models.network_print import differ

_FORMATS = ("float32", "float16")
_CHUNK = 2**26
"""Bytes that are read at once."""

_VERIFIED: dict[Path, tuple[int, int, int, str]] = {}
"""By file, as it was when its checksum was compared in this process: inode, size, time, checksum."""


class Damaged(ValueError):
    """What is on file is not what was written; the message says how it is seen."""


@dataclass(frozen=True)
class KeptFeatures:
    """One file of features, there or wanted."""

    path: Path
    said: Mapping[str, Any]
    """All that identifies them, as JSON has it."""
    rows: int
    print: str
    """Of the network that they are wanted of; see `network_print`."""
    dim: int = 0
    """Their length, where it is known."""

    @property
    def beside(self) -> Path:
        """The file that says what it is."""
        return self.path.with_suffix(".json")

    @property
    def pieces(self) -> Path:
        """The folder of an extraction that is not done."""
        return self.path.with_suffix("")

    def fault(self) -> str:
        """Why they cannot be used; empty where they can. It takes that they are not `missing`."""
        try:
            said = self._read()
            if differ(self.print, said.get("print", "")):
                return "of another network of the same key, whose features of fixed pictures differ"
            self._check(said)
        except Damaged as error:
            return f"damaged ({error})"
        return ""

    @property
    def missing(self) -> bool:
        """Whether there is no file at all."""
        return not self.path.exists()

    def usable(self) -> bool:
        """Whether they are there and proven."""
        return not self.missing and not self.fault() and "sha256" in self._read()

    def stated(self) -> bool:
        """Whether they are there by what their file says, which is not compared with its checksum."""
        try:
            said = self._read()
        except Damaged:
            return False
        return not self.missing and "sha256" in said and not differ(self.print, said.get("print", ""))

    def usable_aloud(self, say: Callable[[str], None]) -> bool:
        """Whether they are there and proven; say so where they are there and are not.

        Features of an older version, without a checksum, get one.
        """
        if self.usable():
            return True
        if self.missing:
            return False
        if fault := self.fault():
            say(f"features {self.path}: {fault}, computed again")
            return False
        self.adopt()
        say(f"features {self.path}: of an older version, without a checksum; used as they are, with one now")
        return True

    def adopt(self) -> None:
        """Give features of an older version their checksum."""
        found = _opened(self.path)
        write_text(self.beside, json.dumps({**self._read(), **_proof(found, _sha256([found]))}))

    def begin(self) -> None:
        """Say what is going to be made; drop what is there, and pieces of another network."""
        try:
            others = differ(self.print, self._read().get("print", ""))
        except Damaged:
            others = False
        if others:
            shutil.rmtree(self.pieces, ignore_errors=True)
        self.path.unlink(missing_ok=True)
        for left in (self.path, self.beside):
            sweep(left.parent, left.name)
        sweep(self.pieces)
        write_text(self.beside, json.dumps({**self.said, "print": self.print}))

    def join(self, pieces: Iterable[Path]) -> None:
        """Write the features from their pieces, which go.

        Raises:
            Damaged: A piece is.
        """
        files = list(pieces)
        first = read_piece(files[0])
        shape = (self.rows, first.shape[1])
        header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
        total = hashlib.sha256()
        with whole_file(self.path) as out:
            np.lib.format.write_array_header_1_0(out, header)
            for file in files:
                data = read_piece(file).astype(first.dtype, copy=False).tobytes()
                total.update(data)
                out.write(data)
            proof = {"sha256": total.hexdigest(), "dtype": str(first.dtype), "shape": list(shape)}
            # First the word, then the file: without its file it only says what is being made.
            write_text(self.beside, json.dumps({**self.said, "print": self.print, **proof}))
        shutil.rmtree(self.pieces)

    def _read(self) -> dict[str, Any]:
        try:
            said = json.loads(self.beside.read_bytes())
        except FileNotFoundError:
            raise Damaged(f"{self.beside.name} is missing") from None
        except (OSError, ValueError) as error:
            raise Damaged(f"{self.beside.name} cannot be read") from error
        wanted = json.loads(json.dumps(dict(self.said)))
        if not isinstance(said, dict) or any(said.get(k) != v for k, v in wanted.items() if k != "backbone"):
            raise Damaged(f"{self.beside.name} tells of others")
        return said

    def _check(self, said: Mapping[str, Any]) -> None:
        found = _opened(self.path)
        fits = found.ndim == 2 and len(found) == self.rows and found.shape[1] > 0
        if not fits or str(found.dtype) not in _FORMATS or self.dim not in {0, found.shape[1]}:
            raise Damaged(f"{found.dtype} of shape {found.shape}, not of {self.rows} images")
        if "sha256" not in said:
            if not all(np.isfinite(part).all() for part in _chunks(found)):
                raise Damaged("NaN or infinity")
            return
        if _proof(found, said["sha256"]) != {name: said.get(name) for name in ("sha256", "dtype", "shape")}:
            raise Damaged("another number format or shape than were written")
        stat = self.path.stat()
        state = (stat.st_ino, stat.st_size, stat.st_mtime_ns, said["sha256"])
        if _VERIFIED.get(self.path) != state:
            if _sha256([found]) != said["sha256"]:
                raise Damaged("another checksum than when it was written")
            _VERIFIED[self.path] = state


def write_piece(path: Path, rows: NDArray[Any]) -> None:
    """Write a part of the features, sealed with its checksum."""
    buffer = io.BytesIO()
    np.save(buffer, rows)
    data = buffer.getvalue()
    with whole_file(path) as out:
        out.write(data)
        out.write(hashlib.sha256(data).hexdigest().encode())


def read_piece(path: Path) -> NDArray[Any]:
    """Read a part of the features.

    Raises:
        Damaged: It is not as it was written.
    """
    try:
        sealed = path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error
    data, seal = sealed[:-WHOLE], sealed[-WHOLE:]
    if hashlib.sha256(data).hexdigest().encode() != seal:
        raise Damaged(f"{path} is cut off or altered")
    found: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return found


def is_whole(path: Path, rows: int) -> bool:
    """Whether a part of the features is there as it was written."""
    try:
        return path.exists() and read_piece(path).shape[0] == rows
    except Damaged:
        return False


def _opened(path: Path) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Damaged("cut off, or no array") from error
    if not isinstance(found, np.ndarray) or not found.flags.c_contiguous:
        raise Damaged("another form than was written")
    return found


def _proof(found: NDArray[Any], sha256: str) -> dict[str, Any]:
    return {"sha256": sha256, "dtype": str(found.dtype), "shape": list(found.shape)}


def _chunks(found: NDArray[Any]) -> Iterable[NDArray[Any]]:
    step = max(1, _CHUNK // max(1, found.shape[1] * found.itemsize))
    return (found[low : low + step] for low in range(0, len(found), step))


def _sha256(arrays: Iterable[NDArray[Any]]) -> str:
    total = hashlib.sha256()
    for array in arrays:
        for part in _chunks(array):
            total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()
