"""The training pictures of `cifar10-10k`, tested on 5,000 others of train: to tune on."""

from __future__ import annotations

from functools import partial

from hsa_bench.core.data.datasets._cifar10_part import part
from hsa_bench.core.data.image_set import DatasetSpec

NAME = "cifar10-10k-held-out"

DATASET = DatasetSpec(
    name=NAME, load=partial(part, NAME, tuning=True), note="10,000 + 5,000 training images of CIFAR-10"
)
