"""The report at the end of a job, or in a sentence what of it could not be written."""

from __future__ import annotations

from pathlib import Path

from reports.report import write_report
from reports.writing.unwritten import Unwritten


def leave_report(out: Path) -> tuple[str, bool]:
    """Write the report of a run folder, as much of it as can be written.

    Returns:
        A sentence with its file, or what is missing and why; and whether that is right: there, or in a folder
        that is read-only.
    """
    missing = Unwritten()
    report = write_report(out, unwritten=missing)
    return missing.sentence(report) or f"report: {report}", missing.read_only
