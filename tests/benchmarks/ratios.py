"""Speed as ratios between things that take turns in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture


def ratios(
    benchmark: BenchmarkFixture, runs: dict[str, Callable[[], object]], rounds: int, warm_up: bool = True
) -> dict[str, float]:
    """Median time of each run over that of the first; they take turns, after a first round if `warm_up`."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    first = next(iter(runs))
    for turn in range(0 if warm_up else 1, rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            if turn == rounds and name == first:
                benchmark.pedantic(run, rounds=1)
            else:
                run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    found = {name: median / medians[first] for name, median in medians.items()}
    benchmark.extra_info.update({f"seconds of {name}": round(median, 3) for name, median in medians.items()})
    benchmark.extra_info.update({f"{name} / {first}": round(ratio, 3) for name, ratio in found.items()})
    print(benchmark.extra_info)
    return found
