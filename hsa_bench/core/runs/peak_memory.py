"""Highest memory that this process has while a block runs: resident, and of a GPU."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Start counting anew where the system can (Linux); elsewhere the peak is the process's own."""
    if _RESET.exists():
        try:
            _RESET.write_text("5", encoding="utf-8")
        except OSError:
            return  # a sandbox may forbid it; the peak then covers the whole process


def peak_mb() -> float:
    """Highest resident size since `reset_peak`, in MiB."""
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def reset_device_peak(device: str) -> None:
    """Start counting a GPU's memory anew; other devices do not count theirs.

    Args:
        device: Where tensors live. torch knows no peak on mps, so none is counted there.
    """
    if not device.startswith("cuda"):
        return
    import torch

    with suppress(RuntimeError, AssertionError):  # no such GPU: the run itself will say so
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(device)


def device_peak_mb(device: str) -> float:
    """Most memory that tensors had on a GPU since `reset_device_peak`, in MiB; 0 on other devices.

    What the driver and the libraries take beside tensors, some hundred MiB, is not in it.
    """
    if not device.startswith("cuda"):
        return 0.0
    import torch

    try:
        return torch.cuda.max_memory_allocated(device) / 2**20
    except (RuntimeError, AssertionError):
        return 0.0
