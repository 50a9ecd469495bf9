"""Runs and results as lines of text. Free of pandas, so that it is there at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from hsa_bench.core.errors import UsageError
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.store import Store
from reports.run_folder.collected import Collected, collect, locate

STATES = ("ok", "failed", "skipped")


def listing(folder: Path) -> Iterator[str]:
    """One line a result of a run folder, or one line a run of a folder of runs.

    Raises:
        UsageError: There is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    if (folder / "results").is_dir() or folder.name == "results":
        yield from _results(collect(locate(folder), whole=True))
        return
    runs = sorted(
        path.parent for path in folder.glob("**/results") if path.is_dir() and Store(path.parent).paths()
    )
    if not runs:
        raise UsageError(f"{folder}: holds no run (a folder with results/<backbone>/<task>/<key>.json)")
    rows: list[tuple[str, ...]] = [("run", "title", "backbones", "tasks", *STATES, "last started, UTC")]
    rows += [_run(run, folder) for run in runs]
    yield from _aligned(rows)


def _run(run: Path, below: Path) -> tuple[str, ...]:
    found = collect(run, whole=True)
    counts: Counter[str] = Counter(result.status for result in found.results)
    names = dict.fromkeys(result.label for result in found.results)
    tasks = dict.fromkeys(result.spec.task for result in found.results)
    last = max((result.provenance.started for result in found.results), default="")
    title = found.plan.title if found.plan else ""
    states = (str(counts[state]) for state in STATES)
    return (str(run.relative_to(below)), title, ",".join(names), ",".join(tasks), *states, last[:16])


def _results(found: Collected) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        ("backbone", "task", "version", "seed", "status", "metric", "value", "key")
    ]
    rows += [
        (
            r.label, r.spec.task, f"v{r.spec.version}", str(r.spec.seed) if r.seeded else "-", r.status,
            r.main_metric, _value(r), r.spec.key,
        )
        for r in found.results
    ]  # fmt: skip
    yield from _aligned(rows)
    yield from (f"left out: {text}" for text in found.unreadable)


def _value(result: TaskResult) -> str:
    return f"{result.main.value:.2f}" if result.status == "ok" else "-"


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
