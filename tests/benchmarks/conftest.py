import pytest
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture(autouse=True)
def _only_where_timing_is_meant(benchmark: BenchmarkFixture) -> None:
    if benchmark.disabled:
        pytest.skip("times nothing here: make bench")
