"""Files and folders written whole or not at all, and what a killed process left of them."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from socket import gethostname
from typing import IO

from hsa_bench.core.digest import digest
from hsa_bench.core.errors import Unwritable

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system answers where there is no more room."""

OURS = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<host>[0-9a-f]{6})-(?P<process>[0-9]{1,10})")
"""Names of what is being written, or was when its process died."""

OLDER = re.compile(
    r"\..+\.(json|npz|npy|png|svg|pdf|pth|safetensors|md|html|csv|tex|resume|part)\.[a-z0-9_]{8}"
    r"|\.digit-scenes-v\d+-seed\d+\.[a-z0-9_]{8}"
)
"""The same of older versions, which do not name the process."""

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""What it answers where nothing is to be written."""

DAY = 24 * 60 * 60.0
"""Seconds from which something that names no process of this machine counts as left behind."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of `path` only when the block succeeds.

    Raises:
        Unwritable: The disk is full, or the place cannot be written to.
    """
    beside = _beside(path)
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.filename and Path(error.filename) not in {beside, path, *path.parents}:
            raise  # something that was read
        raise unwritable(error, path) from error
    except RuntimeError as error:  # torch.save's, over the system's
        if isinstance(error.__context__, OSError):
            raise unwritable(error.__context__, path) from error
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of `path`, unless that is there, when the block succeeds.

    Raises:
        Unwritable: The disk is full, or the place cannot be written to.
    """
    beside = _beside(path)
    try:
        beside.mkdir(parents=True)
        yield beside
        try:
            os.rename(beside, path)
        except OSError:
            if not path.is_dir():  # else another process was faster, and made the same
                raise
    except OSError as error:
        raise unwritable(error, path) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())


def unwritable(error: OSError, path: Path) -> Unwritable:
    """Return an error of the system's as one of ours: the file, the reason and the remedy."""
    if isinstance(error, Unwritable):
        return error
    reason = error.strerror or f"not all could be written ({error})"
    remedy = "see that it can be written to"
    if error.errno in FULL or error.errno is None:
        remedy = "make room"
    elif error.errno in {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}:
        remedy = "move what is in the way"
    said = Unwritable(f"{path}: {reason}; {remedy} and run the same command again, finished runs stay")
    said.errno = error.errno
    return said


def check_writable(folder: Path) -> None:
    """Write a file into a folder and remove it.

    Raises:
        Unwritable: With the reason.
    """
    probe = _beside(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"probe")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(error, folder) from error


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that it is out of the way; nothing is deleted or written over.

    Returns:
        Its new name: `x.pth.broken`, or `x.pth.broken1` and so on where that is taken.
    """
    names = (path.with_name(f"{path.name}.broken{n or ''}") for n in count())
    place = next(name for name in names if not os.path.lexists(name))
    path.rename(place)
    return place


def sweep(folder: Path, name: str = "") -> int:
    """Remove what processes that are dead left of files they were writing; all else stays.

    Args:
        folder: Looked through alone, not what is below it.
        name: Of the one file that was to be written; empty for any.

    Returns:
        How many things were removed.
    """
    swept = 0
    with suppress(OSError):
        for path in [*folder.iterdir()]:
            if path.name.startswith(f".{name}") and _left_behind(path, name):
                with suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                    swept += 1
    return swept


def _left_behind(path: Path, name: str) -> bool:
    """Tell whether this is ours and nobody is writing it any more."""
    match = OURS.fullmatch(path.name)
    if match is None:
        return not name and OLDER.fullmatch(path.name) is not None and _old(path)
    if name not in {"", match["name"]}:
        return False
    if match["host"] == _host():
        return not alive(int(match["process"]))
    return _old(path)


def alive(process: int) -> bool:
    """Tell whether a process of this machine is there."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > DAY
    except OSError:
        return False


def _beside(path: Path) -> Path:
    """Name a hidden file beside one that is to be written, by chance, machine and process."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{_host()}-{os.getpid()}")


@cache
def _host() -> str:
    return digest(gethostname(), length=6)
