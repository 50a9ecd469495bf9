"""The probe's p-values are those of the formulas it once kept for itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from reports.statistics.significance import holm, mcnemar


def earlier_mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    gained, lost = int((other & ~one).sum()), int((one & ~other).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def earlier_holm(p: Sequence[float]) -> list[float]:
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, least = [1.0] * len(p), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = least
    return adjusted


@pytest.mark.parametrize("seed", range(20))
def test_p_values_are_as_before(seed: int) -> None:
    draw = np.random.default_rng(seed)
    base = draw.random(300) < 0.7
    others = [base ^ (draw.random(300) < share) for share in draw.random(int(draw.integers(1, 9))) * 0.3]
    p = [mcnemar(base, other) for other in others]
    assert p == pytest.approx([earlier_mcnemar(base, other) for other in others], rel=1e-12)
    assert holm(p) == earlier_holm(p)


def test_holm_is_as_before_on_ties_and_on_nothing() -> None:
    for p in ([], [1.0], [0.2, 0.2, 0.01, 1.0], [0.0, 0.0]):
        assert holm(p) == earlier_holm(p)


def test_nothing_gained_and_nothing_lost_is_no_difference() -> None:
    same = np.array([True, False])
    assert mcnemar(same, same) == earlier_mcnemar(same, same) == 1.0
