"""Files of a report that could not be written: each is passed over, and one sentence says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hsa_bench.core.files import READ_ONLY, unwritable, write_text


@dataclass
class Unwritten:
    """What could not be written, and why."""

    faults: dict[Path, OSError] = field(default_factory=dict)

    @contextmanager
    def noting(self, path: Path) -> Iterator[None]:
        """Note an OSError of the block and go on after it."""
        try:
            yield
        except OSError as error:
            self.faults[path] = error

    def write(self, path: Path, text: str) -> None:
        """Write a text file, or note why not."""
        with self.noting(path):
            write_text(path, text)

    def sentence(self, report: Path) -> str:
        """Say what is missing of a report; empty where all of it was written.

        Args:
            report: Its Markdown file, which is named first.
        """
        if not self.faults:
            return ""
        path = report if report in self.faults else next(iter(self.faults))
        what = "report not written" if path == report else "not written of the report"
        more = len(self.faults) - 1
        also = f" (and {more} more of its files)" if more else ""
        return f"{what}: {unwritable(self.faults[path], path)}{also}"

    @property
    def read_only(self) -> bool:
        """Whether all that failed did because nothing is to be written there."""
        return all(error.errno in READ_ONLY for error in self.faults.values())
