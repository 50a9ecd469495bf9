"""Intervals of scores and of paired differences, against closed forms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsa_bench.core.average_precision import average_precision, ranked
from hsa_bench.core.result import DataId, TaskResult
from reports import bootstrap
from reports.bootstrap import Impossible, Measured, Resampled, measure, resample, resamples
from reports.compare import Difference, compare, difference
from reports.frame import collect
from reports.grid import lay_out
from tests.reports.report_folder import SCENES, classified, detected, result, write

N = 400


def measured(out: Path, label: str, right: np.ndarray, **changed: object) -> TaskResult:
    facts = {"metrics": {"top1": float(right.mean() * 100)}, **changed}
    return write(out, result(label, "knn", **facts), classified(right))


def resampled(out: Path, *runs: TaskResult) -> Resampled:
    found = measure(runs, out / "results" / runs[0].label / runs[0].spec.task)
    assert isinstance(found, Measured)
    return resample({"it": found})["it"]


def mask(share: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(N) < share * N


def test_a_resample_draws_as_many_images_as_there_are() -> None:
    blocks = np.concatenate(list(resamples(50, 30)))

    assert blocks.shape == (30, 50)
    assert (blocks.sum(1) == 50).all()


def test_resamples_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = np.concatenate(list(resamples(50, 30)))
    monkeypatch.setattr(bootstrap, "BLOCK", 7 * 50)

    assert (np.concatenate(list(resamples(50, 30))) == at_once).all()


def test_the_spread_of_an_accuracy_is_the_binomial_one(tmp_path: Path) -> None:
    found = resampled(tmp_path, measured(tmp_path, "moco", mask(0.8)))

    assert found.score == pytest.approx(80)
    assert found.draws.std() == pytest.approx(100 * np.sqrt(0.8 * 0.2 / N), rel=0.05)
    assert found.interval.low == pytest.approx(80 - 1.96 * 2, abs=0.5)
    assert found.interval.high == pytest.approx(80 + 1.96 * 2, abs=0.5)


def test_several_runs_count_with_each_images_mean(tmp_path: Path) -> None:
    runs = [measured(tmp_path, "random", mask(0.5, seed=i), weights=f"{i:064x}") for i in range(3)]
    share = np.mean([mask(0.5, seed=i) for i in range(3)], axis=0)

    found = resampled(tmp_path, *runs)

    assert found.score == pytest.approx(50)
    assert found.draws.std() == pytest.approx(100 * share.std() / np.sqrt(N), rel=0.05)


def test_a_paired_difference_has_the_spread_of_the_differences_per_image(tmp_path: Path) -> None:
    base, better = mask(0.6), mask(0.6)
    better[np.flatnonzero(~base)[:40]] = True  # 10 points better, and never worse
    a, b = (
        resampled(tmp_path, measured(tmp_path, name, right)) for name, right in (("a", better), ("b", base))
    )

    found = difference(a, b)

    assert isinstance(found, Difference)
    assert found.value == pytest.approx(10)
    half = 1.96 * 100 * np.sqrt(0.1 * 0.9 / N)
    assert found.interval.low == pytest.approx(10 - half, abs=0.5)
    assert found.interval.high == pytest.approx(10 + half, abs=0.5)
    apart = (a.interval.high - a.interval.low, b.interval.high - b.interval.low)
    assert found.interval.high - found.interval.low < np.hypot(*apart)  # what pairing is for


def test_the_same_outcomes_differ_by_exactly_nothing(tmp_path: Path) -> None:
    a, b = (resampled(tmp_path, measured(tmp_path, name, mask(0.7))) for name in "ab")

    assert difference(a, b) == Difference(0, bootstrap.Interval(0, 0))


def test_other_data_or_other_images_are_not_compared(tmp_path: Path) -> None:
    base = resampled(tmp_path, measured(tmp_path, "a", mask(0.7)))
    elsewhere = DataId(name="digits", fingerprint="ffff")
    moved = resampled(tmp_path, measured(tmp_path, "b", mask(0.7), data=elsewhere))
    fewer = resampled(tmp_path, measured(tmp_path, "c", mask(0.7)[:100]))

    assert "different data" in difference(moved, base).reason
    assert "different test images" in difference(fewer, base).reason
    assert difference(Impossible("why"), base) == Impossible("why")
    assert "why" in difference(base, Impossible("why")).reason


def test_runs_without_usable_outcomes_have_no_interval_and_say_why(tmp_path: Path) -> None:
    folder = tmp_path / "results/a/knn"
    bare = write(tmp_path, result("a", "knn"))
    wrong = measured(tmp_path, "a", mask(0.7), metrics={"top1": 71.0}, seed=1)
    other = measured(tmp_path, "a", mask(0.7), main_metric="map", metrics={"map": 70.0}, seed=2)
    lost = measured(tmp_path, "a", mask(0.7), seed=3)
    (folder / lost.examples).write_bytes(b"not an archive")
    small = measured(tmp_path, "a", mask(0.5)[:10], seed=4)
    whole = measured(tmp_path, "a", mask(0.5), seed=5)

    assert "no per-example outcomes" in measure([bare], folder).reason
    assert "outcomes give 70.00, the results say 71.00" in measure([wrong], folder).reason
    assert "map cannot be recomputed" in measure([other], folder).reason
    assert "cannot be read" in measure([lost], folder).reason
    assert "different test images" in measure([small, whole], folder).reason


@pytest.mark.parametrize("how", ["coco", "voc07", "voc-area"])
def test_detection_is_resampled_by_image_and_scored_by_ap(tmp_path: Path, how: str) -> None:
    kept = replace(detected(1.0, np.random.default_rng(0)), interpolation=np.array(how))
    ranking = ranked(kept, "bbox")
    ap = average_precision(ranking, np.ones((1, SCENES), np.int64))
    run = write(tmp_path, result("a", "coco", metrics={"bbox/AP": float(ap.mean())}), kept)

    found = resampled(tmp_path, run)

    assert found.score == pytest.approx(ap.mean())
    first = next(iter(resamples(SCENES, bootstrap.DETECTION_DRAWS)))[:1]
    assert found.draws[0] == pytest.approx(average_precision(ranking, first).mean())
    assert len(found.draws) == bootstrap.DETECTION_DRAWS
    assert found.interval.low < found.score < found.interval.high


def test_every_cell_is_set_against_the_baseline_of_its_column(demo_run: Path) -> None:
    collected = collect(demo_run)
    grid = lay_out(collected)

    comparison = compare(collected, grid, "moco")

    assert comparison.baseline == "moco"
    found = comparison.differences["hsa", "linear"]
    assert isinstance(found, Difference)
    assert found.value == pytest.approx(grid.at("hsa", "linear").mean - grid.at("moco", "linear").mean)
    assert ("moco", "linear") not in comparison.differences
    assert ("simclr", "coco") not in comparison.scores


def test_without_a_baseline_there_are_scores_and_no_differences(demo_run: Path) -> None:
    collected = collect(demo_run)

    comparison = compare(collected, lay_out(collected), "")

    assert comparison.scores and not comparison.differences


def test_runs_limited_to_a_part_of_the_images_are_not_compared(tmp_path: Path) -> None:
    for label in ("moco", "hsa"):
        measured(tmp_path, label, mask(0.7), limit=N)
    collected = collect(tmp_path)
    found = compare(collected, lay_out(collected), "moco")

    assert set(found.scores) == {("moco", "knn"), ("hsa", "knn")}
    assert not found.differences
