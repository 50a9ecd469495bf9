"""The same 200 digits, tested on the demo's test digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsa_bench.api import Classification, DatasetSpec
from hsa_bench.core.data.datasets import digits


def load(root: Path) -> Classification:
    """200 digits to learn from, 100 to be tested on."""
    whole = digits.load(root)
    return replace(
        whole, name="few-digits", train=whole.train.subset(range(200)), test=whole.test.subset(range(100))
    )


DATASET = DatasetSpec(name="few-digits", load=load)
