"""Whether a training got further: a piece that begins again and again where nothing does is given up."""

from __future__ import annotations

from pathlib import Path

FURTHER = {".resume", ".part", ".json"}
"""Endings of resume files and of results; logs are written by each attempt."""


def mark(folder: Path) -> str:
    """Return what changes whenever a training in the folder has saved an epoch, or a run its result."""
    files = [path for path in folder.rglob("*") if path.suffix in FURTHER and path.is_file()]
    newest = max((path.stat().st_mtime_ns for path in files), default=0)
    return f"{len(files)} files, {newest}" if files else ""
