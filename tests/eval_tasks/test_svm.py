from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC

from eval_tasks._svm import fit as _svm
from eval_tasks._svm.fit import Problem, area, cross_validated, solve, solve_all, unit
from hsa_bench.core.data.detection.voc_labels import ABSENT, IGNORED, PRESENT
from tests.support.command import start_code
from tests.support.plain_svm import plain_area, plain_svm


def features(count: int, seed: int) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).normal(size=(count, 12))).astype(np.float32)


def problem(costs: Sequence[float] = (0.5,), folds: int = 0) -> Problem:
    positive = np.random.default_rng(5).random(40) < 0.3
    return Problem(0, np.arange(40), positive, tuple(costs), 2000, folds)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_the_area_under_the_envelope(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=30).round(1).astype(np.float32)  # some are equal
    labels = rng.choice([PRESENT, IGNORED, ABSENT], size=30, p=[0.3, 0.1, 0.6])
    asked = labels != IGNORED

    assert area(scores, labels) == pytest.approx(plain_area(scores[asked], labels[asked] == PRESENT))


def test_a_perfect_ranking_has_100_and_the_worst_has_its_share() -> None:
    labels = np.array([1, 1, -1, -1])
    assert area(np.array([4.0, 3.0, 2.0, 1.0]), labels) == 100
    assert area(np.array([1.0, 2.0, 3.0, 4.0]), labels) == 50  # 1/3 at the first hit, 2/4 at the second


def test_features_have_length_one_less_a_hundred_thousandth() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    assert np.allclose(unit(x), [[3 / 5.00001, 4 / 5.00001], [0, 0]], atol=1e-7)


def test_scores_are_those_of_scikit_learn() -> None:
    x, test, one = features(40, 0), features(20, 1), problem((0.5, 2.0))

    found = solve(x, test, one)

    for cost, scores in zip((0.5, 2.0), found.scores, strict=True):
        expected = plain_svm(x, one.positive, cost).decision_function(test)
        assert np.allclose(scores, expected, rtol=0, atol=1e-12)


def test_a_cost_is_chosen_as_by_cross_val_score_then_fitted_on_all() -> None:
    x, test, one = features(40, 0), features(20, 1), problem((0.01, 0.1, 0.5), folds=3)
    y = np.where(one.positive, 1, -1)

    found = solve(x, test, one)

    for cost, value in found.judged.items():
        svm = LinearSVC(C=cost, class_weight={1: 2, -1: 1}, dual=True, max_iter=2000, random_state=0)
        assert value == cross_val_score(svm, x, y, cv=3, scoring="average_precision").mean()
    best = max(found.judged, key=lambda cost: found.judged[cost])
    assert found.costs == (best,)
    assert np.allclose(found.scores[0], plain_svm(x, one.positive, best).decision_function(test), atol=1e-12)


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_fits_that_do_not_converge_are_counted() -> None:
    one = replace(problem((0.5, 1000.0), folds=3), max_iter=1)

    assert cross_validated(features(40, 0), one)[1] == 6
    assert solve(features(40, 0), features(5, 1), one).unfinished == 7
    with pytest.warns(ConvergenceWarning):
        LinearSVC(dual=True, max_iter=1).fit(features(40, 0), one.positive)


def test_processes_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    x, test = features(40, 0), features(20, 1)
    problems = [problem((0.1 * i,)) for i in range(1, 4)]
    alone = [solve(x, test, one).scores for one in problems]
    monkeypatch.setattr(_svm, "IN_PLACE", 0)
    monkeypatch.setattr(_svm, "own_cores", lambda: 2)

    shared = [one.scores for one in solve_all(x, test, problems)]

    assert np.array_equal(alone, shared)


def test_a_process_ends_with_its_parent() -> None:
    child = (
        "import os, time; from eval_tasks._svm.fit import end_with; end_with(os.getppid()); "
        "print(1, flush=True); time.sleep(60)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        start = time.monotonic()
        process.kill()
        process.stdout.read()  # until the child has closed it too
    assert time.monotonic() - start < 30


def test_one_kind_of_image_teaches_nothing() -> None:
    one = replace(problem((0.5, 1.0)), positive=np.ones(40, np.bool_))
    assert not solve(features(40, 0), features(20, 1), one).scores.any()


def test_fitting_in_place_where_there_are_no_processes_leaves_this_one_alone() -> None:
    code = (
        "import numpy as np; from eval_tasks._svm import fit as _svm; _svm.IN_PLACE = 0; "
        "x = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32); "
        "one = _svm.Problem(0, np.arange(20), np.arange(20) % 2 == 0, (1.0,), 100); "
        "print(len(list(_svm.solve_all(x, x, [one, one]))))"
    )
    done = start_code(code, JOBLIB_MULTIPROCESSING="0")
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
