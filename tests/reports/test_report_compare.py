"""Intervals of scores, differences and which noise they are of, against closed forms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsa_bench.core.results.average_precision import average_precision, ranked
from hsa_bench.core.results.metric import top1
from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.results.result import DataId, TaskResult
from reports.run_folder.collected import collect
from reports.run_folder.grid import Cell, lay_out
from reports.statistics import bootstrap
from reports.statistics.bootstrap import Impossible, Measured, Resampled, measure, resample, resamples
from reports.statistics.cache import Cache
from reports.statistics.comparison import Comparison, compare
from reports.statistics.difference import Difference, Significance, Untested, difference
from reports.statistics.significance import Interval, mcnemar, paired, welch
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


def whole(images: int) -> np.ndarray:
    return np.zeros(images, np.int64)


def test_a_resample_draws_as_many_images_as_there_are() -> None:
    blocks = np.concatenate(list(resamples(whole(50), 30)))

    assert blocks.shape == (30, 50)
    assert (blocks.sum(1) == 50).all()
    assert blocks.max() > 1 and (blocks == 0).any()


def test_a_resample_within_classes_keeps_their_sizes() -> None:
    labels = np.array([2, 0, 0, 2, 1, 2, 2, 0])

    blocks = np.concatenate(list(resamples(labels, 200)))

    for label, size in ((0, 3), (1, 1), (2, 4)):
        assert (blocks[:, labels == label].sum(1) == size).all()
        assert blocks[:, labels == label].mean() == pytest.approx(1.0, abs=0.15)


def test_resamples_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = np.concatenate(list(resamples(whole(50), 30)))
    monkeypatch.setattr(bootstrap, "BLOCK", 7 * 50)

    assert (np.concatenate(list(resamples(whole(50), 30))) == at_once).all()


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


def between(out: Path, one: list[TaskResult], other: list[TaskResult]) -> Difference | Impossible:
    """The difference of two cells, as the report takes it."""
    cells = [Cell(runs[0].label, "knn", tuple(runs)) for runs in (one, other)]
    found = {
        cell.row: measure(cell.runs, out / "results" / cell.row / cell.runs[0].spec.task) for cell in cells
    }
    drawn = resample({name: m for name, m in found.items() if isinstance(m, Measured)})
    samples = [drawn.get(cell.row) or found[cell.row] for cell in cells]
    return difference(*cells, *samples)


def test_a_paired_difference_has_the_spread_of_the_differences_per_image(tmp_path: Path) -> None:
    base, better = mask(0.6), mask(0.6)
    better[np.flatnonzero(~base)[:40]] = True  # 10 points better, and never worse
    one, other = (measured(tmp_path, name, right) for name, right in (("a", better), ("b", base)))

    found = between(tmp_path, [one], [other])

    assert isinstance(found, Difference)
    assert (found.noise, found.counts) == ("test images", (N, N))
    assert found.value == pytest.approx(10)
    half = 1.96 * 100 * np.sqrt(0.1 * 0.9 / N)
    assert found.interval.low == pytest.approx(10 - half, abs=0.5)
    assert found.interval.high == pytest.approx(10 + half, abs=0.5)
    apart = [resampled(tmp_path, run).interval for run in (one, other)]
    assert found.interval.high - found.interval.low < np.hypot(*(i.high - i.low for i in apart))
    assert found.test == Significance("exact McNemar", mcnemar(better, base))


def test_the_same_outcomes_differ_by_exactly_nothing(tmp_path: Path) -> None:
    one, other = (measured(tmp_path, name, mask(0.7)) for name in "ab")

    found = between(tmp_path, [one], [other])

    assert found == Difference(0, Interval(0, 0), "test images", Significance("exact McNemar", 1.0), (N, N))
    assert found.verdict == "no difference shown"


def test_several_seeds_are_compared_by_the_images_mean_and_shown_paired_by_seed(tmp_path: Path) -> None:
    base = [measured(tmp_path, "b", mask(0.6, seed=s), seed=s, seeded=True) for s in range(3)]
    better = [measured(tmp_path, "a", mask(0.66, seed=s), seed=s, seeded=True) for s in range(3)]

    found = between(tmp_path, better, base)

    assert isinstance(found, Difference) and isinstance(found.test, Significance)
    assert found.test.name == "paired bootstrap" and found.noise == "test images"
    gaps = [mask(0.66, seed=s) * 1.0 - mask(0.6, seed=s) for s in range(3)]
    error = 100 * np.mean(gaps, axis=0).std(ddof=1) / np.sqrt(N)
    assert (found.interval.high - found.interval.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    values = [[run.values["top1"] for run in runs] for runs in (better, base)]
    assert found.by_seed is not None
    assert found.by_seed.interval == paired(*values)[0] and found.by_seed.seeds == 3


def several(out: Path, label: str, shares: list[float], **changed: object) -> list[TaskResult]:
    return [
        measured(out, label, mask(share, seed=i), weights=f"{sum(map(ord, label)) + i:064x}", **changed)
        for i, share in enumerate(shares)
    ]


def test_several_pretrainings_of_each_are_compared_unpaired(tmp_path: Path) -> None:
    one = several(tmp_path, "a", [0.70, 0.72, 0.71, 0.74, 0.70])
    other = several(tmp_path, "q", [0.66, 0.69, 0.65, 0.66, 0.68])

    found = between(tmp_path, one, other)

    interval, p = welch(*[[run.values["top1"] for run in runs] for runs in (one, other)])
    assert isinstance(found, Difference)
    assert (found.noise, found.counts) == ("pretrainings", (5, 5))
    assert found.interval == interval and found.test == Significance("Welch's t", p)


def test_seeds_of_one_pretraining_are_one_value_of_its_comparison(tmp_path: Path) -> None:
    one = [r for s in range(2) for r in several(tmp_path, "a", [0.7 + 0.02 * s, 0.8], seed=s, seeded=True)]
    other = several(tmp_path, "q", [0.5, 0.52])

    found = between(tmp_path, one, other)

    assert isinstance(found, Difference)
    assert found.counts == (2, 2)
    assert found.value == pytest.approx((71 + 80) / 2 - 51)


def test_fewer_than_five_pretrainings_are_shown_and_not_tested(tmp_path: Path) -> None:
    found = between(
        tmp_path, several(tmp_path, "a", [0.9, 0.91, 0.9, 0.92]), several(tmp_path, "q", [0.5] * 5)
    )

    assert isinstance(found, Difference)
    assert found.verdict == "not tested" and "4 and 5 pretrainings" in found.test.reason
    assert found.interval.low > 30


def test_one_pretraining_against_several_has_the_images_noise_and_no_test(tmp_path: Path) -> None:
    found = between(tmp_path, several(tmp_path, "a", [0.9]), several(tmp_path, "q", [0.5, 0.55]))

    assert isinstance(found, Difference)
    assert found.noise == "test images" and isinstance(found.test, Untested)
    assert "1 against 2 pretrainings" in found.test.reason


@pytest.mark.parametrize(("seeds", "tested"), [(4, False), (5, True)])
def test_seeds_are_the_noise_only_where_no_outcome_of_an_image_is_kept(
    tmp_path: Path, seeds: int, tested: bool
) -> None:
    values = [[70.0, 71.5, 70.2, 70.9, 71.1][:seeds], [69.0, 70.9, 69.9, 69.5, 70.0][:seeds]]
    runs = [
        [write(tmp_path, result(n, "linear", metrics={"top1": v}, seed=s)) for s, v in enumerate(given)]
        for n, given in zip("ab", values, strict=True)
    ]

    found = between(tmp_path, *runs)

    assert isinstance(found, Difference)
    interval, p = paired(*values)
    assert (found.noise, found.interval) == ("evaluation seeds", interval)
    assert found.test == (Significance("paired t", p) if tested else found.test)
    assert isinstance(found.test, Significance) is tested


def test_classes_count_alike_in_a_mean_over_classes(tmp_path: Path) -> None:
    label = np.repeat([0, 1], [30, 300])
    rng = np.random.default_rng(0)
    runs = []
    for name, rates in (("a", [0.9, 0.6]), ("b", [0.5, 0.6])):
        right = rng.random(330) < np.array(rates)[label]
        kept = ClassificationOutcomes(
            np.arange(330).astype(str), label, np.where(right, label, 1 - label),
            np.ones(330, np.float32), np.ones(330, np.bool_),
        )  # fmt: skip
        top = float(np.mean([right[label == c].mean() for c in (0, 1)]) * 100)
        facts = {"main_metric": "mean_per_class", "metrics": {"mean_per_class": top}}
        runs.append(write(tmp_path, result(name, "knn", **facts), kept))

    found = between(tmp_path, [runs[0]], [runs[1]])

    assert isinstance(found, Difference) and isinstance(found.test, Significance)
    assert found.test.name == "paired bootstrap"  # McNemar's test counts images, not classes
    assert found.value == pytest.approx(runs[0].values["mean_per_class"] - runs[1].values["mean_per_class"])
    gaps = [np.subtract(*(load_right(tmp_path, run)[label == c] for run in runs)) for c in (0, 1)]
    error = 50 * np.sqrt(sum(g.std() ** 2 / len(g) for g in gaps))  # two independent strata, half each
    assert (found.interval.high - found.interval.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def load_right(out: Path, run: TaskResult) -> np.ndarray:
    kept = bootstrap.load(out / "results" / run.label / run.spec.task / run.examples)
    assert isinstance(kept, ClassificationOutcomes)
    return (kept.prediction == kept.label).astype(float)


def test_other_data_or_other_images_are_not_compared(tmp_path: Path) -> None:
    base = [measured(tmp_path, "a", mask(0.7))]
    elsewhere = DataId(name="digits", fingerprint="ffff")

    moved = between(tmp_path, [measured(tmp_path, "b", mask(0.7), data=elsewhere)], base)
    fewer = between(tmp_path, [measured(tmp_path, "c", mask(0.7)[:100])], base)
    bare = write(tmp_path, result("d", "knn"))

    assert isinstance(moved, Impossible) and "different data" in moved.reason
    assert isinstance(fewer, Impossible) and "different test images" in fewer.reason
    assert "no per-example outcomes" in between(tmp_path, [bare], base).reason
    assert "on the other side" in between(tmp_path, base, [bare]).reason


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
    counts = next(iter(resamples(whole(SCENES), bootstrap.DETECTION_DRAWS)))
    draws = average_precision(ranking, counts).mean(axis=1)
    unbiased = draws.mean() + np.sqrt(SCENES / (SCENES - 1)) * (draws - draws.mean())
    assert found.draws == pytest.approx(unbiased)
    assert len(found.draws) == bootstrap.DETECTION_DRAWS
    assert found.interval.low < found.score < found.interval.high


def compared(out: Path, *baselines: str) -> Comparison:
    collected = collect(out)
    return compare(collected, lay_out(collected), baselines, ("random", "pixels"), Cache(Path("unused")))


def test_every_cell_is_set_against_each_baseline_once(demo_run: Path) -> None:
    found = compared(demo_run, "moco", "simclr")

    assert found.baselines == ("moco", "simclr")
    assert ("simclr", "moco", "linear") in found.differences
    assert ("moco", "simclr", "linear") not in found.differences  # the same test, the other way round
    there, back = found.at("simclr", "moco", "linear"), found.at("moco", "simclr", "linear")
    assert isinstance(there, Difference) and isinstance(back, Difference)
    assert back.value == -there.value and back.interval == there.interval.mirrored()
    assert back.test == there.test
    assert found.at("moco", "moco", "linear") is None
    assert found.at("simclr", "moco", "coco") is None  # it failed


def test_all_p_values_of_a_report_are_adjusted_together_and_controls_have_none(demo_run: Path) -> None:
    found = compared(demo_run, "moco", "simclr")
    tests = {
        pair: one.test
        for pair, one in found.differences.items()
        if isinstance(one, Difference) and isinstance(one.test, Significance)
    }

    assert len(tests) == found.tests == 5 * 3 + 1  # hsa and simclr to moco, hsa to simclr; coco: hsa to moco
    least = min(tests.values(), key=lambda test: test.p)
    assert least.adjusted == pytest.approx(min(1, least.p * found.tests))
    assert all(test.adjusted >= test.p for test in tests.values())
    pixels = found.differences["pixels", "moco", "knn"]
    assert isinstance(pixels, Difference) and pixels.test == Untested("a control")


def test_ahead_and_behind_are_said_only_of_adjusted_p_values_below_five_percent() -> None:
    shown = Difference(
        -2.0, Interval(-3, -1), "test images", Significance("exact McNemar", 0.001, 0.04), (9, 9)
    )

    assert shown.verdict == "behind" and shown.mirrored().verdict == "ahead"
    for adjusted in (0.05, 0.2, 1.0):
        one = replace(shown, test=Significance("exact McNemar", 0.001, adjusted))
        assert one.verdict == "no difference shown"
    assert shown.untested("why").verdict == "not tested"


def test_without_a_baseline_there_are_scores_and_no_differences(demo_run: Path) -> None:
    found = compared(demo_run)

    assert found.scores and not found.differences and found.to_untrained


def test_runs_limited_to_a_part_of_the_images_are_not_compared(tmp_path: Path) -> None:
    for label in ("moco", "hsa"):
        measured(tmp_path, label, mask(0.7), limit=N)

    found = compared(tmp_path, "moco")

    assert set(found.scores) == {("moco", "knn"), ("hsa", "knn")}
    assert not found.differences


def test_numbers_on_file_are_not_computed_again_and_new_runs_are(
    demo_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected = collect(demo_run)
    grid = lay_out(collected)
    first = Cache(tmp_path / "numbers.json")
    fresh = compare(collected, grid, ["moco"], (), first)
    first.save()

    known = Cache.read(tmp_path / "numbers.json")
    monkeypatch.setattr("reports.statistics.comparison.measure", lambda *_: pytest.fail("measured again"))
    again = compare(collected, grid, ["moco"], (), known)

    assert again == fresh
    newer = collected.results[3].model_copy(update={"metrics": (top1(1.0),)})
    changed = replace(collected, results=(*collected.results[:3], newer, *collected.results[4:]))
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        compare(changed, lay_out(changed), ["moco"], (), known)


def per_class(out: Path, label: str, right: np.ndarray, labels: np.ndarray, seed: int) -> TaskResult:
    top = float(np.mean([right[labels == c].mean() for c in np.unique(labels)]) * 100)
    kept = ClassificationOutcomes(
        np.arange(len(right)).astype(str), labels, np.where(right, labels, labels + 1),
        np.ones(len(right), np.float32), np.ones(len(right), np.bool_),
    )  # fmt: skip
    facts = {"main_metric": "mean_per_class", "metrics": {"mean_per_class": top}, "seed": seed}
    return write(out, result(label, "knn", **facts), kept)


def test_classes_of_a_single_image_are_shown_and_not_tested(tmp_path: Path) -> None:
    labels = np.arange(10)
    one, other = (per_class(tmp_path, n, r, labels, 0) for n, r in (("a", labels >= 0), ("b", labels > 0)))

    found = between(tmp_path, [one], [other])

    assert isinstance(found, Difference) and found.test == Untested("a class has a single test image")


def test_classes_of_few_images_raise_no_more_false_alarms() -> None:
    """Within classes of two, resamples would spread only half as much as other images do."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(30), 2)
    counts = np.concatenate(list(resamples(labels, 500)))
    ratios = []
    for _ in range(200):
        gaps = rng.integers(-1, 2, size=60).astype(float)
        spread = (counts @ bootstrap.spread_out(gaps, labels)).var()
        ratios.append(spread / np.mean([gaps[labels == c].var(ddof=1) / 2 / 30 for c in range(30)]))

    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_a_label_of_two_architectures_is_two_baselines(tmp_path: Path) -> None:
    for arch, share in (("r18", 0.9), ("r50", 0.85)):
        measured(tmp_path, "moco", mask(share), arch=arch, weights=arch.ljust(64, "0"))
    measured(tmp_path, "hsa", mask(0.8))

    found = compared(tmp_path, "moco")

    assert found.baselines == ("moco (r18)", "moco (r50)")
    assert not found.ahead_of_all(("hsa", "knn"))


def test_a_number_of_outcomes_that_were_put_back_is_computed_anew(tmp_path: Path) -> None:
    for label, share in (("hsa", 0.9), ("moco", 0.5)):
        measured(tmp_path, label, mask(share))
    (path,) = (tmp_path / "results/hsa/knn").glob("*.npz")
    kept = path.read_bytes()
    path.unlink()
    cache = Cache(tmp_path / "numbers.json")
    collected = collect(tmp_path)
    grid = lay_out(collected)

    without = compare(collected, grid, ["moco"], (), cache).differences["hsa", "moco", "knn"]
    path.write_bytes(kept)
    again = compare(collected, grid, ["moco"], (), cache).differences["hsa", "moco", "knn"]

    assert isinstance(without, Impossible)
    assert isinstance(again, Difference) and again.value == pytest.approx(40)
