"""Ctrl-C, TERM and HUP end a command with one sentence and its exit code, and leave no process behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

GROUPS: set[int] = set()
"""Process groups that this process has started and that must not outlive it."""

RESUME = "stopped; the same command goes on where it was, and what is finished stays"


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end; passes through `except Exception` as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stopped_with_a_word(word: str = RESUME) -> Iterator[None]:
    """Run a command that may be stopped: clean up, say a sentence, and leave with 130, 143 or 129.

    A second signal does not wait for the cleaning up. Signals that were ignored stay ignored, as `nohup`
    wants it; outside the main thread, and in the processes of torchrun but the first, nothing is changed.
    """
    first = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"
    if not first or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _Handler(word, os.getpid())
    before = {number: signal.getsignal(number) for number in STOPS}
    taken = [number for number, earlier in before.items() if earlier not in {signal.SIG_IGN, None}]
    for number in taken:
        signal.signal(number, handler.on_signal)
    try:
        yield
    except KeyboardInterrupt as error:
        print(word, file=sys.stderr, flush=True)
        raise SystemExit(128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)) from None
    finally:
        for number in taken:
            signal.signal(number, before[number])


@dataclass
class _Handler:
    word: str
    owner: int
    """The process that is to be stopped; its loader processes are forks of it."""
    asked: bool = False

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Let the command clean up; or, when asked again, end everything now."""
        if os.getpid() != self.owner:
            os._exit(128 + number)
        if not self.asked:
            self.asked = True
            raise Stopped(number)
        for group in GROUPS:
            with suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        os.write(2, f"{self.word}\n".encode())
        os._exit(128 + number)
