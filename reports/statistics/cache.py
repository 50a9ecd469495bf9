"""Numbers that took long, kept under what they were computed from; may be deleted at any time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsa_bench.core.digest import digest as hex_digits
from hsa_bench.core.files import write_text
from hsa_bench.core.results.result import TaskResult

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


@dataclass
class Cache:
    """JSON values by digest, in one file."""

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
        """A cache file; an unreadable one counts as none."""
        try:
            known = json.loads(path.read_bytes())
        except (OSError, ValueError):
            known = {}
        return cls(path, known if isinstance(known, dict) else {})

    def __contains__(self, name: str) -> bool:
        return name in self._known

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
                write_text(self.path, json.dumps({name: self._known[name] for name in sorted(self._used)}))
            except OSError:  # a folder that cannot be written: the report is there all the same
                return
