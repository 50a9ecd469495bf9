"""Processes of a test that may be killed, forked from one that has imported torch once."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hsa_bench.core.files import alive

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["pretrain.loop", "pretrain.export"])


def process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Make a process that has nothing of this one but the modules."""
    return SERVER.Process(target=target, args=arguments)


@contextmanager
def no_child_is_left(flag: Path) -> Iterator[None]:
    """Let evaluators hang, each with a child, and see that the last child ends."""
    flag.touch()
    yield
    deadline = time.monotonic() + 10
    while (left := runs_on(int(flag.read_text()))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def runs_on(process: int) -> bool:
    """Tell whether a process is there, and not only waits to be counted."""
    state = Path(f"/proc/{process}/stat")
    return alive(process) and state.read_text().rpartition(")")[2].split()[0] != "Z"
