"""What a person sees while a run goes on: the plan, a bar, a line a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.printable import printable
from hsa_bench.core.results.plan_file import PlannedRun
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.runs.feature_pass import FeaturePass
from hsa_bench.core.runs.plan import Run

PASS = "feature pass"


class Display:
    """Bars on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = self.done = 0
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.running: dict[str, TaskID] = {}
        """Bars by the key of their run, or that of a feature pass."""

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """A moving bar for work of unknown length."""
        bar = self.bars.add_task(what, total=None)
        try:
            yield
        finally:
            self.bars.remove_task(bar)

    def say(self, text: str) -> None:
        """One line of plain text."""
        self.console.print(printable(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def expect(self, runs: int) -> None:
        """This many runs are going to run now."""
        self.total, self.done = runs, 0

    def watch(self, run: Run | FeaturePass, description: str, done: int, total: int) -> None:
        """Move the bar of a running run, or of the feature pass before it."""
        name = run.data if isinstance(run, FeaturePass) else f"{run.label} {run.spec.task}"
        text = escape(printable(f"{name}: {description}"))
        key = PASS if isinstance(run, FeaturePass) else run.spec.key
        if key != PASS:
            self._take_off(PASS)  # it is over when a run begins
        if key not in self.running:
            self.running[key] = self.bars.add_task(text, total=total)
        self.bars.update(self.running[key], description=text, completed=done, total=total)

    def finish(self, result: TaskResult) -> None:
        """A run has ended."""
        self._take_off(result.spec.key)
        self.done += 1
        self.say(f"[{self.done}/{self.total}] {_name(result)}: {_verdict(result)}")

    def _take_off(self, key: str) -> None:
        if key in self.running:
            self.bars.remove_task(self.running.pop(key))

    def loaded(self, label: str, backbone: Backbone) -> None:
        """A checkpoint has been read: the proof that all of it was."""
        source, coverage = backbone.source, backbone.source.coverage
        if coverage is None:
            self.say(f"{label}: {source.format} {source.path}, weights as it brings them")
            return
        branch = f", {source.branch} branch" if source.branch else ""
        self.say(
            f"{label}: {source.format} checkpoint{branch}, {backbone.arch}, "
            f"{coverage.matched} of {coverage.total} trunk tensors loaded, "
            f"0 missing, {len(coverage.dropped)} keys dropped by rule"
        )

    def plan(self, rows: Sequence[tuple[PlannedRun, str]]) -> None:
        """The plan as a table: run and what becomes of it."""
        state = Column("state", overflow="fold")
        table = Table("backbone", "task", "seed", "key", state, box=None, header_style="bold")
        for run, becomes in rows:
            texts = run.label, run.task, str(run.seed), run.key or "-", becomes
            table.add_row(*(Text(printable(text)) for text in texts))
        self.console.print(table)


def _name(result: TaskResult) -> str:
    seed = f", seed {result.spec.seed}" if result.seeded else ""
    return f"{result.label} {result.spec.task}{seed}"


def _verdict(result: TaskResult) -> str:
    if result.status == "ok":
        return f"{result.main_metric} {result.main.value:.2f} ({result.seconds:.1f} s)"
    if result.status == "skipped":
        return f"skipped, {result.reason}"
    assert result.failure is not None
    return f"FAILED, {result.failure.message}"
