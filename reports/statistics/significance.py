"""Tests of one difference and Holm's adjustment for many, as pure functions of numbers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Of every interval; intervals are not adjusted for how many are read."""

ALPHA = 0.05
"""A difference counts as shown if its Holm-adjusted p-value is below."""

LEAST_RUNS = 5
"""Runs a side below which a spread over runs is stated but not tested."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, in the unit of the number it belongs to."""

    low: float
    high: float

    def mirrored(self) -> Interval:
        """Of the negative number."""
        return Interval(-self.high, -self.low)


def mcnemar(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Exact two-sided p-value that two classifiers are equally often right (McNemar 1947; binomial).

    Args:
        right: Whether the first is right on each test image, [I].
        other: Whether the second is, on the same images.
    """
    from scipy.stats import binomtest

    first, second = int(np.sum(right & ~other)), int(np.sum(~right & other))
    if first + second == 0:
        return 1.0
    return float(binomtest(first, first + second, 0.5).pvalue)


def by_bootstrap(value: float, draws: NDArray[np.float64], freedom: int) -> float:
    """Two-sided p-value of a difference that is normal with the bootstrap's standard error.

    Student's t stands for the normal law, as the standard error comes from W resamples of few images.
    Counting resamples beyond zero instead could give no p-value below 2 / W, which Holm's adjustment of a
    whole report would always take above 0.05.

    Args:
        value: The difference as measured.
        draws: The difference on each resample of the test images, [W], of unbiased spread.
        freedom: Of the images: their number less that of the groups they are drawn in.

    Returns:
        1 where there is no spread, which says nothing of the noise.
    """
    from scipy.stats import t

    least = min(len(draws) - 1, freedom)
    if least < 1 or flat(draws):
        return 1.0
    return float(2 * t.sf(abs(value) / float(draws.std(ddof=1)), least))


def flat(values: Sequence[float] | NDArray[np.float64]) -> bool:
    """Whether numbers differ by rounding alone."""
    return float(np.ptp(values)) <= 1e-9 * max(1.0, float(np.max(np.abs(values))))


def percentile_interval(draws: NDArray[np.float64]) -> Interval:
    """From the 2.5th to the 97.5th percentile of resamples."""
    low, high = np.percentile(draws, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Interval(float(low), float(high))


def welch(values: Sequence[float], others: Sequence[float]) -> tuple[Interval, float]:
    """Interval and p-value of a difference of means, unequal variances (Welch 1947); two values a side.

    Without any spread the p-value is 1: nothing is known of the noise.
    """
    from scipy.stats import ttest_ind

    if flat(values) and flat(others):  # of which SciPy makes NaN
        gap = float(np.mean(values) - np.mean(others))
        return Interval(gap, gap), 1.0
    with warnings.catch_warnings():  # equal values on one side are no loss of precision here
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        found = ttest_ind(values, others, equal_var=False)
    bounds = found.confidence_interval(CONFIDENCE)
    return Interval(float(bounds.low), float(bounds.high)), float(found.pvalue)


def paired(values: Sequence[float], others: Sequence[float]) -> tuple[Interval, float]:
    """Interval and p-value of the mean of differences, each of one seed (Student's paired t); two seeds.

    Without any spread the p-value is 1: nothing is known of the noise.
    """
    from scipy.stats import ttest_1samp

    gaps = np.subtract(values, others)
    if flat(gaps):
        return Interval(float(gaps[0]), float(gaps[0])), 1.0
    found = ttest_1samp(gaps, 0.0)
    bounds = found.confidence_interval(CONFIDENCE)
    return Interval(float(bounds.low), float(bounds.high)), float(found.pvalue)


def holm(pvalues: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false alarm among them stays below alpha (Holm 1979)."""
    order = np.argsort(pvalues, kind="stable")
    factors = np.arange(len(order), 0, -1)
    stepped = np.maximum.accumulate(np.asarray(pvalues, np.float64)[order] * factors)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(p) for p in adjusted]
