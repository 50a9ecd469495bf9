"""Scores of the test images to metrics and per-example outcomes, the same way for every classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.features.accuracy import ranks
from hsa_bench.core.results.curve import Along, Curve, Sweep
from hsa_bench.core.results.metric import Metric, top1, top5
from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.runs.task import Outcome


def score_test_images(
    data: Classification,
    scores: Tensor,
    effective: Mapping[str, Any] | None = None,
    curves: tuple[Curve, ...] = (),
    further: tuple[Metric, ...] = (),
    sweeps: tuple[Sweep, ...] = (),
) -> Outcome:
    """Score the test images: top-1 and top-5 in percent, and what was said of each image.

    Args:
        data: With the test images in data set order.
        scores: [N, C]; equal scores rank by class index, lowest first. With five classes or fewer, top-5
            is 100.
        effective: What was decided on the way.
        curves: Figures of the training.
        further: Metrics of other heads.
        sweeps: What other settings gave.

    Raises:
        ValueError: A score is not a number.
    """
    test, scores = data.test, scores.float().cpu()
    if not torch.isfinite(scores).all():
        raise ValueError("the classifier gives NaN or infinite scores; lower its learning rate")
    place = ranks(scores, torch.from_numpy(test.labels))  # [N]
    best = scores.numpy().argmax(axis=1)  # of equal ones the first, which torch does not promise
    first, five = (float((place < k).double().mean() * 100) for k in (1, 5))
    return Outcome(
        metrics=(top1(first), top5(five), *further),
        examples=ClassificationOutcomes(
            example=np.array(test.examples),
            label=test.labels,
            prediction=best,
            score=scores.numpy().max(axis=1),
            top5=(place < 5).numpy(),
            classes=np.array(data.classes, np.str_),
        ),
        effective={**(effective or {}), **_unseen(data)},
        curves=curves,
        sweeps=sweeps,
    )


def training_loss(values: Sequence[float], along: Along) -> Curve:
    """Return the mean cross-entropy after each epoch or step."""
    return Curve(
        name="train_loss", title="training loss", unit="nats", values=tuple(values), along=along, better=""
    )


def _unseen(data: Classification) -> dict[str, int]:
    """How many classes of test have no training image, and so cannot be right; nothing if none."""
    lost = set(data.test.labels.tolist()) - set(data.train.labels.tolist())
    return {"classes_only_in_test": len(lost)} if lost else {}
