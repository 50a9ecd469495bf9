"""Tensors carried to a CUDA device and back beside its computation, without waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

UNDERWAY = 2
"""Blocks of a large tensor that a GPU may still be working on while the next is brought."""


def moved(x: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device.

    From page-locked memory to CUDA it is copied while earlier work is computed, and later work there waits
    for it. What is on the device already is given back.
    """
    if device.type != "cuda" or x.device.type == "cuda":
        return x.to(device)
    copying, computing = _side_stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(copying):
        there = x.to(device, non_blocking=True)
    computing.wait_stream(copying)
    there.record_stream(computing)
    return there


def brought(x: Tensor, device: torch.device) -> Tensor:
    """As `moved`, from ordinary memory or a file mapped from disk, by way of page-locked memory."""
    if device.type != "cuda" or x.device.type == "cuda":
        return moved(x, device)
    return moved(torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x), device)


@dataclass(frozen=True)
class Mark:
    """A place in a device's work."""

    there: torch.cuda.Event | None

    def wait(self) -> None:
        """Wait until the device has come there."""
        if self.there is not None:
            self.there.synchronize()


def mark(device: torch.device) -> Mark:
    """Mark what a CUDA device has been given so far; other devices are there already."""
    if device.type != "cuda":
        return Mark(None)
    there = torch.cuda.Event(blocking=True)  # a thread that waits leaves its core to those that decode
    there.record(torch.cuda.current_stream(device))
    return Mark(there)


def blocks(x: Tensor, rows: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Bring consecutive rows, in float32, one block after the other: which, and they themselves.

    On a GPU at most `UNDERWAY` + 1 of those brought are there at once.

    Args:
        x: [N, …], in any precision, on the device, in memory or mapped from disk, from where it is read once.
        rows: In each block but the last.
        device: Where they are wanted.
    """
    going_on: deque[Mark] = deque()
    for low in range(0, len(x), rows):
        if len(going_on) == UNDERWAY:
            going_on.popleft().wait()
        own = slice(low, low + rows)
        yield own, brought(x[own], device).float()
        going_on.append(mark(device))


@dataclass(frozen=True)
class Arriving:
    """A tensor on its way to the CPU."""

    place: Tensor
    there: Mark
    """When all of it is in its place."""

    def tensor(self) -> Tensor:
        """Wait for it."""
        self.there.wait()
        return self.place


def fetched(x: Tensor) -> Arriving:
    """Start to copy a tensor to the CPU; from CUDA into page-locked memory, without waiting."""
    if x.device.type != "cuda":
        return Arriving(x.cpu(), Mark(None))
    place = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    place.copy_(x, non_blocking=True)
    return Arriving(place, mark(x.device))


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
