"""Scores of the test images to metrics and per-example outcomes, the same way for every classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsa_bench.core.data import ImageSet
from hsa_bench.core.metrics import ranks
from hsa_bench.core.outcomes import ClassificationOutcomes
from hsa_bench.core.task import Outcome


def scored(
    test: ImageSet,
    scores: Tensor,
    effective: Mapping[str, Any] | None = None,
    curves: Mapping[str, list[float]] | None = None,
) -> Outcome:
    """Top-1 and top-5 in percent, and what was said of each image.

    Args:
        test: The images in data set order.
        scores: [N, C]; equal scores rank by class index, lowest first. With five classes or fewer, top-5
            is 100.
        effective: What was decided on the way.
        curves: Per-epoch figures.

    Raises:
        ValueError: A score is not a number.
    """
    scores = scores.float().cpu()
    if not torch.isfinite(scores).all():
        raise ValueError("the classifier gives NaN or infinite scores; lower its learning rate")
    place = ranks(scores, torch.from_numpy(test.labels))  # [N]
    best = scores.numpy().argmax(axis=1)  # of equal ones the first, which torch does not promise
    return Outcome(
        metrics={name: float((place < k).double().mean() * 100) for name, k in (("top1", 1), ("top5", 5))},
        examples=ClassificationOutcomes(
            example=np.array(test.examples),
            label=test.labels,
            prediction=best,
            score=scores.numpy().max(axis=1),
            top5=(place < 5).numpy(),
        ),
        effective=effective or {},
        curves=curves or {},
    )
