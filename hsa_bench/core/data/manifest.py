"""What is known of the picture files of one folder, kept from process to process.

Two text files a folder in `<cache>/manifests/`, a line a fact, each line under a checksum of its own.
A fact holds as long as the file's size and times are what they were; whatever does not hold, or cannot be
read, is found out again. Lines are added piece by piece, so a killed process loses its last piece alone.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

from hsa_bench.core.digest import digest
from hsa_bench.core.errors import DataError
from hsa_bench.core.files import whole_file

PIECE = 512
"""Facts that are written at once."""

VERSION = 1
"""Goes into each line's checksum, so lines of another version do not hold."""

FACTS, PRINTS = ".files", ".prints"
"""Suffixes: what is known of each file, and of many together."""

STALE = 4
"""Where a file has this many lines for each fact, it is written anew."""


class Stamp(NamedTuple):
    """By what a file is known to be what it was."""

    size: int
    modified: int
    """Nanoseconds."""
    changed: int
    """Nanoseconds; of content, name or rights. Nothing sets it back."""

    def settled(self, now: int) -> bool:
        """Whether a later change would show in it: clocks of file systems tick, some only each second."""
        latest = max(self.modified, self.changed)
        tick = 2_000_000_000 if self.modified % 1_000_000_000 == 0 else 50_000_000
        return latest + tick < now


@dataclass(frozen=True)
class Fact:
    """What was found out about one file; what was not looked at yet is empty."""

    stamp: Stamp
    content: str = ""
    """Leading digits of the SHA-256 of its bytes."""
    width: int = 0
    """As its header says, px."""
    height: int = 0
    mode: str = ""
    """Pillow's name for channels and their depth."""
    turn: int = 1
    """EXIF's orientation; 1 is upright."""
    decoded: bool = False
    """Whether all of it was decoded."""
    fault: str = ""
    """Why it cannot be decoded."""

    @property
    def plain(self) -> list[Any]:
        """All but the stamp, in order, as JSON has it."""
        return [self.content, self.width, self.height, self.mode, self.turn, self.decoded, self.fault]


@dataclass
class Manifest:
    """The facts about the files below one folder."""

    root: Path
    path: Path | None
    """Where they are kept, without suffix; None for nowhere."""

    def known(self, name: str, stamp: Stamp) -> Fact:
        """The fact about a file, empty where it is another file by now."""
        row = self._facts.get(name)
        return Fact(stamp, *row[4:]) if row is not None and tuple(row[1:4]) == stamp else Fact(stamp)

    def keep(self, found: Mapping[str, Fact]) -> None:
        """Add facts, of files that are settled, and write them."""
        now = time.time_ns()
        rows = [
            [name, *fact.stamp, *fact.plain]
            for name, fact in found.items()
            if fact.stamp.settled(now) or fact.fault
        ]
        self._facts.update((row[0], row) for row in rows)
        self._append(FACTS, rows)

    def broken(self) -> list[tuple[str, Fact]]:
        """Name and facts of every file that could not be decoded once."""
        return [(row[0], Fact(Stamp(*row[1:4]), *row[4:])) for row in self._rows(FACTS) if row[-1]]

    def printed(self, state: str) -> str:
        """The fingerprint of many files by a hash of their names and stamps, empty if there is none."""
        return next((row[1] for row in self._rows(PRINTS) if row[0] == state), "")

    def keep_print(self, state: str, value: str) -> None:
        """Add the fingerprint of many files."""
        self._append(PRINTS, [[state, value]])

    @cached_property
    def _facts(self) -> dict[str, list[Any]]:
        rows = list(self._rows(FACTS))
        found = {row[0]: row for row in rows}
        faults = [row for row in rows if row[-1]]
        if len(rows) > 1000 + STALE * (len(found) + len(faults)):
            with suppress(OSError), whole_file(self._file(FACTS)) as file:
                file.write("".join(map(_line, [*faults, *found.values()])).encode())
        return found

    def _file(self, kind: str) -> Path:
        assert self.path is not None
        return self.path.with_suffix(kind)

    def _rows(self, kind: str) -> Iterator[list[Any]]:
        """The lines whose checksum holds."""
        try:
            lines = self._file(kind).read_bytes().split(b"\n") if self.path is not None else []
        except OSError:
            return
        for line in lines:
            if line[:8] == _checksum(line[9:]):
                yield json.loads(line[9:])

    def _append(self, kind: str, rows: Iterable[Sequence[object]]) -> None:
        """Add lines in one write, so that those of several processes do not mix."""
        text = "".join(map(_line, rows))
        if self.path is None or not text:
            return
        with suppress(OSError):  # it saves time and nothing else
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._file(kind), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(handle, f"\n{text}".encode())  # a line cut off by a kill ends here
            finally:
                os.close(handle)


_kept_in: Path | None = None


def keep_in(cache: Path) -> None:
    """Keep this process's manifests in a run's cache, and those of its loaders.

    They change no number, so they are no setting; without this call nothing is kept. The folder stays
    that one where the process goes elsewhere.
    """
    global _kept_in  # noqa: PLW0603 (one place a process)
    _kept_in = cache.absolute() / "manifests"


def manifest_of(root: Path) -> Manifest:
    """What is known of a folder's files."""
    return Manifest(root, None if _kept_in is None else _kept_in / digest(os.fsencode(root.resolve())))


def stamps_of(root: Path, names: Iterable[str]) -> list[Stamp]:
    """Size and times of pictures' files.

    Raises:
        DataError: One is not there, or no regular file; the message names it.
    """
    return [stamp_of(f"{root}/{name}") for name in names]


def stamp_of(path: str | Path) -> Stamp:
    """Size and times of a picture's file; see `stamps_of`."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(path)}: cannot be found ({reason(error)}); put it back") from error
    return checked_stamp(path, found)


def checked_stamp(path: str | Path, found: os.stat_result) -> Stamp:
    """The stamp in what the system says of a file.

    Raises:
        DataError: It is a folder, a pipe, a device or the like; the message names it.
    """
    if not S_ISREG(found.st_mode):
        raise DataError(f"{shown(path)}: is no regular file, so no picture; remove it")
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def content_of(path: str | Path) -> tuple[bytes, Stamp]:
    """The bytes of a picture's file, and what it was when they were read. A pipe is not waited for.

    Raises:
        DataError: It is not there, or no regular file; the message names it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            stamp = checked_stamp(path, os.fstat(handle))
            return file.read(), stamp
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{shown(path)}: cannot be read ({reason(error)}); put it back") from error


def shown(name: str | Path) -> str:
    """A file's name as text that can be printed and written; bytes that are not UTF-8 as two digits."""
    with suppress(UnicodeEncodeError):
        return str(name).encode(errors="surrogateescape").decode(errors="backslashreplace")
    return str(name).encode(errors="backslashreplace").decode()


def reason(error: BaseException) -> str:
    """What an error says, without the path that the message names anyhow."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shown(said or type(error).__name__)


def _line(row: Sequence[object]) -> str:
    text = json.dumps(row, separators=(",", ":"))
    return f"{_checksum(text.encode()).decode()} {text}\n"


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text, VERSION)
