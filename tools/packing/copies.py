"""How large packed files are, and whether one copy takes them to a node."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LIMIT = 64.0
"""MiB that go over in one copy, unless said otherwise."""


class Unpackable(Exception):
    """What cannot be packed, and why."""


def tell_size(what: str, files: Iterable[Path], folder: Path, limit: float) -> None:
    """Print how large packed files are, and whether they go over in one copy of `limit` MiB."""
    sizes = [file.stat().st_size / 2**20 for file in files]
    print(f"{what}: {sum(sizes):.1f} MiB in {folder}")
    if max(sizes, default=0) > limit or (folder.name == "wheels" and sum(sizes) > limit):
        print(f"note: more than {limit:g} MiB: it needs several copies")
