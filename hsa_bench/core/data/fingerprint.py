"""One hash over many picture files: names, sizes and content, of which what is known is not read again.

Up to 1 GiB all bytes are hashed in one go, as ever. Above, each file is hashed for itself, so that a changed
one is read alone; above 100,000 files that is done for a fixed draw of them, and names and sizes stand for
the others.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from hsa_bench.core.data.manifest import PIECE, Fact, Manifest, Stamp, content_of, manifest_of, stamps_of
from hsa_bench.core.seed import generator

AT_ONCE = 2**30
"""Bytes up to which one hash runs over all content."""

ALL_FILES = 100_000
"""Files up to which each one's content is looked at."""

SAMPLE = 10_000
"""Files whose content is looked at where there are more."""

DIGITS = 32
"""Of the hash of one file."""


def fingerprint(root: Path, names: Sequence[str]) -> str:
    """Hash picture files.

    Args:
        root: Their folder; its place changes nothing.
        names: Relative to it, in the order that matters.

    Raises:
        DataError: One is missing, or no regular file.
    """
    manifest = manifest_of(root)
    began = time.time_ns()
    stamps = stamps_of(root, names)
    method = _all_bytes if sum(stamp.size for stamp in stamps) <= AT_ONCE else _file_by_file
    state = _state(method.__name__, names, stamps)
    if known := manifest.printed(state):
        return known
    with ExitStack() as at_end:
        reader = Reader(manifest)
        at_end.callback(reader.flush)
        found = method(reader, names, stamps)
    if reader.steady and all(stamp.settled(began) for stamp in stamps):
        manifest.keep_print(state, found)
    return found


def drawn(count: int, most: int, sample: int, purpose: str) -> list[int]:
    """All of `count`, or above `most` a fixed draw of `sample` of them, in order."""
    if count <= most:
        return list(range(count))
    return sorted(torch.randperm(count, generator=generator(0, purpose))[:sample].tolist())


@dataclass
class Reader:
    """Reads files and keeps what it found in the manifest, piece by piece."""

    manifest: Manifest
    steady: bool = True
    """Whether no file changed between being listed and being read."""
    found: dict[str, Fact] = field(default_factory=dict)

    def content(self, name: str, listed: Stamp) -> bytes:
        """The bytes of a file."""
        content, stamp = content_of(f"{self.manifest.root}/{name}")
        self.steady &= stamp == listed
        known = self.manifest.known(name, stamp)
        if not known.content:
            self.note(name, replace(known, content=hash_of(content)))
        return content

    def hash(self, name: str, listed: Stamp) -> str:
        """Hash of a file, which is read where it is not known."""
        return self.manifest.known(name, listed).content or hash_of(self.content(name, listed))

    def note(self, name: str, fact: Fact) -> None:
        """Keep a fact, at the latest with the next piece."""
        self.found[name] = fact
        if len(self.found) >= PIECE:
            self.flush()

    def flush(self) -> None:
        """Write what was found."""
        self.manifest.keep(self.found)
        self.found = {}


def hash_of(content: bytes) -> str:
    """Identity of one file's content."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _all_bytes(reader: Reader, names: Sequence[str], stamps: Sequence[Stamp]) -> str:
    total = hashlib.sha256(b"content")
    for name, stamp in zip(names, stamps, strict=True):
        total.update(_head(name, stamp))
        total.update(reader.content(name, stamp))
    return total.hexdigest()


def _file_by_file(reader: Reader, names: Sequence[str], stamps: Sequence[Stamp]) -> str:
    total = hashlib.sha256(b"contents")
    looked_at = set(drawn(len(names), ALL_FILES, SAMPLE, "fingerprint"))
    for index, (name, stamp) in enumerate(zip(names, stamps, strict=True)):
        total.update(_head(name, stamp))
        if index in looked_at:
            total.update(reader.hash(name, stamp).encode())
    return total.hexdigest()


def _head(name: str, stamp: Stamp) -> bytes:
    return name.encode(errors="surrogateescape") + b"\0%d\0" % stamp.size


def _state(method: str, names: Sequence[str], stamps: Sequence[Stamp]) -> str:
    """Identity of the files as they lie there, by names, sizes and times."""
    parts = [f"{name}\0{stamp}" for name, stamp in zip(names, stamps, strict=True)]
    return hashlib.sha256("\0".join([method, *parts]).encode(errors="surrogateescape")).hexdigest()
