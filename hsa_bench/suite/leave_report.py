"""The report at the end of a job, or in a sentence why there is none."""

from __future__ import annotations

import errno
from pathlib import Path

from hsa_bench.core.files import unwritable
from reports.report import write_report

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""What the system answers where nothing is to be written."""


def leave_report(out: Path) -> tuple[str, bool]:
    """Write the report of a run folder.

    Returns:
        A sentence with its file, or why there is none; and whether that is right: there, or in a folder that
        is read-only.
    """
    try:
        return f"report: {write_report(out)}", True
    except OSError as error:
        return f"the report is not written, {unwritable(error, out)}", error.errno in READ_ONLY
