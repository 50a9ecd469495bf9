"""What lies in the cache of a run folder, in files and bytes, and how to free it. Free of torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsa_bench.core.errors import UsageError

CACHE = "cache"
"""Below a run folder; everything in it can be made again."""

FEATURES = "features"

KINDS = {
    FEATURES: "features of frozen backbones, a file each for train and test, and for every layer",
    "hashes": "hashes of pictures, to find test images seen in pretraining",
    "manifests": "what is known of the files in image folders: sizes, times, hashes, whether they decode",
    "report": "figures and resampled numbers of the report",
    "digit-scenes": "generated pictures for detection",
}
"""What is in a folder of the cache, by how its name begins."""


@dataclass(frozen=True)
class Entry:
    """Something that is freed as a whole."""

    run: Path
    """The run folder."""
    kind: str
    path: Path
    """A file, or a folder."""
    size: int
    """Bytes, of all that belongs to it."""
    said: str
    """What it is."""


def run_folders(root: Path) -> list[Path]:
    """Folders with a cache: the one given, or all below it.

    Raises:
        UsageError: There is none.
    """
    if (root / CACHE).is_dir():
        return [root]
    found = sorted(path.parent for path in root.rglob(CACHE) if path.is_dir()) if root.is_dir() else []
    if not found:
        raise UsageError(f"{root}: no run folder with a {CACHE}/ here; give the --out folder of a run")
    return found


def entries(run: Path) -> list[Entry]:
    """All that the cache of a run folder holds; unknown things, and links out of it, are left alone."""
    found = []
    for kind in KINDS:
        for folder in sorted((run / CACHE).glob(f"{kind}*")):
            if folder.is_dir() and not folder.is_symlink():
                found += list(_features(run, folder)) if kind == FEATURES else [_whole(run, kind, folder)]
    return found


def free(one: Entry) -> None:
    """Remove it, with what describes it."""
    if one.path.is_dir():
        shutil.rmtree(one.path)
    else:
        one.path.unlink(missing_ok=True)
    for beside in (".json", ".lock"):
        one.path.with_suffix(beside).unlink(missing_ok=True)


def _features(run: Path, folder: Path) -> Iterator[Entry]:
    """A set of features an entry, and all that an extraction left that was cut short."""
    for path in sorted(folder.iterdir()):
        beside = path.with_suffix(".json")
        size = _size(path) + _size(beside)
        if path.name.startswith(".") and path.is_file():
            yield Entry(run, FEATURES, path, _size(path), "a file cut short while it was written")
        elif path.suffix == ".npy":
            yield Entry(run, FEATURES, path, size, _described(beside))
        elif path.is_dir() and not path.is_symlink():
            yield Entry(run, FEATURES, path, size, "pieces of an extraction that was cut short")


def _whole(run: Path, kind: str, folder: Path) -> Entry:
    return Entry(run, kind, folder, _size(folder), KINDS[kind])


def _described(beside: Path) -> str:
    try:
        said: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        size, resize, *_ = said["view"]
        layer = said["layer"] or "last"
        return (
            f"{said['backbone']} ({said['id']['arch']}), {layer}, {said['data']:,} images at {size} of "
            f"{resize} px, {said['precision']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "features (of an older version)"


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(_size(inside) for inside in path.iterdir() if not inside.is_symlink())
    return path.stat().st_size if path.is_file() else 0
