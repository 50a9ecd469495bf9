"""1,000 training pictures of `digits`, tested on the other 297 of train: to tune on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsa_bench.core.data.datasets import digits
from hsa_bench.core.data.image_set import Classification, DatasetSpec

NAME = "digits-held-out"
LEARNT_FROM = 1000


def load(root: Path) -> Classification:
    """Cut `digits`' training pictures in two, in scikit-learn's order; leave its test pictures alone."""
    digit = digits.load(root)
    first, rest = range(LEARNT_FROM), range(LEARNT_FROM, len(digit.train))
    return replace(digit, name=NAME, train=digit.train.subset(first), test=digit.train.subset(rest))


DATASET = DatasetSpec(name=NAME, load=load, note="1,000 + 297 training digits of `digits`")
