"""Files that a list or an annotation names, looked up in one folder: no name and no link leads out of it.

The data's root, and every folder of the layout, may be a link: it is the user's own. What lies in such a
folder is what an archive may have brought, so a link there is followed to places inside the folder or the
data's root alone.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path, PurePosixPath

from hsa_bench.core.data.manifest import shown
from hsa_bench.core.errors import DataError

LONGEST = 255
"""Bytes of a file's name."""

SHOWN = 100
"""Letters of a name that messages show."""


class ListedFiles:
    """The files of one folder, listed once, as that is faster than a look for each.

    Attributes:
        folder: Where the files are.
        names: Names of what lies directly in it.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        """List a folder.

        Args:
            folder: Where the files are; it may be a link.
            root: The data's root, which links may lead to as well.

        Raises:
            DataError: No such folder, or it cannot be listed.
        """
        self.folder, self._root = folder, root
        try:
            with os.scandir(folder) as entries:
                self._plain = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
        except OSError as error:
            raise DataError(f"{folder}: no such folder, or it cannot be read ({error.strerror})") from error

    @property
    def names(self) -> set[str]:
        return set(self._plain)

    @cached_property
    def _homes(self) -> tuple[str, str]:
        return os.path.realpath(self.folder), os.path.realpath(self._root)

    def trouble(self, name: str, kind: str) -> str:
        """Say why a name is not one of a regular file of the folder; empty where it is.

        Args:
            name: Relative to the folder.
            kind: What it should be, for the message, for example "picture".
        """
        if trouble := name_trouble(name):
            return trouble
        if self._plain.get(name):
            return ""
        path = self.folder / name
        real = os.path.realpath(path)
        if not os.path.lexists(path):
            return f"no such {kind}"
        if not any(real.startswith(home.rstrip(os.sep) + os.sep) for home in self._homes):
            return (
                f"leads to {real}, outside {self._homes[0]}; copy the {kind} there, or let the whole folder "
                "be a link"
            )
        if not os.path.isfile(real):
            what = "a folder" if os.path.isdir(real) else "not a regular file"
            return f"is {what}, not a {kind}" if os.path.lexists(real) else f"no such {kind}"
        return ""


def name_trouble(name: str) -> str:
    """Say why a name may lead out of the folder that it is looked for in; empty where it cannot."""
    if not name or "\0" in name or (not name.isascii() and _has_no_utf8(name)):
        return "is not a file's name"
    if any(len(part.encode()) > LONGEST for part in name.split("/")):
        return "is longer than a file's name can be"
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", name):
        return "names a place outside its folder by an absolute path; give the path inside the folder"
    if ".." in re.split(r"[/\\]", name):
        return "leads out of its folder by '..'; give the path inside the folder"
    return "" if PurePosixPath(name).name else "names a folder"


def refuse_unwritable(root: Path) -> None:
    """Refuse a data root whose path no result could hold.

    Raises:
        DataError: It is not UTF-8.
    """
    if _has_no_utf8(str(root)):
        raise DataError(f"{shown(root)}: the path of this folder is not UTF-8; rename it, or link to it")


def shortened(name: object) -> str:
    """A name for a message, cut where nobody would read on."""
    text = str(name)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _has_no_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False
