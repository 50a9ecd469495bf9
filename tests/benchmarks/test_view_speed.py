"""Views a second as input, by Pillow and by the device: `make bench`. On a CPU there is no aim."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hsa_bench.core.data.open import open_dataset
from tests.benchmarks.view_rates import view_rates

pytestmark = pytest.mark.benchmark


@pytest.mark.parametrize("augment", ["moco-v2", "digits"])
def test_views_a_second(benchmark: BenchmarkFixture, augment: str) -> None:
    images = open_dataset("digits", Path()).limited(512).train
    found = benchmark.pedantic(
        view_rates, (images, augment, 32, "cpu", 0), {"batch": 128, "count": 3}, rounds=1
    )
    benchmark.extra_info.update({f"views/s {name}": round(rate) for name, rate in found.items()})
    print(benchmark.extra_info)
    assert min(found.values()) > 0
