"""One backbone's score on one task over resamples of the test images (Efron 1979, the bootstrap)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

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
Counts = NDArray[np.int64]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Interval:
    """From the 2.5th to the 97.5th percentile of the resamples, percent."""

    low: float
    high: float


@dataclass(frozen=True)
class Impossible:
    """Why something cannot be computed; a sentence for the report."""

    reason: str


@dataclass(frozen=True)
class Measured:
    """A score, and how to take it on a resample of the test images."""

    score: float
    """Mean over the runs on the images as they are, percent."""
    example: NDArray[np.str_]
    """The test images, [I]."""
    data: str
    """Fingerprint of the data set."""
    draws: int
    """Resamples to take."""
    on: Callable[[Counts], Floats]
    """How often each image is in each resample, [W, I], to scores, [W]."""


@dataclass(frozen=True)
class Resampled:
    """A score and what it would be on resampled test images."""

    score: float
    """As measured, percent."""
    draws: Floats
    """On each resample, [W]. Resample w takes the same images for every backbone."""
    example: NDArray[np.str_]
    """The test images, [I]."""
    data: str
    """Fingerprint of the data set."""

    @property
    def interval(self) -> Interval:
        """95 % interval of the score."""
        return interval(self.draws)


def interval(draws: Floats) -> Interval:
    """Percentile interval, 95 %, unadjusted."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(low), float(high))


def measure(runs: Sequence[TaskResult], folder: Path) -> Measured | Impossible:
    """Make a score from per-example outcomes: the mean over runs that differ in seed or weights.

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
    scorer = _scorer(outcomes, main)
    if scorer is None:
        return Impossible(f"{main} cannot be recomputed from the per-example outcomes")
    draws, on = scorer
    score = float(on(np.ones((1, len(example)), np.int64))[0])
    recorded = float(np.mean([run.metrics[main] for run in runs]))
    if abs(score - recorded) > AGREES:
        return Impossible(f"the per-example outcomes give {score:.2f}, the results say {recorded:.2f}")
    return Measured(score, example, runs[0].spec.data.fingerprint, draws, on)


def resample(measured: Mapping[Name, Measured]) -> dict[Name, Resampled]:
    """Score resamples of the test images; those of as many images share them, which is what pairs them."""
    found: dict[Name, list[Floats]] = {name: [] for name in measured}
    for images, draws in {(len(one.example), one.draws) for one in measured.values()}:
        sharing = [n for n, one in measured.items() if (len(one.example), one.draws) == (images, draws)]
        for counts in resamples(images, draws):
            for name in sharing:
                found[name].append(measured[name].on(counts))
    return {
        name: Resampled(one.score, np.concatenate(found[name]), one.example, one.data)
        for name, one in measured.items()
    }


def resamples(images: int, draws: int) -> Iterator[Counts]:
    """How often each image is in each resample, in blocks [W, images]; fixed by the two arguments."""
    rng = np.random.default_rng(SEED)
    block = max(1, BLOCK // images)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        drawn = rng.integers(images, size=(size, images)) + np.arange(size)[:, None] * images
        yield np.bincount(drawn.ravel(), minlength=size * images).reshape(size, images)


def _scorer(outcomes: Sequence[Outcomes], metric: str) -> tuple[int, Callable[[Counts], Floats]] | None:
    """How many resamples to take, and the metric on them, mean over runs; None for an unknown metric."""
    if all(isinstance(one, ClassificationOutcomes) for one in outcomes):
        accuracy = _accuracy(cast(Sequence[ClassificationOutcomes], outcomes), metric)
        return accuracy and (CLASSIFICATION_DRAWS, accuracy)
    if all(isinstance(one, DetectionOutcomes) for one in outcomes):
        precision = _precision(cast(Sequence[DetectionOutcomes], outcomes), metric)
        return precision and (DETECTION_DRAWS, precision)
    return None


def _accuracy(outcomes: Sequence[ClassificationOutcomes], metric: str) -> Callable[[Counts], Floats] | None:
    if metric not in {"top1", "top5"}:
        return None
    right = [one.prediction == one.label if metric == "top1" else one.top5 for one in outcomes]
    share: Floats = np.array(right, np.float64).mean(axis=0)  # of the runs that have the image right, [I]
    return lambda counts: 100 * (counts @ share) / len(share)


def _precision(outcomes: Sequence[DetectionOutcomes], metric: str) -> Callable[[Counts], Floats] | None:
    kind, _, name = metric.partition("/")
    picked = {"AP": list(range(10)), "AP50": [IOU_50], "AP75": [IOU_75]}  # of the ten IoUs
    if kind not in {"bbox", "segm"} or name not in picked:
        return None
    rankings = [ranked(one, cast(Literal["bbox", "segm"], kind)) for one in outcomes]
    if not rankings[0]:
        return None
    objects = np.sum([ranking.objects for ranking in rankings[0]], axis=0)  # [I]

    def score(counts: Counts) -> Floats:
        counts = counts[counts @ objects > 0]  # a resample without objects has no AP and is left out
        scores = [average_precision(one, counts)[:, picked[name]].mean(1) for one in rankings]
        return np.mean(scores, axis=0)

    return score
