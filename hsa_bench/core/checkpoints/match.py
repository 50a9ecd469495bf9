"""Compare a trunk's tensors with a file's, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

COUNTER = "num_batches_tracked"
"""Of batch norm; they change no number, so they may be missing, of any kind, or hold what they like."""


@dataclass(frozen=True)
class Match:
    """What fits and what does not."""

    matched: int
    total: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    unlike: tuple[str, ...]
    """Tensors of another shape or kind: "conv1.weight (64, 3, 3, 3) for (64, 3, 7, 7)"."""
    without_counters: int
    """Batch-norm counters that the file has not; they do not count as missing."""

    @property
    def complete(self) -> bool:
        """Every tensor has its place and every place its tensor."""
        return bool(self.total) and not (self.missing or self.extra or self.unlike)

    @property
    def share(self) -> float:
        """Of the places, those that match."""
        return self.matched / self.total if self.total else 0.0

    @property
    def brief(self) -> str:
        """What is not as it should be."""
        told = {"missing": self.missing, "left over": self.extra, "of wrong shape": self.unlike}
        faults = [f"{what} {few(names)}" for what, names in told.items() if names]
        return f"{self.matched} of {self.total} tensors match, {', '.join(faults) or 'nothing is amiss'}"

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
    without = [key for key in wanted if key.endswith(COUNTER) and key not in found]
    needed = [key for key in wanted if key in found or not key.endswith(COUNTER)]
    missing = [key for key in needed if key not in found]
    unlike = [_difference(key, found[key], wanted[key]) for key in needed if key in found]
    unlike = [text for text in unlike if text]
    return Match(
        matched=len(needed) - len(missing) - len(unlike),
        total=len(needed),
        missing=tuple(missing),
        extra=tuple(key for key in found if key not in wanted),
        unlike=tuple(unlike),
        without_counters=len(without),
    )


def few(items: tuple[str, ...] | list[str]) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(items[:4]) or "none"
    return shown if len(items) <= 4 else f"{shown} and {len(items) - 4} more"


def _difference(key: str, found: Tensor, wanted: Tensor) -> str:
    if found.layout is not torch.strided or found.is_quantized or found.is_meta or found.is_nested:
        return f"{key}, which is {_kind(found)}"
    if key.endswith(COUNTER):
        return "" if found.numel() == 1 else f"{key} {tuple(found.shape)} for {tuple(wanted.shape)}"
    if found.shape != wanted.shape:
        return f"{key} {tuple(found.shape)} for {tuple(wanted.shape)}"
    if found.is_floating_point() != wanted.is_floating_point() or found.is_complex():
        return f"{key} of {found.dtype} for {wanted.dtype}"
    return ""


def _kind(found: Tensor) -> str:
    if found.is_meta:
        return "without values (on torch's meta device)"
    if found.is_quantized:
        return "quantised: save it dequantised"
    return "sparse or nested: save it dense"


def to_counter(found: Tensor) -> Tensor:
    """A batch-norm counter as torch has it; 0 where it does not count, as after `.half()`."""
    value = found.detach().reshape(()).double()
    return (value if torch.isfinite(value) and value.abs() < 2**62 else torch.zeros(())).to(torch.long)
