"""How often the report calls a difference shown where there is none, and where there is one: simulations.

`make test` runs a sample of each; `make test-all` the full thousand. A rate of 5 % seen in 1,000 runs has a
standard error of 0.7 points: 6.4 % is two of them above.
"""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from hsa_bench.core.results.average_precision import average_precision, ranked
from hsa_bench.core.results.outcomes import DetectionOutcomes
from reports.run_folder.grid import Cell
from reports.statistics.bootstrap import Measured, Resampled, measure, resample, spread_out
from reports.statistics.difference import Difference, Significance, difference
from reports.statistics.significance import ALPHA, holm
from tests.reports.report_folder import SCENES, detected, result, write

PAIRS = [(0.6, 0.05), (0.6, 0.2), (0.6, 0.4), (0.8, 0.05), (0.8, 0.2), (0.8, 0.4), (0.95, 0.05), (0.95, 0.1)]
"""Accuracy, and share of images on which two predictors differ; at 95 % they can differ on 10 % at most."""

LONG = pytest.param(1000, marks=pytest.mark.long)


def bound(runs: int) -> float:
    """5 % and two standard errors: 6.4 % in 1,000 runs."""
    return 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def pair(
    rng: np.random.Generator, images: int, accuracy: float, differ: float, gain: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Which images two predictors have right; the first is better by `gain`."""
    one, other = (differ + gain) / 2, (differ - gain) / 2
    both = accuracy - one
    shares = np.clip([both, one, other, 1 - both - differ], 0, 1)  # rounding leaves -1e-17 of nothing
    drawn = rng.choice(4, size=images, p=shares)
    return (drawn == 0) | (drawn == 1), (drawn == 0) | (drawn == 2)


def single(right: np.ndarray) -> Resampled:
    """A single run, as `resample` gives it; its interval is not asked for here."""
    return Resampled(
        100 * right.mean(), np.zeros(2), np.arange(len(right)).astype(str), right, len(right) - 1
    )


def seeds(right: np.ndarray) -> Measured:
    """Several runs, [S, I]."""
    share = right.mean(axis=0)
    zero = np.zeros(len(share), np.int64)
    names = np.arange(len(share)).astype(str)
    weighted = spread_out(share, zero)
    return Measured(100 * share.mean(), names, 2000, lambda counts: 100 * (counts @ weighted), zero)


def p_of(one: Resampled, other: Resampled, name: str) -> float:
    """The p-value that the report would print, before it is adjusted."""
    cells = [Cell(label, "knn", (result(label, "knn"),)) for label in ("a", "b")]
    found = difference(*cells, one, other)
    assert isinstance(found, Difference) and isinstance(found.test, Significance)
    assert found.test.name == name
    return found.test.p


@pytest.mark.parametrize("runs", [200, LONG])
@pytest.mark.parametrize(("accuracy", "differ"), PAIRS)
def test_equal_predictors_are_rarely_told_apart_by_single_runs(
    accuracy: float, differ: float, runs: int
) -> None:
    rng = np.random.default_rng(int(1000 * accuracy + 100 * differ))

    flagged = [
        p_of(*map(single, pair(rng, 1000, accuracy, differ)), "exact McNemar") < ALPHA for _ in range(runs)
    ]

    assert np.mean(flagged) <= bound(runs)


@pytest.mark.parametrize(
    ("accuracy", "differ", "runs"),
    [(0.8, 0.2, 200), *(pytest.param(*p, 1000, marks=pytest.mark.long) for p in PAIRS)],
)
def test_equal_predictors_are_rarely_told_apart_by_means_over_seeds(
    accuracy: float, differ: float, runs: int
) -> None:
    rng = np.random.default_rng(int(1000 * accuracy + 100 * differ))
    measured = {}
    for run in range(runs):
        drawn = [pair(rng, 1000, accuracy, differ) for _ in range(3)]
        for side in range(2):
            measured[run, side] = seeds(np.array([one[side] for one in drawn]))
    found = resample(measured)

    flagged = [p_of(found[r, 0], found[r, 1], "paired bootstrap") < ALPHA for r in range(runs)]

    assert np.mean(flagged) <= bound(runs)
    assert np.mean(flagged) >= 0.02  # a test that never speaks would pass the bound, too


@pytest.mark.parametrize("runs", [60, LONG])
def test_equal_detectors_are_rarely_told_apart_on_forty_images(tmp_path: Path, runs: int) -> None:
    """AP bends with its images, so that resamples of few spread a tenth too little: 6.5 % in 1,000 runs."""
    rng = np.random.default_rng(7)
    flagged = []
    for run in range(runs):
        sides = {}
        for side in "ab":
            kept: DetectionOutcomes = detected(0.9, rng)
            folder = tmp_path / str(run)
            ap = average_precision(ranked(kept, "bbox"), np.ones((1, SCENES), np.int64)).mean()
            one = write(folder, result(side, "coco", metrics={"bbox/AP": float(ap)}), kept)
            found = measure([one], folder / "results" / side / "coco")
            assert isinstance(found, Measured)
            sides[side] = found
        drawn = resample(sides)
        cells = [Cell(label, "coco", (result(label, "coco"),)) for label in "ab"]
        found = difference(*cells, drawn["a"], drawn["b"])
        assert isinstance(found, Difference) and isinstance(found.test, Significance)
        flagged.append(found.test.p < ALPHA)

    assert np.mean(flagged) <= bound(runs) + 0.015


@pytest.mark.parametrize("tables", [100, LONG])
def test_a_table_of_twelve_true_nulls_rarely_shows_anything(tables: int) -> None:
    rng = np.random.default_rng(12)

    flagged = []
    for _ in range(tables):
        p = [p_of(*map(single, pair(rng, 1000, 0.8, 0.2)), "exact McNemar") for _ in range(12)]
        flagged.append(min(holm(p)) < ALPHA)

    assert np.mean(flagged) <= bound(tables)


@pytest.mark.parametrize("runs", [200, LONG])
@pytest.mark.parametrize("differ", [0.05, 0.2, 0.4])
def test_two_points_on_ten_thousand_images_are_seen_as_often_as_mcnemars_power_says(
    differ: float, runs: int
) -> None:
    rng, gain, images = np.random.default_rng(3), 0.02, 10_000
    power = norm.cdf(  # Connor 1987, Biometrics 43, unconditional
        (gain * math.sqrt(images) - norm.ppf(0.975) * math.sqrt(differ)) / math.sqrt(differ - gain**2)
    )

    flagged = [
        p_of(*map(single, pair(rng, images, 0.7, differ, gain)), "exact McNemar") < ALPHA for _ in range(runs)
    ]

    chance = 2 * math.sqrt(max(power * (1 - power), 1e-9) * (1 / runs - 1 / 1000))  # a sample's own noise
    assert np.mean(flagged) == pytest.approx(power, abs=0.03 + chance)
