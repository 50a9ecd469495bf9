"""Linear SVMs, one a class, and the average precision of their scores (Goyal et al. 2019, arXiv:1905.01235).

Imports no torch, as the processes that fit import this file.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from sklearn.utils.parallel import Parallel, delayed

from hsa_bench.core.cores import own_cores

AT_ONCE = 8
"""Most fits at a time: each holds 24 bytes for every number of its features, 1.1 GB for 5,011 of 9,216."""

IN_PLACE = 2**26
"""Numbers to be fitted, all fits together, below which further processes are not worth their start."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Problem:
    """One class to tell from the others."""

    c: int
    """The class."""
    rows: NDArray[np.int64]
    """Training images, [n]; may repeat."""
    positive: NDArray[np.bool_]
    """Which of them show the class, [n]."""
    costs: tuple[float, ...]
    """C: what a margin that is missed costs."""
    max_iter: int
    """Passes over the training images at which a fit ends, converged or not."""
    folds: int = 0
    """Of the cross-validation that chooses one of the costs; 0 fits each of them."""


@dataclass(frozen=True)
class Solved:
    """What became of a problem."""

    costs: tuple[float, ...]
    """Those of the scores: of the problem, or the one that was chosen."""
    scores: NDArray[np.float64]
    """Signed distances of the test images, not normalised, one row a cost, [K, I]."""
    judged: dict[float, float] = field(default_factory=dict)
    """Average precision by cost, mean over the folds, not interpolated, in [0, 1]."""
    unfinished: int = 0
    """Fits that ended at `max_iter`."""


def unit(features: Floats) -> Floats:
    """Features divided by their length + 1e-5, [N, D], in float32."""
    return features / (np.linalg.norm(features, axis=1) + 1e-5)[:, None]


def solve_all(train: Floats, test: Floats, problems: Sequence[Problem]) -> Iterator[Solved]:
    """Solve problems in their order, several at a time where that is worth it; the numbers are the same.

    In processes, not in threads: liblinear has one random generator for all threads, so that what they find
    would depend on how they take turns.

    Args:
        train: Features that `Problem.rows` refer to, [N, D].
        test: Features to score, [I, D].
        problems: One for each class, draw, …
    """
    work = sum(len(one.rows) * len(one.costs) * max(one.folds, 1) for one in problems) * train.shape[1]
    at_once = min(AT_ONCE, own_cores(), len(problems))
    if at_once < 2 or work < IN_PLACE:
        return (solve(train, test, one) for one in problems)
    pool = Parallel(n_jobs=at_once, return_as="generator", mmap_mode="r")
    return pool(delayed(_solve_for)(os.getpid(), train, test, one) for one in problems)


def _solve_for(parent: int, train: Floats, test: Floats, problem: Problem) -> Solved:
    if os.getpid() != parent:  # else it is computed in place
        end_with(parent)
    return solve(train, test, problem)


@cache
def end_with(parent: int) -> None:
    """End this process soon after its parent is gone, which may be killed and cannot end it then."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def solve(train: Floats, test: Floats, problem: Problem) -> Solved:
    """Fit each cost, or choose one and fit that. Images of one kind alone teach nothing: all scores are 0."""
    costs = problem.costs
    if problem.positive.all() or not problem.positive.any():
        return Solved(costs, np.zeros((len(costs), len(test))))
    x = train[problem.rows]
    judged: dict[float, float] = {}
    unfinished = 0
    if problem.folds and len(costs) > 1:
        judged, unfinished = cross_validated(x, problem)
        costs = (max(judged, key=lambda cost: judged[cost]),)  # of equal ones the first
    machines = [fitted(x, problem.positive, cost, problem.max_iter) for cost in costs]
    weights = np.concatenate([one.coef_ for one in machines])  # [K, D]
    bias = np.concatenate([one.intercept_ for one in machines])
    scores = test @ weights.T + bias  # [I, K]
    return Solved(costs, scores.T, judged, unfinished + sum(_unfinished(one) for one in machines))


def cross_validated(x: Floats, problem: Problem) -> tuple[dict[float, float], int]:
    """Average precision by cost and fits that did not converge.

    What scikit-learn's `cross_val_score(cv=folds, scoring="average_precision").mean()` gives: folds are
    stratified, in the order of the images.
    """
    positive = problem.positive
    found: dict[float, list[float]] = {cost: [] for cost in problem.costs}
    unfinished = 0
    for rows, held in StratifiedKFold(problem.folds).split(x, positive):
        part, asked = x[rows].astype(np.float64), x[held]
        for cost, values in found.items():
            machine = fitted(part, positive[rows], cost, problem.max_iter)
            values.append(float(average_precision_score(positive[held], machine.decision_function(asked))))
            unfinished += _unfinished(machine)
    return {cost: float(np.mean(values)) for cost, values in found.items()}, unfinished


def fitted(x: NDArray[np.floating], positive: NDArray[np.bool_], cost: float, max_iter: int) -> LinearSVC:
    """One machine with the settings that VISSL and PCL share; computed in float64.

    `dual` is spelt out, as scikit-learn has chosen it by the data's shape since 1.5.
    """
    machine = LinearSVC(
        C=cost,
        class_weight={1: 2, -1: 1},
        penalty="l2",
        loss="squared_hinge",
        dual=True,
        tol=1e-4,
        intercept_scaling=1.0,
        max_iter=max_iter,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # counted
        return machine.fit(x, np.where(positive, 1, -1))


def area(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Average precision, percent: the area under the precision at each recall or beyond.

    Equal scores keep their order, as in `hsa_bench.core.results.average_precision`.

    Args:
        scores: [I].
        labels: 1 for images that show the class, -1 for others, 0 for those left out, [I]. At least one is 1.
    """
    asked = labels != 0
    order = np.argsort(-scores[asked], kind="stable")
    hits = np.flatnonzero(labels[asked][order] == 1)
    precision = np.arange(1, len(hits) + 1) / (hits + 1)
    return float(100 * np.maximum.accumulate(precision[::-1]).mean())


def _unfinished(machine: LinearSVC) -> bool:
    return bool(machine.n_iter_ >= machine.max_iter)
