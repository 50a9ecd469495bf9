"""Where and with what a run computes: whatever may differ between machines without changing a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SCRATCH = ".part"
"""Suffix of files that are of no use once a result is written."""


def _no_progress(description: str, done: int, total: int) -> None:
    """Nobody watches."""


def unheard(text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Context:
    """Paths, device and loader processes: all that may differ between machines without changing a number."""

    data_root: Path
    """Folder below which data sets are looked for."""
    cache: Path
    """Folder for features and generated data; may be deleted at any time."""
    artefacts: Path = Path()
    """File name prefix for what this run leaves beside its result; append e.g. ".pth"."""
    scratches: Path = Path()
    """File name prefix for what helps a repeated run; empty for that of `artefacts`."""
    device: str = "cpu"
    workers: int = 0
    """Loader processes."""
    compile: bool = False
    """Whether torch.compile compiles networks; where that moves numbers, a task's precision says so."""
    progress: Callable[[str, int, int], None] = _no_progress
    """Called as (description, done, total)."""
    say: Callable[[str], None] = unheard
    """Called with what a person should know at once, e.g. that a stopped training goes on."""

    def track(self, items: Iterable[T], description: str, total: int) -> Iterator[T]:
        """Pass items on and report how far they are."""
        self.progress(description, 0, total)
        for done, item in enumerate(items, start=1):
            yield item
            self.progress(description, done, total)

    def artefact(self, suffix: str) -> Path:
        """Path of a file that belongs to this run, e.g. suffix ".pth"; its folder exists."""
        return _beside(self.artefacts, suffix)

    def scratch(self, name: str) -> Path:
        """Path of a file that helps a repeated run to go on; it is removed once the result is written."""
        prefix = self.scratches if self.scratches.name else self.artefacts
        return _beside(prefix, f".{name}{SCRATCH}")


def _beside(prefix: Path, suffix: str) -> Path:
    prefix.parent.mkdir(parents=True, exist_ok=True)
    return prefix.with_name(prefix.name + suffix)
