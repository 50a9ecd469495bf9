"""One process makes a file of features; others that want the same one wait, and take what it made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import filelock

from hsa_bench.core.system_lock import WAIT, acquire


@contextmanager
def held(files: Iterable[Path], say: Callable[[str], None]) -> Iterator[None]:
    """Hold the names of files, each by an empty `.lock` beside it that stays; wait for whoever holds one.

    The system frees them when the process ends, however it ends. Where it has no locks the block runs
    without.

    Args:
        files: In any order; all are held in the same one, so that nobody waits for ever.
        say: Called with a sentence where there is a wait.
    """
    with ExitStack() as stack:
        for path in sorted({file.with_suffix(".lock") for file in files}):
            stack.enter_context(_held(path, say))
        yield


@contextmanager
def _held(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        try:
            acquire(lock, 0)
        except filelock.Timeout:
            say(f"another process makes the features {path.stem}; waiting for them")
            acquire(lock, WAIT)
    except OSError as error:
        why = error.strerror or error
        say(f"{path}: cannot be locked ({why}); see that no other process makes the same features")
    try:
        yield
    finally:
        lock.release()
