"""Processes of a test that may be killed, forked from one that has imported torch once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["pretrain.loop", "pretrain.export"])


def process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Make a process that has nothing of this one but the modules."""
    return SERVER.Process(target=target, args=arguments)
