"""Highest resident memory of this process while a block runs."""

from __future__ import annotations

import resource
import sys
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
