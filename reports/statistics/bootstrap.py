"""One backbone's score on one task over resamples of the test images (Efron 1979, the bootstrap)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.results.average_precision import IOU_50, IOU_75, average_precision, ranked
from hsa_bench.core.results.metric import Recompute
from hsa_bench.core.results.outcomes import ClassificationOutcomes, DetectionOutcomes, Outcomes, load
from hsa_bench.core.results.result import TaskResult
from reports.statistics.significance import Interval, percentile_interval

CLASSIFICATION_DRAWS = 2000
DETECTION_DRAWS = 200
SEED = 0
"""Of every bootstrap. NumPy's generator, because the project's own (`core.seed`) needs torch."""

BLOCK = 4_000_000
"""Image draws held in memory at a time."""

PER_CLASS = "mean_per_class"
"""Says of a metric that it is an accuracy averaged over classes; it is resampled within each class."""

AGREES = 0.05
"""How far a score recomputed from the outcomes may be from the recorded one, percentage points."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Name = TypeVar("Name", bound=Hashable)


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
    draws: int
    """Resamples to take."""
    on: Callable[[Counts], Floats]
    """How often each image is in each resample, [W, I], to scores, [W]."""
    strata: Counts
    """Images are drawn anew among those of their own stratum, [I]; all zero: among all."""
    stretch: float = 1.0
    """What makes the spread of resamples unbiased where `on` does not see to it."""
    right: NDArray[np.bool_] | None = None
    """Whether the main metric counts each image as right, [I], where it is such a share of a single run."""


@dataclass(frozen=True)
class Resampled:
    """A score and what it would be on resampled test images."""

    score: float
    """As measured, percent."""
    draws: Floats
    """On each resample, [W]. Resample w takes the same images for every backbone."""
    example: NDArray[np.str_]
    """The test images, [I]."""
    right: NDArray[np.bool_] | None = None
    """As `Measured.right`."""
    freedom: int = 0
    """Test images less the groups they are drawn in; 0 where a group has a single image."""

    @property
    def interval(self) -> Interval:
        """95 % interval of the score."""
        return percentile_interval(self.draws)


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
    main = runs[0].main.recompute
    scorer = _scorer(outcomes, main)
    if scorer is None:
        return Impossible(f"{runs[0].main_metric} cannot be recomputed from the per-example outcomes")
    draws, on, strata = scorer
    score = float(on(np.ones((1, len(example)), np.int64))[0])
    recorded = float(np.mean([run.main.value for run in runs]))
    if abs(score - recorded) > AGREES:
        return Impossible(f"the per-example outcomes give {score:.2f}, the results say {recorded:.2f}")
    right = _right(outcomes[0], main) if len(outcomes) == 1 and main != PER_CLASS else None
    images = len(example)
    bends = isinstance(outcomes[0], DetectionOutcomes) and images > 1
    stretch = float(np.sqrt(images / (images - 1))) if bends else 1.0
    return Measured(score, example, draws, on, strata, stretch, right)


def resample(measured: Mapping[Name, Measured]) -> dict[Name, Resampled]:
    """Score resamples of the test images; those of as many images share them, which is what pairs them."""
    found: dict[Name, list[Floats]] = {name: [] for name in measured}
    sharing: dict[tuple[int, bytes], list[Name]] = {}
    for name, one in measured.items():
        sharing.setdefault((one.draws, one.strata.tobytes()), []).append(name)
    for (draws, _), names in sharing.items():
        for counts in resamples(measured[names[0]].strata, draws):
            for name in names:
                found[name].append(measured[name].on(counts))
    return {name: _resampled(one, np.concatenate(found[name])) for name, one in measured.items()}


def _resampled(one: Measured, draws: Floats) -> Resampled:
    if one.stretch != 1.0 and len(draws):
        draws = draws.mean() + one.stretch * (draws - draws.mean())
    _, size = np.unique(one.strata, return_counts=True)
    freedom = len(one.example) - len(size) if size.min() > 1 else 0
    return Resampled(one.score, draws, one.example, one.right, freedom)


def resamples(strata: Counts, draws: int) -> Iterator[Counts]:
    """How often each image is in each resample, in blocks [W, I]; fixed by the two arguments.

    Args:
        strata: Group of each image, [I]; each group keeps its size.
        draws: Resamples to take.
    """
    rng = np.random.default_rng(SEED)
    images = len(strata)
    order = np.argsort(strata, kind="stable")
    _, first, size = np.unique(strata[order], return_index=True, return_counts=True)
    start, span = np.repeat(first, size), np.repeat(size, size)  # of the group at each place, [I]
    block = max(1, BLOCK // images)
    for low in range(0, draws, block):
        rows = min(block, draws - low)
        picked = order[start + rng.integers(span, size=(rows, images))]  # [W, I]
        picked += np.arange(rows)[:, None] * images
        yield np.bincount(picked.ravel(), minlength=rows * images).reshape(rows, images)


Scorer = tuple[int, Callable[[Counts], Floats], Counts]
"""How many resamples to take, the metric on them as a mean over runs, and what is resampled within.

Resamples of n images spread less than other n images would, by sqrt((n - 1) / n). Scores of images are
therefore set that much further from the mean of their group; the score of all images is not changed by it.
"""


def _scorer(outcomes: Sequence[Outcomes], metric: Recompute) -> Scorer | None:
    """None for a metric that cannot be recomputed."""
    whole = np.zeros(len(outcomes[0].example), np.int64)
    if all(isinstance(one, DetectionOutcomes) for one in outcomes):
        precision = _precision(cast(Sequence[DetectionOutcomes], outcomes), metric)
        return precision and (DETECTION_DRAWS, precision, whole)
    right = [_right(one, metric) for one in outcomes]
    if any(one is None for one in right):
        return None
    share: Floats = np.array(right, np.float64).mean(axis=0)  # of the runs that have the image right, [I]
    strata = cast(ClassificationOutcomes, outcomes[0]).label if metric == PER_CLASS else whole
    weighted = spread_out(share, strata)
    return CLASSIFICATION_DRAWS, lambda counts: 100 * (counts @ weighted), strata


def spread_out(share: Floats, strata: Counts) -> Floats:
    """What each image adds to a mean over groups, so that resamples within groups spread without bias, [I].

    Args:
        share: Score of each image, [I].
        strata: Its group, [I]. Groups count alike. A group of one image cannot spread.
    """
    _, group, size = np.unique(strata, return_inverse=True, return_counts=True)
    mean = (np.bincount(group, weights=share) / size)[group]
    factor = np.sqrt(size / np.maximum(size - 1, 1))[group]
    return np.asarray((mean + factor * (share - mean)) / size[group] / len(size), np.float64)


def _right(outcomes: Outcomes, metric: Recompute) -> NDArray[np.bool_] | None:
    """Whether each image is right by the metric, [I]; None if that says nothing of images."""
    if not isinstance(outcomes, ClassificationOutcomes) or metric not in {"top1", "top5", PER_CLASS}:
        return None
    return outcomes.top5 if metric == "top5" else outcomes.prediction == outcomes.label


def _precision(outcomes: Sequence[DetectionOutcomes], metric: Recompute) -> Callable[[Counts], Floats] | None:
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
