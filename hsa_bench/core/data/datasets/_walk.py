"""Which files of an image folder are pictures, by torchvision's rule, and what is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from hsa_bench.core.data.manifest import reason, shown
from hsa_bench.core.errors import DataError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""torchvision's, in either case."""

SYSTEM = frozenset(
    {
        "__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found",
        "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r",
    }
)  # fmt: skip
"""What systems and archives leave in folders; all names that begin with a dot as well."""

HIDDEN = "hidden or left by a system"
ODD = "neither file nor folder"
LOOP = "a link to a folder around it"
BESIDE = "beside the class folders"

NAMED = 3
"""Things passed over that a note names; the others it counts."""


@dataclass
class PassedOver:
    """What is no picture and no class, by why."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def note(self, why: str, name: str) -> None:
        """One more."""
        self.names.setdefault(why, []).append(shown(name))

    def __str__(self) -> str:
        parts = []
        for why, names in sorted(self.names.items()):
            more = ", …" if len(names) > NAMED else ""
            parts.append(f"{len(names):,} {why} ({', '.join(sorted(names)[:NAMED])}{more})")
        return "; ".join(parts)


def class_folders(root: Path, split: str, passed: PassedOver) -> list[str]:
    """Names of the folders in a split.

    Raises:
        DataError: The split cannot be listed, or has none.
    """
    around = _around(root, root / split)
    found = []
    for name, entry in _entries(root, split, passed):
        if _enters(name, entry, around, passed):
            found.append(name)
        elif not _is_folder(entry):
            passed.note(BESIDE, name)
    if not found:
        raise DataError(f"{shown(root / split)}: no class folders in it")
    return sorted(PurePath(name).name for name in found)


def pictures(root: Path, folder: str, passed: PassedOver) -> list[str]:
    """Pictures in a class folder and the folders in it, sorted, relative to the root.

    Links are followed, but for those to a folder that they are in.

    Raises:
        DataError: A folder cannot be listed; or a link has a picture's name and leads nowhere.
    """
    found = []
    todo = [(folder, _around(root, root / folder))]
    while todo:
        here, around = todo.pop()
        for name, entry in _entries(root, here, passed):
            if _enters(name, entry, around, passed):
                todo.append((name, around | {_identity(entry.path)}))
            elif _is_folder(entry):
                continue
            elif not name.lower().endswith(EXTENSIONS):
                passed.note(f"of no picture's kind, {PurePath(name).suffix.lower() or 'no ending'}", name)
            elif _is_picture(name, entry, passed):
                found.append(name)
    return sorted(found)


def _entries(root: Path, folder: str, passed: PassedOver) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What is in a folder, with its name below the root, but for what is hidden."""
    try:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}"
                if entry.name.startswith(".") or entry.name in SYSTEM:
                    passed.note(HIDDEN, name)
                else:
                    yield name, entry
    except OSError as error:
        raise DataError(f"{shown(root / folder)}: cannot be listed ({reason(error)})") from error


def _enters(
    name: str, entry: os.DirEntry[str], around: frozenset[tuple[int, int]], passed: PassedOver
) -> bool:
    """Whether it is a folder to go into."""
    if not _is_folder(entry):
        return False
    if entry.is_symlink() and _identity(entry.path) in around:
        passed.note(LOOP, name)
        return False
    return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # a link to itself
        return entry.is_dir()
    return False


def _is_picture(name: str, entry: os.DirEntry[str], passed: PassedOver) -> bool:
    if entry.is_file(follow_symlinks=False):
        return True
    try:
        entry.stat()
    except OSError as error:
        raise DataError(
            f"{shown(entry.path)}: is a link that leads to no file ({reason(error)}); mend or remove it"
        ) from error
    if entry.is_file():
        return True
    passed.note(ODD, name)
    return False


def _around(root: Path, folder: Path) -> frozenset[tuple[int, int]]:
    """The folders that a folder below the root is in, itself and the root included."""
    inside = [folder, *folder.parents]
    return frozenset(_identity(path) for path in inside[: inside.index(root) + 1])


def _identity(path: str | Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
