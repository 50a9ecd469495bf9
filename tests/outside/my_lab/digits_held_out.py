"""The demo's training digits, tested on others of train: a data set of one's own, to tune on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsa_bench.api import Classification, DatasetSpec
from hsa_bench.core.data.datasets import digits


def load(root: Path) -> Classification:
    """200 digits to learn from, 100 others to judge by."""
    whole = digits.load(root)
    train, test = whole.train.subset(range(200)), whole.train.subset(range(200, 300))
    return replace(whole, name="digits-held-out", train=train, test=test)


DATASET = DatasetSpec(name="digits-held-out", load=load)
