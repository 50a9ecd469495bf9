"""Run the tests of tests/device in one session of pytest, and keep the outcome of each at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.device.made_with import ROOT
from tools.device.row import Row, row_of

if TYPE_CHECKING:
    import pytest

    from tools.device.piece import Call
    from tools.device.piece_folder import PieceFolder

TESTS = "tests/device"
NEEDS = 45.0
"""Seconds that a test may take: none begins with less time left."""

COLLECTED_NOTHING = 5
"""pytest's exit code where all tests are on file already."""


def run_tests(call: Call, on_file: PieceFolder) -> list[str]:
    """Run the tests that are missing or failed while there is time; return the names of those left.

    Other versions of libraries than those the suite was made with may warn: no warning is an error here.
    """
    import pytest

    watch = Watch(call, on_file)
    with _told(HSA_BENCH_DEVICE=call.device, HSA_BENCH_TINY="1" if call.tiny else ""):
        own = ["-o", "addopts=--import-mode=importlib", "-W", "default", "-p", "no:cacheprovider"]
        options = [*own, "-q", "--no-header", "--no-summary", "-rN"]
        code = pytest.main([*options, f"--rootdir={ROOT}", str(ROOT / TESTS)], plugins=[watch])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, COLLECTED_NOTHING):
        on_file.put("collection", [], 0.0, f"pytest ended with {code!s}; run it on {TESTS} to see why")
        return ["collection"]
    return watch.left


class Watch:
    """A plugin: leaves out what is on file, notes what begins and ends, and stops when time is over."""

    def __init__(self, call: Call, on_file: PieceFolder) -> None:
        self.call = call
        self.on_file = on_file
        self.left: list[str] = []
        self.began = 0.0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what is missing, what failed before at the end."""
        by_name = {name_of(item.nodeid): item for item in items}
        self.left = self.on_file.missing(by_name)
        config.hook.pytest_deselected(items=[by_name[name] for name in by_name if name not in self.left])
        items[:] = [by_name[name] for name in self.left]

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Begin a test, or pass over it where there is no time left for it."""
        if not self.call.has_time_for(NEEDS):
            return True
        self.on_file.begin(name_of(item.nodeid))
        self.began = time.monotonic()
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the outcome of a test once it is known."""
        ended = report.when == "call" or (report.when == "setup" and not report.passed)
        if not (ended or report.failed):
            return
        name = name_of(report.nodeid)
        properties: list[tuple[str, Any]] = report.user_properties
        figures = [row_of(value) for key, value in properties if key == "row"]
        fault = _reason(report) if report.failed else ""
        outcome = Row("", report.outcome, note=_skipped(report)) if not fault else None
        rows = [*([outcome] if outcome else []), *figures]
        self.on_file.put(name, rows, time.monotonic() - self.began, fault)
        if name in self.left:
            self.left.remove(name)


def name_of(nodeid: str) -> str:
    """A test's name as a sentence: its file, what it shows, and its case."""
    file, _, name = nodeid.partition("::")
    sentence, bracket, case = name.partition("[")
    return f"{Path(file).stem.removeprefix('test_')}: {sentence.removeprefix('test_').replace('_', ' ')}" + (
        f" ({case.removesuffix(']')})" if bracket else ""
    )


def _reason(report: pytest.TestReport) -> str:
    crash: Any = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return " ".join(text.split())[:300]


def _skipped(report: pytest.TestReport) -> str:
    reason: Sequence[Any] | Any = report.longrepr
    return str(reason[2]).removeprefix("Skipped: ") if report.skipped and isinstance(reason, tuple) else ""


@contextmanager
def _told(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
