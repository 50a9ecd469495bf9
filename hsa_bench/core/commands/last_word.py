"""What a command says of an error that nobody foresaw, and where its traceback is kept."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback
from datetime import datetime
from pathlib import Path

from hsa_bench.core.printable import printable
from hsa_bench.version import __version__

LONGEST = 300
"""Letters of an error's own words that are shown."""


def last_word(error: Exception, out: Path | None = None) -> str:
    """Keep an error's traceback in a file and return the sentence that names both.

    Args:
        error: Unforeseen.
        out: A run's folder, whose logs/ is the place where it can be written; else the system's folder for
            temporary files.
    """
    said = f"{type(error).__name__}: {error}".splitlines()[0][:LONGEST]
    place = _kept(error, out)
    kept = f"{place}, which holds the traceback and the command" if place else "the command that you gave"
    return printable(
        f"unexpected {said}; this is a fault of hsa_bench, not yours: please report it with {kept}. What is "
        "finished stays"
    )


def _kept(error: Exception, out: Path | None) -> str:
    """Write the traceback where it can be; return the file's path, empty if there is no place."""
    text = (
        f"hsa_bench {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{shlex.join(sys.orig_argv)}\n\n{''.join(traceback.format_exception(error))}"
    )
    logs = [out / "logs"] if out is not None and out.is_dir() else []
    began = f"error-{datetime.now():%Y%m%d-%H%M%S}-"
    for folder in (*logs, Path(tempfile.gettempdir())):
        try:
            if folder in logs:
                folder.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(f"-{os.getpid()}.txt", began, folder)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return name
    return ""
