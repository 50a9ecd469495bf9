"""One backbone's score on one task over resamples of the test images (Efron 1979, the bootstrap)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.average_precision import IOU_50, IOU_75, average_precision, ranked
from hsa_bench.core.outcomes import ClassificationOutcomes, DetectionOutcomes, Outcomes, load
from hsa_bench.core.result import TaskResult

CLASSIFICATION_DRAWS = 2000
DETECTION_DRAWS = 200
SEED = 0
"""Of every bootstrap. NumPy's generator, because the project's own (`core.seed`) needs torch."""

BLOCK = 4_000_000
"""Image draws held in memory at a time."""

AGREES = 0.05
"""How far a score recomputed from the outcomes may be from the recorded one, percentage points."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """From the 2.5th to the 97.5th percentile of the resamples, percent."""

    low: float
    high: float


@dataclass(frozen=True)
class Resampled:
    """A score and what it would be on resampled test images."""

    score: float
    """Mean over the runs on the images as they are, percent."""
    draws: Floats
    """The same on each resample, [W]. Resample w takes the same images for every backbone."""
    example: NDArray[np.str_]
    """The test images, [I]."""
    data: str
    """Fingerprint of the data set."""

    @property
    def interval(self) -> Interval:
        """95 % interval of the score."""
        return interval(self.draws)


@dataclass(frozen=True)
class Impossible:
    """Why something cannot be computed; a sentence for the report."""

    reason: str


def interval(draws: Floats) -> Interval:
    """Percentile interval, 95 %, unadjusted."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(low), float(high))


def resample(runs: Sequence[TaskResult], folder: Path) -> Resampled | Impossible:
    """Score resampled test images by the mean over runs that differ in seed or weights.

    Args:
        runs: Runs of one backbone on one task, each with a number.
        folder: Where their outcomes stand.
    """
    outcomes = []
    for run in runs:
        if not run.examples:
            return Impossible("no per-example outcomes were stored")
        try:
            outcomes.append(load(folder / run.examples))
        except (OSError, ValueError) as error:
            return Impossible(f"per-example outcomes cannot be read ({error})")
    example = outcomes[0].example
    if not len(example):
        return Impossible("there is no test image")
    if any(not np.array_equal(one.example, example) for one in outcomes):
        return Impossible("its runs were measured on different test images")
    main = runs[0].main_metric
    scored = _scored(outcomes, main)
    if scored is None:
        return Impossible(f"{main} cannot be recomputed from the per-example outcomes")
    score, draws = scored
    recorded = float(np.mean([run.metrics[main] for run in runs]))
    if abs(score - recorded) > AGREES:
        return Impossible(f"the per-example outcomes give {score:.2f}, the results say {recorded:.2f}")
    return Resampled(score, draws, example, runs[0].spec.data.fingerprint)


def resamples(images: int, draws: int) -> Iterator[NDArray[np.int64]]:
    """How often each image is in each resample, in blocks [B, images].

    Depends on the two arguments alone, so two backbones with the same images share their resamples:
    that is what pairs them.
    """
    rng = np.random.default_rng(SEED)
    block = max(1, BLOCK // images)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        drawn = rng.integers(images, size=(size, images)) + np.arange(size)[:, None] * images
        yield np.bincount(drawn.ravel(), minlength=size * images).reshape(size, images)


def _scored(outcomes: Sequence[Outcomes], metric: str) -> tuple[float, Floats] | None:
    """The metric on the images as they are and on each resample, mean over runs; None if unknown."""
    if all(isinstance(one, ClassificationOutcomes) for one in outcomes):
        return _accuracy(cast(Sequence[ClassificationOutcomes], outcomes), metric)
    if all(isinstance(one, DetectionOutcomes) for one in outcomes):
        return _precision(cast(Sequence[DetectionOutcomes], outcomes), metric)
    return None


def _accuracy(outcomes: Sequence[ClassificationOutcomes], metric: str) -> tuple[float, Floats] | None:
    if metric not in {"top1", "top5"}:
        return None
    right = [one.prediction == one.label if metric == "top1" else one.top5 for one in outcomes]
    share: Floats = 100 * np.array(right, np.float64).mean(axis=0)  # of runs that have the image right, [I]
    draws = [counts @ share / len(share) for counts in resamples(len(share), CLASSIFICATION_DRAWS)]
    return float(share.mean()), np.concatenate(draws)


def _precision(outcomes: Sequence[DetectionOutcomes], metric: str) -> tuple[float, Floats] | None:
    kind, _, name = metric.partition("/")
    picked = {"AP": list(range(10)), "AP50": [IOU_50], "AP75": [IOU_75]}  # of the ten IoUs
    if kind not in {"bbox", "segm"} or name not in picked:
        return None
    rankings = [ranked(one, cast(Literal["bbox", "segm"], kind)) for one in outcomes]
    if not rankings[0]:
        return None
    images = len(outcomes[0].example)
    objects = np.sum([ranking.objects for ranking in rankings[0]], axis=0)  # [I]

    def score(counts: NDArray[np.int64]) -> Floats:
        """[W, I] to [W]; a resample without objects has no AP and is left out."""
        counts = counts[counts @ objects > 0]
        return np.mean([average_precision(one, counts)[:, picked[name]].mean(1) for one in rankings], axis=0)

    draws = [score(counts) for counts in resamples(images, DETECTION_DRAWS)]
    return float(score(np.ones((1, images), np.int64))[0]), np.concatenate(draws)
