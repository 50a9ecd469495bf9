"""CIFAR-10 with 10,000 training pictures and all test pictures: the CPU ablation's."""

from __future__ import annotations

from functools import partial

from hsa_bench.core.data.datasets._cifar10_part import part
from hsa_bench.core.data.image_set import DatasetSpec

NAME = "cifar10-10k"

DATASET = DatasetSpec(
    name=NAME, load=partial(part, NAME, tuning=False), note="10,000 + 10,000 images of 32 px, 10 classes"
)
