"""What a training reads, by which a stopped one knows whether it may go on.

A picture that could not be decoded was not learnt from. So a training goes on where every picture is what it
was, or was broken then: mending one loses nothing. And what it learnt does not depend on test pictures.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.data.detection.detection_data import DetectionSplit
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.data.manifest import manifest_of, stamps_of
from hsa_bench.core.digest import digest
from hsa_bench.core.files import whole_file

Short = NDArray[np.uint64]
"""Hashes of 64 bits; 0 for unknown."""


@dataclass(frozen=True)
class Reads:
    """The training part of a data set."""

    part: ImageSet | DetectionSplit

    @property
    def outline(self) -> str:
        """Hash over all but the content of files: names, labels, annotations."""
        part, images = self.part, self.part.images
        if isinstance(part, DetectionSplit):
            return digest(part.annotations, "\0".join(part.images.names))
        pixels = "" if isinstance(images, FileImages) else images.digest()
        labels = np.ascontiguousarray(part.labels).tobytes()
        return digest(pixels, labels, "\0".join((*part.classes, "", *part.examples)), repr(part.indices))

    @property
    def in_files(self) -> bool:
        """Whether pictures can change while names and labels stay."""
        return isinstance(self.part.images, FileImages)

    def go_on(self, noted: Path) -> bool:
        """Whether a training that noted what it read there may go on with what is read now."""
        try:
            with np.load(noted, allow_pickle=False) as then:
                fingerprint, contents, stamps = str(then["fingerprint"]), then["contents"], then["stamps"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False
        return fingerprint == self.part.fingerprint() or self._only_mended(contents, stamps)

    def note(self, path: Path) -> None:
        """Write what is read from now on."""
        if not self.in_files:
            return
        contents, stamps = self._now()
        with whole_file(path) as file:
            np.savez(file, fingerprint=self.part.fingerprint(), contents=contents, stamps=stamps)

    def _only_mended(self, contents: Short, stamps: Short) -> bool:
        """Whether every picture that is another now could not be decoded then."""
        images = self.part.images
        if not isinstance(images, FileImages) or len(contents) != len(images):
            return False
        now, stamps_now = self._now()
        same = np.where((contents > 0) & (now > 0), contents == now, stamps == stamps_now)
        broken = manifest_of(images.root).broken()
        known = {(name, _short(fact.content)) for name, fact in broken}
        known |= {(name, _short(*fact.stamp[:2])) for name, fact in broken}
        return all(
            {(images.names[i], int(contents[i])), (images.names[i], int(stamps[i]))} & known
            for i in np.flatnonzero(~same)
        )

    def _now(self) -> tuple[Short, Short]:
        """Of each picture in a file: its content, where it is known, and its size and time."""
        images = self.part.images
        if not isinstance(images, FileImages):
            return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        manifest, stamps = manifest_of(images.root), stamps_of(images.root, images.names)
        contents = [manifest.known(*of).content for of in zip(images.names, stamps, strict=True)]
        return (
            np.array([_short(content) for content in contents], np.uint64),
            np.array([_short(*stamp[:2]) for stamp in stamps], np.uint64),
        )


def noted_beside(path: Path) -> Path:
    """Where it is noted what a training reads, beside its scratch files or its resume file."""
    return path.with_name(f"{path.name}.reads")


def reads_of(data: Any) -> Reads | None:
    """The training part of a task's data; None where it has none."""
    part = getattr(data, "train", None)
    return Reads(part) if isinstance(part, ImageSet | DetectionSplit) else None


def _short(*parts: object) -> int:
    return int(digest(*map(str, parts)), 16) if any(parts) else 0
