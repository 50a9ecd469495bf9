"""A thousand results: read, laid out and shown in under two seconds; listed in under one."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from reports.markdown import tables
from reports.report import examine
from reports.run_folder.collected import collect
from reports.run_folder.frame import tidy
from reports.sections.breakdown import class_table
from reports.sections.tasks import sections
from reports.statistics.cache import Cache
from tests.reports.report_folder import classified, result, write

BACKBONES, TASKS, SEEDS, IMAGES = 10, ("linear", "linear-cached", "semisup-1", "semisup-10"), 25, 500


def thousand(out: Path) -> Path:
    rng = np.random.default_rng(0)
    for b in range(BACKBONES):
        for task in TASKS:
            for seed in range(SEEDS):
                right = rng.random(IMAGES) < 0.5 + 0.03 * b
                facts = {"metrics": {"top1": float(right.mean() * 100), "top5": 100.0}, "seed": seed}
                write(out, result(f"b{b}", task, **facts), classified(right))
    return out


def read_and_show(out: Path) -> int:
    """From files to every table as text; the noise is taken from the cache where it is there."""
    collected, cache = collect(out), Cache.of(out)
    evidence = examine(collected, ["b0", "b1"], cache)
    grid = evidence.grid
    classes = {c: table for c in grid.columns if (table := class_table(grid, c, collected, cache))}
    shown = [table.markdown() for table in tables(evidence, classes, "").values()]
    shown += [section.table.markdown() for section in sections(grid, evidence.comparison, classes)]
    tidy(collected.results)
    cache.save()
    return len(collected.results)


def test_a_thousand_results_are_tables_in_two_seconds(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    out = thousand(tmp_path)
    start = time.perf_counter()
    read_and_show(out)
    benchmark.extra_info["seconds with resampling"] = round(time.perf_counter() - start, 2)

    assert benchmark.pedantic(read_and_show, (out,), rounds=5) == 1000
    print(benchmark.extra_info, benchmark.stats.stats.median)
    assert benchmark.stats.stats.median < 2


def test_a_thousand_results_are_listed_in_a_second(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    out = thousand(tmp_path)
    command = [sys.executable, "-m", "reports", "list", str(out)]

    done = benchmark.pedantic(
        lambda: subprocess.run(command, capture_output=True, text=True, check=True), rounds=5
    )

    assert len(done.stdout.splitlines()) == 1001
    assert benchmark.stats.stats.median < 1
