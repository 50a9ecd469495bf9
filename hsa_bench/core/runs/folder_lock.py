"""One command at a time works in a folder; the next one is told who does, and waits. Free of torch."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from glob import escape
from pathlib import Path
from socket import gethostname

import filelock
from pydantic import ValidationError

from hsa_bench.core.errors import UsageError
from hsa_bench.core.files import sweep
from hsa_bench.core.results.record import Record
from hsa_bench.core.runs.provenance import command_line
from hsa_bench.core.system_lock import acquire

LOCK = ".lock"
"""The locked file of a folder. It stays, empty: to remove it would split those who wait."""

LOOK_EVERY = 0.5
"""Seconds between two tries to get a lock."""
REMIND_EVERY = 600.0
"""Seconds between two lines of one who waits."""

Say = Callable[[str], None]


class Holder(Record):
    """Who works in a folder."""

    process: int
    host: str
    since: str
    command: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since}: {self.command}"


def _on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def working_in(folder: Path, say: Say = _on_stderr, leftovers: tuple[str, ...] = ()) -> Iterator[None]:
    """Hold a folder while working in it; wait for the one who does.

    The lock ends with its process, however that dies. A thread that holds a folder may hold it again;
    another thread of the process waits.

    Args:
        folder: It exists.
        say: Called with who works there, and when it is free.
        leftovers: Patterns of folders below. From them, and from the folder, files that dead processes were
            writing are removed.
    """
    with _hold(folder / LOCK, str(folder), say):
        for pattern in leftovers:
            for inside in (folder, *folder.glob(pattern)):
                if inside.is_dir() and not inside.is_symlink():
                    sweep(inside)
        yield


@contextmanager
def working_on(file: Path, say: Say = _on_stderr) -> Iterator[None]:
    """Hold the name of a file that is to be written, as `working_in` holds a folder.

    Where no such file comes of it, nothing is left.
    """
    lock = file.with_name(f".{file.name}{LOCK}")
    with _hold(lock, str(file), say):
        try:
            yield
        finally:
            if not any(file.parent.glob(f"{escape(file.name)}*")):
                lock.unlink(missing_ok=True)


@contextmanager
def refuse_while_worked_in(folder: Path) -> Iterator[None]:
    """Hold a folder without waiting.

    Raises:
        UsageError: A command works there; the message says which.
    """
    if not (folder / LOCK).exists():  # no command of this version has worked there
        yield
        return
    with _hold(folder / LOCK, str(folder), say=None):
        yield


@contextmanager
def held_by_first(hold: AbstractContextManager[None]) -> Iterator[None]:
    """Let the first of several processes hold, and the others begin when it does."""
    from hsa_bench.core.processes import from_first, rank

    with hold if rank() == 0 else nullcontext():
        from_first(None)
        yield


@dataclass
class _Held:
    """A lock of this process, which its threads take turns at."""

    turn: threading.RLock = field(default_factory=threading.RLock)
    depth: int = 0
    """How often the thread whose turn it is holds it."""


_HELD: dict[tuple[int, Path], _Held] = {}
"""By process, as a fork holds nothing of what its parent does."""


@contextmanager
def _hold(path: Path, what: str, say: Say | None) -> Iterator[None]:
    """Hold a lock; without `say`, refuse to wait."""
    held = _HELD.setdefault((os.getpid(), path.absolute()), _Held())
    with held.turn:
        held.depth += 1
        try:
            if held.depth > 1:
                yield
            else:
                with _locked(path, what, say):
                    yield
        finally:
            held.depth -= 1


@contextmanager
def _locked(path: Path, what: str, say: Say | None) -> Iterator[None]:
    lock = filelock.FileLock(path)
    try:
        _wait(lock, path, what, say)
    except OSError as error:
        if say and os.access(path.parent, os.W_OK):
            say(f"{path}: cannot be locked ({error.strerror}); see that no second command works here")
        yield
        return
    try:
        _write_holder(path)
        yield
    finally:
        with suppress(OSError):
            _beside(path).unlink(missing_ok=True)
        lock.release()


def _wait(lock: filelock.BaseFileLock, path: Path, what: str, say: Say | None) -> None:
    """Return when the lock is ours.

    Raises:
        UsageError: Another holds it, and there is nobody to say so to.
        OSError: It cannot be locked, now or ever.
    """
    start = time.monotonic()
    told = 0
    while True:
        try:
            acquire(lock, 0)
            break
        except filelock.Timeout:
            if say is None:
                raise UsageError(f"{what}: {_holder(path)} works here; wait until it is done") from None
            waited = time.monotonic() - start
            if waited >= told * REMIND_EVERY:
                told += 1
                say(f"{what}: {_holder(path)} works here; waiting until it is done, Ctrl-C leaves")
            time.sleep(LOOK_EVERY)
    if say and told:
        say(f"{what}: is free after {time.monotonic() - start:,.0f} s; what is done there is taken up")


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")


def _write_holder(path: Path) -> None:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    holder = Holder(process=os.getpid(), host=gethostname(), since=since, command=command_line())
    with suppress(OSError):  # the lock is held all the same
        _beside(path).write_text(holder.model_dump_json(), encoding="utf-8")


def _holder(path: Path) -> str:
    """Say who holds a lock, as far as it is known."""
    try:
        return str(Holder.model_validate_json(_beside(path).read_bytes()))
    except (OSError, ValidationError):
        return "another process"
