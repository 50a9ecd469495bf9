"""Locks of the system's on files: free as soon as their process ends, however it ends. Free of torch."""

from __future__ import annotations

import warnings

import filelock

WAIT = -1.0
"""A timeout for as long as it takes."""


def acquire(lock: filelock.BaseFileLock, timeout: float, look_every: float = 0.2) -> None:
    """Take a lock.

    Args:
        lock: On a file that may stay.
        timeout: Seconds to wait, or `WAIT`.
        look_every: Seconds between two tries.

    Raises:
        filelock.Timeout: Another process holds it.
        OSError: It cannot be taken, or the file system has no locks: what filelock does there would outlive
            its process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            lock.acquire(timeout=timeout, poll_interval=look_every)
        except NotImplementedError as error:
            raise OSError(0, "this file system has no locks") from error
    if isinstance(lock, filelock.SoftFileLock):
        lock.release()
        raise OSError(0, "this file system has no locks")
