"""Evaluators that never end while their flag is there, one for each way to hang."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pydantic.dataclasses import dataclass

from hsa_bench.api import SETTINGS, Backbone
from my_lab.my_eval import Norm

NAMES = ("sleeps", "stops")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Hangs(Norm):
    """Starts a child, writes its number to the flag, and hangs."""

    def misbehave(self, backbone: Backbone) -> None:
        Path(self.flag).write_text(str(os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")))
        if self.name == "sleeps":
            time.sleep(1000)
        if self.name == "stops":
            os.kill(os.getpid(), signal.SIGSTOP)


TASKS = tuple(Hangs(name=name) for name in NAMES)
