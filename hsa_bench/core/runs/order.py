"""What a worker process is told to do, a line of JSON each."""

from __future__ import annotations

from hsa_bench.core.results.record import Record
from hsa_bench.core.runs.feature_pass import FeaturePass
from hsa_bench.core.runs.plan import Run


class Order(Record):
    """One of these."""

    run: Run | None = None
    features: FeaturePass | None = None
