"""Compare a trunk's tensors with a file's, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

COUNTER = "num_batches_tracked"
"""Of batch norm; some formats leave all of them out, and they change no number."""


@dataclass(frozen=True)
class Match:
    """What fits and what does not."""

    matched: int
    total: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    unlike: tuple[str, ...]
    """Tensors of another shape or kind: "conv1.weight (64, 3, 3, 3) for (64, 3, 7, 7)"."""
    without_counters: bool
    """The file has no batch-norm counter at all; they do not count as missing."""

    @property
    def complete(self) -> bool:
        """Every tensor has its place and every place its tensor."""
        return not (self.missing or self.extra or self.unlike)

    @property
    def share(self) -> float:
        """Of the places, those that match."""
        return self.matched / self.total if self.total else 0.0

    def __str__(self) -> str:
        return (
            f"{self.matched} of {self.total} trunk tensors match; nothing was loaded. "
            f"Missing: {few(self.missing)}. Left over: {few(self.extra)}. Wrong shape: {few(self.unlike)}"
        )


def match(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Match:
    """Compare names, shapes and kinds.

    Args:
        wanted: A trunk's tensors; they may be without memory.
        found: A file's.
    """
    without = not any(key.endswith(COUNTER) for key in found)
    needed = [key for key in wanted if not (without and key.endswith(COUNTER))]
    missing = [key for key in needed if key not in found]
    unlike = [_difference(key, found[key], wanted[key]) for key in needed if key in found]
    unlike = [text for text in unlike if text]
    return Match(
        matched=len(needed) - len(missing) - len(unlike),
        total=len(needed),
        missing=tuple(missing),
        extra=tuple(key for key in found if key not in wanted),
        unlike=tuple(unlike),
        without_counters=without and len(needed) < len(wanted),
    )


def few(items: tuple[str, ...] | list[str]) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(items[:4]) or "none"
    return shown if len(items) <= 4 else f"{shown} and {len(items) - 4} more"


def _difference(key: str, found: Tensor, wanted: Tensor) -> str:
    if found.shape != wanted.shape:
        return f"{key} {tuple(found.shape)} for {tuple(wanted.shape)}"
    if found.is_floating_point() != wanted.is_floating_point() or found.is_complex():
        return f"{key} of {found.dtype} for {wanted.dtype}"
    return ""
