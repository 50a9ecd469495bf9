"""An archive of images divided among archives that can be copied one by one."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.packing.copies import Unpackable, tell_size

ROOM = 2**16
"""Bytes of a part that its list of names may take beyond what is counted."""


def pack_images(name: str, source: Path, folder: Path, most: int, limit: float) -> None:
    """Divide the images of an archive among archives that can be copied one by one.

    Args:
        name: Of the parts; the archive's own where it is empty.
        source: The archive, a folder a class.
        folder: For the parts; those of an earlier call go.
        most: Images of each folder; 0 for all.
        limit: MiB of a part.

    Raises:
        Unpackable: It is not a zip archive.
    """
    if not zipfile.is_zipfile(source):
        raise Unpackable(f"--data {source}: is no zip archive; write NAME=FILE.zip")
    folder.mkdir(parents=True, exist_ok=True)
    name = name or source.stem
    for old in folder.glob(f"{name}-*.zip"):
        old.unlink()
    parts: list[Path] = []
    with zipfile.ZipFile(source) as archive:
        for number, group in enumerate(_groups(_chosen(archive, most), limit * 2**20 - ROOM), start=1):
            parts.append(folder / f"{name}-{number}.zip")
            with zipfile.ZipFile(parts[-1], "w", zipfile.ZIP_STORED) as part:
                for one in group:
                    part.writestr(one.filename, archive.read(one))
    tell_size(f"{name}: {len(parts)} part(s), each to be unpacked into data/{name}", parts, folder, limit)


def _chosen(archive: zipfile.ZipFile, most: int) -> list[zipfile.ZipInfo]:
    """All files, or the first few of each folder, in the archive's order."""
    seen: dict[str, int] = {}
    chosen = []
    for one in archive.infolist():
        parent = one.filename.rpartition("/")[0]
        seen[parent] = seen.get(parent, 0) + (not one.is_dir())
        if not one.is_dir() and not 0 < most < seen[parent]:
            chosen.append(one)
    return chosen


def _groups(files: Sequence[zipfile.ZipInfo], limit: float) -> Iterator[list[zipfile.ZipInfo]]:
    """Consecutive files that fit into one archive together."""
    group: list[zipfile.ZipInfo] = []
    size = 0
    for one in files:
        own = one.file_size + 2 * len(one.filename.encode()) + 200  # with its two headers
        if group and size + own > limit:
            yield group
            group, size = [], 0
        group.append(one)
        size += own
    if group:
        yield group
