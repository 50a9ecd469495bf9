"""The order of the tests over several processes: the long files first, in each process some of them.

`--dist worksteal` gives every process an equal stretch of the list and lets it take from others at the end.
With the long files at the ends of stretches one process would finish minutes after the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LONG = (
    "test_command.py",
    "pretrain/test_loop.py",
    "eval_tasks/test_detection_command.py",
    "eval_tasks/test_several_processes.py",
    "suite/test_reproduce.py",
    "pretrain/test_processes.py",
    "core/runs/test_runner.py",
    "test_device_command.py",
    "test_checkpoints_command.py",
)
"""Files that take the longest, the longest first: half a minute or more each."""


def long_first(items: Sequence[T], path: Callable[[T], Path], processes: int) -> list[T]:
    """Return the items with the long files at the heads of the stretches that the processes get.

    Args:
        items: Tests, those of a file together.
        path: Of a test's file.
        processes: How many equal stretches there are.
    """
    here = Path(__file__).parent
    names = {item: path(item).relative_to(here).as_posix() for item in items}
    heads: list[list[T]] = [[] for _ in range(processes)]
    for place, name in enumerate(LONG):
        there, back = place % processes, place // processes % 2  # 0 1 1 0 0 1 …: the sums stay alike
        heads[-1 - there if back else there] += [item for item in items if names[item] == name]
    rest = [item for item in items if names[item] not in LONG]
    ordered: list[T] = []
    for head in heads:
        stretch = max(0, len(items) // processes - len(head))
        ordered += [*head, *rest[:stretch]]
        rest = rest[stretch:]
    return [*ordered, *rest]
