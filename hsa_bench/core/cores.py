"""How many of the machine's cores this process may use. Free of torch."""

from __future__ import annotations

import os


def cores() -> int:
    """Count the cores that the system lets this process use; all of the machine's where it does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def own_cores() -> int:
    """Count this process's share of the cores, which it has in common with those that torchrun started."""
    return cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
