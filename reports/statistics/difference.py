"""One cell's score less another's: which noise is meant, its interval, and its test."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hsa_bench.core.results.metric import Better
from reports.run_folder.grid import Cell
from reports.statistics.bootstrap import Impossible, Resampled
from reports.statistics.pairs import of_common_draws, of_common_seeds
from reports.statistics.significance import (
    ALPHA,
    LEAST_RUNS,
    Interval,
    by_bootstrap,
    mcnemar,
    paired,
    percentile_interval,
    welch,
)

Noise = Literal["test images", "evaluation seeds", "draws of training images", "pretrainings"]


DRAWS: Literal["draws of training images"] = "draws of training images"


@dataclass(frozen=True)
class Significance:
    """A p-value, two-sided, that there is no difference."""

    name: str
    p: float
    adjusted: float = 1.0
    """By Holm, over all tests of the report."""


@dataclass(frozen=True)
class Untested:
    """Why there is no p-value."""

    reason: str


@dataclass(frozen=True)
class BySeed:
    """The mean of differences, each of two runs of the same evaluation seed."""

    value: float
    """In the score's unit, of percentages in points."""
    interval: Interval
    """95 %, by Student's t."""
    seeds: int


@dataclass(frozen=True)
class Difference:
    """One backbone's score less another's."""

    value: float
    """In the score's unit, of percentages in points."""
    interval: Interval
    """95 %, unadjusted."""
    noise: Noise
    """What interval and test speak of: what else might have come out with other such."""
    test: Significance | Untested
    counts: tuple[int, int]
    """Of what the noise is over: test images, seeds, draws or pretrainings, of either side."""
    by_seed: BySeed | None = None
    """Beside it, where both have several evaluation seeds."""
    unit: str = "%"
    """Of both scores; a difference of percentages is in points."""
    better: Better = "higher"
    """Which scores are better. Value and intervals keep their sign: where lower is better, less than 0 is
    ahead."""

    @property
    def verdict(self) -> str:
        """What is shown: "ahead" or "behind" only if the adjusted p-value is below 0.05."""
        if isinstance(self.test, Untested):
            return "not tested"
        if not self.test.adjusted < ALPHA:
            return "no difference shown"
        return "ahead" if (self.value < 0 if self.better == "lower" else self.value > 0) else "behind"

    @property
    def shown_over_images_alone(self) -> bool:
        """Whether other evaluation seeds might undo what the test images show."""
        seed = self.by_seed
        return (
            self.verdict in {"ahead", "behind"}
            and seed is not None
            and seed.interval.low <= 0 <= seed.interval.high
        )

    def mirrored(self) -> Difference:
        """The other's score less this one's."""
        seed = self.by_seed
        return replace(
            self,
            value=-self.value,
            interval=self.interval.mirrored(),
            counts=self.counts[::-1],
            by_seed=seed and replace(seed, value=-seed.value, interval=seed.interval.mirrored()),
        )

    def untested(self, reason: str) -> Difference:
        """The same without a p-value."""
        return replace(self, test=Untested(reason))


def difference(
    one: Cell, other: Cell, sample: Resampled | Impossible, base: Resampled | Impossible
) -> Difference | Impossible:
    """The first cell's score less the second's.

    Where a label stands for several pretrainings the noise is that between pretrainings (Welch, unpaired);
    else that of the test images (exact McNemar for single runs, else a paired bootstrap); else, without
    outcomes of each image, that of the evaluation seeds, or of the draws of training images within a run
    (paired by seed and draw, which are the same for all backbones).

    Args:
        one: A cell with a number.
        other: Another of the same column.
        sample: The first on resampled test images.
        base: The second on the same resamples.
    """
    if reason := _unlike_data(one, other) or _unlike_scales(one, other):
        return Impossible(reason)
    between, main = _between(one, other, sample, base), one.runs[0].main
    if isinstance(between, Impossible):
        return between
    return replace(between, unit=main.unit, better=main.better)


def _between(
    one: Cell, other: Cell, sample: Resampled | Impossible, base: Resampled | Impossible
) -> Difference | Impossible:
    values, others = pretrainings(one), pretrainings(other)
    several = len(values) > 1 or len(others) > 1
    seeds = _by_seed(one, other)
    if len(values) > 1 and len(others) > 1:
        return _over_pretrainings(values, others)
    over_images = _over_images(sample, base)
    if isinstance(over_images, Difference):
        found = replace(over_images, by_seed=seeds)
        if several:
            return found.untested(f"{len(values)} against {len(others)} pretrainings: one has no spread")
        return found
    repeats = _over_repeats(one, other)
    if several and isinstance(repeats, Difference) and repeats.noise == DRAWS:
        return repeats.untested(f"{len(values)} against {len(others)} pretrainings: one has no spread")
    if several:
        return Impossible(f"{over_images.reason}, and one side is several pretrainings")
    return repeats or over_images


def _unlike_data(one: Cell, other: Cell) -> str:
    first, second = ({run.spec.data.fingerprint for run in cell.runs} for cell in (one, other))
    if first == second:
        return ""
    named = " and ".join(", ".join(sorted(prints)) for prints in (first, second))
    return f"measured on different data (fingerprints {named})"


def _unlike_scales(one: Cell, other: Cell) -> str:
    first, second = ({(run.main.unit, run.main.better) for run in cell.runs} for cell in (one, other))
    return "" if first == second else "measured in different units or directions"


def pretrainings(cell: Cell) -> dict[str, float]:
    """Mean of the main metric over the runs of each set of weights."""
    found: dict[str, list[float]] = {}
    for run in cell.runs:
        found.setdefault(run.spec.backbone.weights, []).append(run.main.value)
    return {weights: statistics.fmean(values) for weights, values in found.items()}


def _over_pretrainings(values: Mapping[str, float], others: Mapping[str, float]) -> Difference:
    interval, p = welch(list(values.values()), list(others.values()))
    counts = len(values), len(others)
    few = f"{counts[0]} and {counts[1]} pretrainings; a test takes {LEAST_RUNS} a side"
    enough = min(counts) >= LEAST_RUNS
    return Difference(
        value=statistics.fmean(values.values()) - statistics.fmean(others.values()),
        interval=interval,
        noise="pretrainings",
        test=Significance("Welch's t", p) if enough else Untested(few),
        counts=counts,
    )


def _over_images(sample: Resampled | Impossible, base: Resampled | Impossible) -> Difference | Impossible:
    """Both were resampled with the same draws, so noise from easy and hard images cancels."""
    if isinstance(sample, Impossible):
        return sample
    if isinstance(base, Impossible):
        return Impossible(f"on the other side {base.reason}")
    if not np.array_equal(sample.example, base.example):
        return Impossible("measured on different test images")
    if sample.draws.shape != base.draws.shape:
        return Impossible("measured on images with different objects")
    value, draws, images = sample.score - base.score, sample.draws - base.draws, len(sample.example)
    if sample.right is not None and base.right is not None:
        test: Significance | Untested = Significance("exact McNemar", mcnemar(sample.right, base.right))
    elif sample.freedom < 1:
        test = Untested("a class has a single test image" if images > 1 else "a single test image")
    else:
        test = Significance("paired bootstrap", by_bootstrap(value, draws, sample.freedom))
    return Difference(value, percentile_interval(draws), "test images", test, (images, images))


def _over_repeats(one: Cell, other: Cell) -> Difference | None:
    """Paired by draw where both hold several, else by evaluation seed; None with fewer than two pairs."""
    drawn = of_common_draws(one, other)
    values, others = drawn if len(drawn[0]) > 1 else of_common_seeds(one, other)
    count = len(values)
    if count < 2:
        return None
    noise: Noise = DRAWS if len(drawn[0]) > 1 else "evaluation seeds"
    interval, p = paired(values, others)
    few = f"{count} {'draws' if noise == DRAWS else 'seeds'}; a test takes {LEAST_RUNS}"
    test = Significance("paired t", p) if count >= LEAST_RUNS else Untested(few)
    value = statistics.fmean(values) - statistics.fmean(others)
    return Difference(value, interval, noise, test, (count, count))


def _by_seed(one: Cell, other: Cell) -> BySeed | None:
    values, others = of_common_seeds(one, other)
    if len(values) < 2 or len(pretrainings(one)) > 1 or len(pretrainings(other)) > 1:
        return None
    value = statistics.fmean(values) - statistics.fmean(others)
    return BySeed(value, paired(values, others)[0], len(values))
