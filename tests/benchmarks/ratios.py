"""Speed as ratios between things that take turns in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture


def ratios(
    benchmark: BenchmarkFixture, runs: dict[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    """Median time of each run over that of the first; they take turns, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    first = next(iter(runs))
    found = {name: median / medians[first] for name, median in medians.items()}
    benchmark.extra_info.update({f"seconds of {name}": round(median, 3) for name, median in medians.items()})
    benchmark.extra_info.update({f"{name} / {first}": round(ratio, 3) for name, ratio in found.items()})
    benchmark.pedantic(runs[first], rounds=1)
    print(benchmark.extra_info)
    return found
