"""How many trunks a device holds at once: their bytes against the memory that is free."""

from __future__ import annotations

import gc
import os
from collections.abc import Collection
from pathlib import Path

import torch
from torch import nn

from hsa_bench.core.features.extraction import PIECE
from hsa_bench.core.models.layers import LAST

SHARE = 0.5
"""Of the free memory, for trunks; the other half is for what they compute."""

LAYER = 9216
"""Numbers of a pooled layer of one image, at most; see `layers`."""

GROUPS = Path("/sys/fs/cgroup")
"""Limits that a container or a batch system sets."""


def bytes_of(module: nn.Module, layers: Collection[str], dim: int) -> int:
    """Memory that a trunk takes while it is fed, but for one batch: its tensors, and a piece of features."""
    tensors = [*module.parameters(), *module.buffers()]
    numbers = sum(LAYER if layer != LAST else dim for layer in layers)
    return sum(t.numel() * t.element_size() for t in tensors) + PIECE * numbers * 4


def room(device: str) -> int:
    """Bytes that trunks may take on a device now."""
    if torch.device(device).type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()  # what torch keeps for itself would count as taken
        return int(free_bytes(device) * SHARE)
    return int(min(free_bytes(device), *_limits()) * SHARE)


def free_bytes(device: str) -> int:
    """Return the free memory of a GPU, or what the system would give without swapping."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return int(dict(line.split(":") for line in lines)["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _limits() -> list[int]:
    """Bytes left below each limit of this process's group and of those around it; at least one number.

    What the system caches of files counts as free: it gives it up.
    """
    found = [2**62]
    for most, used, folders in (
        ("memory.max", "anon", _groups(GROUPS)),
        ("memory.limit_in_bytes", "total_rss", _groups(GROUPS / "memory")),
    ):
        for folder in folders:
            try:
                limit = int((folder / most).read_text(encoding="ascii"))
                lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
                taken = dict(line.split() for line in lines)
                found.append(max(0, limit - int(taken[used])))
            except (OSError, ValueError, KeyError):  # no such file, or no limit
                continue
    return found


def _groups(top: Path) -> list[Path]:
    """Folders of this process's own group and of those around it, below one of the system's."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return [top]
    own = {line.split(":", 2)[2].lstrip("/") for line in lines if line.count(":") >= 2}
    return sorted({top, *(top / part for name in own for part in (Path(name), *Path(name).parents))})
