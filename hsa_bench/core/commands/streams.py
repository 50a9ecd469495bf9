"""The standard streams: they take any text in any locale, and say so where they cannot be written."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from io import UnsupportedOperation

UTF8 = "PYTHONUTF8"

REFUSALS = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)
"""Of a stream that cannot be written."""


def take_any_text() -> None:
    """Let standard output and error take any text: UTF-8 for ASCII, and escapes for what has no letters.

    A stream that was closed (`>&-`) becomes one that keeps nothing.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            plain = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if plain else None, errors="backslashreplace")


def speak_utf8() -> None:
    """Start this process anew in Python's UTF-8 mode where the locale knows ASCII alone.

    Names of files could not hold other letters otherwise. Python does so by itself unless it is told not to.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "ascii" and os.environ.get(UTF8) != "1":
        os.environ[UTF8] = "1"
        with suppress(OSError):  # then it goes on as it is
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def output_fault(error: OSError | None = None) -> str:
    """Return why standard output cannot be written; empty if it can.

    Args:
        error: What was raised, if anything was: it may have come from there, where it names no file. To know,
            an empty line is written.

    Raises:
        BrokenPipeError: Nobody reads it any more.
    """
    fault: Exception | None = None
    try:
        sys.stdout.flush()
        if error is not None and error.filename is None and error.errno in REFUSALS:
            os.write(sys.stdout.fileno(), b"\n")
    except BrokenPipeError:
        raise
    except UnsupportedOperation:
        return ""  # no file of the system's: a notebook's, a test's
    except (OSError, ValueError) as refused:
        fault = refused
    if fault is None:
        return ""
    with suppress(OSError, ValueError):  # else Python tries, and fails, once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return getattr(fault, "strerror", None) or str(fault)
