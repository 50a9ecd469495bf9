"""Linear SVMs and average precision written out, for tests to compare with."""

from __future__ import annotations

import numpy as np
from sklearn.svm import LinearSVC


def plain_svm(x: np.ndarray, positive: np.ndarray, cost: float) -> LinearSVC:
    svm = LinearSVC(C=cost, class_weight={1: 2, -1: 1}, dual=True, max_iter=2000, random_state=0)
    return svm.fit(x, np.where(positive, 1, -1))


def plain_area(scores: np.ndarray, right: np.ndarray) -> float:
    """From the definition: at each recall that is reached, the best precision there or later."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    points = []
    for cut in range(1, len(order) + 1):
        hits = sum(bool(right[i]) for i in order[:cut])
        points.append((hits / right.sum(), hits / cut))
    total, last = 0.0, 0.0
    for recall, _ in points:
        total += (recall - last) * max(p for r, p in points if r >= recall)
        last = recall
    return 100 * total
