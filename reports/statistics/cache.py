"""Numbers that took long, kept under what they were computed from; may be deleted at any time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hsa_bench.core.digest import digest as hex_digits
from hsa_bench.core.errors import UnreadableResult
from hsa_bench.core.files import write_text
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.sound import read_json

COMPUTATION = 3
"""Raised when a computation changes a kept number."""


def origin(result: TaskResult, folder: Path) -> tuple[str, str, str, str]:
    """What tells one run of a result from a repeated one: its key, when it was made, numbers and outcomes.

    Args:
        result: The run.
        folder: Where its outcomes stand.
    """
    try:
        stat = (folder / result.examples).stat() if result.examples else None
        outcomes = f"{stat.st_size} {stat.st_mtime_ns}" if stat else ""
    except OSError:
        outcomes = "absent"
    return result.spec.key, result.provenance.started, f"{result.metrics}", outcomes


def digest(*parts: object) -> str:
    """Name a number by what it is computed from, in 20 digits."""
    return hex_digits(repr((COMPUTATION, parts)), length=20)


def _digest(numbers: dict[str, Any]) -> str:
    return hex_digits(json.dumps(numbers, sort_keys=True))


@dataclass
class Cache:
    """JSON values by digest, in one file, with a digest of all that tells a damaged one."""

    path: Path
    _known: dict[str, Any] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _added: bool = False

    @classmethod
    def of(cls, out: Path) -> Cache:
        """The cache of a run folder."""
        return cls.read(out / "cache" / "report" / "numbers.json")

    @classmethod
    def read(cls, path: Path) -> Cache:
        """A cache file; an unreadable or damaged one counts as none."""
        try:
            kept = read_json(path, "numbers of a report")
        except UnreadableResult:
            kept = {}
        known = kept.get("numbers") if isinstance(kept, dict) else None
        if not isinstance(known, dict) or kept.get("digest") != _digest(known):
            known = {}
        return cls(path, known)

    def knows(self, name: str, kind: TypeAdapter[Any]) -> bool:
        """Whether there is a value of that name; one of another kind is forgotten."""
        try:
            kind.validate_python(self._known[name])
        except (KeyError, ValueError):
            self._known.pop(name, None)
            return False
        return True

    def get(self, name: str, compute: Callable[[], Any]) -> Any:
        """The value of that name, computed if it is not there."""
        if name not in self._known:
            self._known[name] = compute()
            self._added = True
        self._used.add(name)
        return self._known[name]

    def save(self) -> None:
        """Write what was asked for since the cache was opened, and nothing else."""
        if self._added or self._used != set(self._known):
            try:
                used = {name: self._known[name] for name in sorted(self._used)}
                write_text(self.path, json.dumps({"digest": _digest(used), "numbers": used}))
            except OSError:  # a folder that cannot be written: the report is there all the same
                return
