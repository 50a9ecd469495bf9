"""Tests and intervals against statsmodels, SciPy's parts and closed forms."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from reports.statistics.bootstrap import spread_out
from reports.statistics.significance import (
    Interval,
    by_bootstrap,
    holm,
    mcnemar,
    paired,
    percentile_interval,
    welch,
)


@pytest.mark.parametrize("seed", range(6))
def test_mcnemar_is_statsmodels_exact_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right, other = rng.random(80) < 0.7, rng.random(80) < 0.55
    table = [
        [np.sum(right & other), np.sum(right & ~other)],
        [np.sum(~right & other), np.sum(~right & ~other)],
    ]

    assert mcnemar(right, other) == pytest.approx(reference_mcnemar(table, exact=True).pvalue, rel=1e-12)
    assert mcnemar(right, other) == mcnemar(other, right)


def test_mcnemar_counts_the_images_that_one_alone_has_right() -> None:
    right = np.array([True] * 6 + [False] * 1 + [True] * 50)
    other = np.array([False] * 6 + [True] * 1 + [True] * 50)

    assert mcnemar(right, other) == pytest.approx(2 * (1 + 7) / 2**7)  # at most 1 of 7 coins, both sides
    assert mcnemar(right, right) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_holm_is_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).random(15) ** 3

    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_welch_is_the_textbooks_formula_and_statsmodels() -> None:
    a, b = [70.1, 71.0, 69.4, 70.6, 70.9], [68.0, 69.9, 67.1, 70.2, 68.4, 69.0]
    va, vb = np.var(a, ddof=1) / 5, np.var(b, ddof=1) / 6
    freedom = (va + vb) ** 2 / (va**2 / 4 + vb**2 / 5)
    gap, error = np.mean(a) - np.mean(b), math.sqrt(va + vb)

    interval, p = welch(a, b)

    assert p == pytest.approx(2 * stats.t.sf(gap / error, freedom))
    half = stats.t.ppf(0.975, freedom) * error
    assert (interval.low, interval.high) == pytest.approx((gap - half, gap + half))
    reference = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    assert p == pytest.approx(reference.ttest_ind(usevar="unequal")[1])
    assert (interval.low, interval.high) == pytest.approx(reference.tconfint_diff(usevar="unequal"))


def test_paired_is_a_t_test_of_the_differences() -> None:
    a, b = [70.1, 71.0, 69.4, 70.6, 70.9], [69.0, 70.4, 69.0, 69.1, 70.5]
    gaps = DescrStatsW(np.subtract(a, b))

    interval, p = paired(a, b)

    assert p == pytest.approx(stats.ttest_rel(a, b).pvalue) == pytest.approx(gaps.ttest_mean()[1])
    assert (interval.low, interval.high) == pytest.approx(gaps.tconfint_mean())


def test_without_any_spread_nothing_is_shown() -> None:
    assert welch([70.0, 70.0], [70.0, 70.0]) == (Interval(0, 0), 1.0)
    assert welch([71.0, 71.0], [70.0, 70.0]) == (Interval(1, 1), 1.0)
    assert paired([71.0, 72.0], [70.0, 71.0]) == (Interval(1, 1), 1.0)
    assert paired([60.01] * 5, [60.0] * 5)[1] == 1.0  # equal up to rounding, which is no spread
    assert by_bootstrap(0.0, np.zeros(50), 9) == 1.0
    assert by_bootstrap(1.0, np.ones(50) + 1e-14 * np.arange(50), 9) == 1.0
    assert by_bootstrap(1.0, np.arange(50.0), 0) == 1.0


def test_a_bootstrap_p_value_is_that_of_its_standard_error() -> None:
    draws = np.random.default_rng(0).normal(1.0, 0.5, 200)

    p = by_bootstrap(1.0, draws, 10_000)

    assert p == pytest.approx(2 * stats.t.sf(1.0 / draws.std(ddof=1), 199), rel=1e-3)
    assert by_bootstrap(-1.0, draws, 10_000) == p


def test_few_images_make_a_bootstrap_p_value_that_of_a_paired_t_test() -> None:
    gaps = np.random.default_rng(0).normal(0.8, 1.0, 12)
    picked = np.random.default_rng(1).integers(12, size=(100_000, 12))

    weighted = spread_out(gaps, np.zeros(12, np.int64))

    p = by_bootstrap(gaps.mean(), weighted[picked].sum(axis=1), 11)

    assert weighted.sum() == pytest.approx(gaps.mean())

    assert p == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, rel=0.03)


def test_the_percentile_interval_of_a_normal_law() -> None:
    draws = np.random.default_rng(0).normal(0, 1, 200_000)

    found = percentile_interval(draws)

    assert (found.low, found.high) == pytest.approx((-1.96, 1.96), abs=0.02)
    assert found.mirrored() == Interval(-found.high, -found.low)
