"""How long a run may take, and how long it may be silent before somebody is told."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hsa_bench.core.errors import UsageError

UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
"""Seconds of each unit, the largest first."""

WRITTEN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")

QUIET = 600.0
"""Seconds without a sign of progress after which a line says so, and again after as many."""

LONGEST = 365 * UNITS["d"]


class TimeIsUp(Exception):
    """A run has not ended in its time."""


def parse_duration(text: Any) -> float | None:
    """Parse "90m", "2h" or "1h30m" to seconds; an empty text is no limit.

    Raises:
        ValueError: Another form, or nothing at all.
    """
    if text is None or text == "":
        return None
    match = WRITTEN.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    parts = zip(UNITS.values(), match.groups() if match else (), strict=False)
    seconds = sum(unit * min(int(part), LONGEST) for unit, part in parts if part and len(part) < 20)
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"{text!r}: write a duration with its unit, for example 90m, 2h or 1h30m")
    return seconds


def in_words(seconds: float) -> str:
    """Write a duration as a person says it: "2 h", "1 h 30 min", "2 s"."""
    left = round(seconds)
    days, left = divmod(left, 86400)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def no_end(seconds: float) -> str:
    """Say that a run was ended by its limit."""
    return f"no end after {in_words(seconds)}: --timeout"


def silent(name: str, seconds: float, limit: float | None) -> str:
    """Say that nothing has moved."""
    then = f"it is ended after {in_words(limit)} in all" if limit else "--timeout 2h would end such a run"
    return f"{name}: nothing has moved for {in_words(seconds)}; {then}"


def check_alarm(limit: float | None) -> None:
    """Refuse a limit where no run can be ended from inside.

    Raises:
        UsageError: This thread gets no signals.
    """
    if limit is not None and threading.current_thread() is not threading.main_thread():
        raise UsageError("timeout: only the main thread can end a run of its own; leave it out here")


@contextmanager
def alarm(limit: float | None) -> Iterator[None]:
    """End a block of this process after so many seconds; None for no limit.

    It ends between two steps of Python. What hangs inside a library's own code needs a worker process.

    Raises:
        TimeIsUp: The time is over.
    """
    if limit is None:
        yield
        return

    def ring(*_: Any) -> None:
        raise TimeIsUp(no_end(limit))

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
