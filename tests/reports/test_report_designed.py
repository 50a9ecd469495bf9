"""Pairs of the design: both intervals against SciPy written out, one verdict, and what is no pair."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy import stats

from hsa_bench.core.results.designed_pair import DesignedPair
from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import Budget, Source
from hsa_bench.core.results.store import Store
from reports.report import write_report
from reports.run_folder.collected import collect
from reports.run_folder.grid import lay_out
from reports.run_folder.merge import merge
from reports.sections.designed import designed_table, questions
from reports.statistics.bootstrap import Impossible
from reports.statistics.designed import Answer, answers
from reports.statistics.significance import Interval
from tests.reports.report_folder import classified, result, write
from tests.support.hostile import TEXTS

IMAGES = 2000
PAIR = DesignedPair(
    label="because of neighbours", row="hsa-one-level", less="hsa-views", question="Does the pull help?"
)


def source(label: str, seed: int) -> Source:
    budget = Budget(
        method="hsa", dataset="digits", epochs=2, images=10, views=2.0, seconds=1.0, seed=seed, flops=1.0
    )
    return Source(path=f"{label}-{seed}.pth", format="hsa_bench", budget=budget)


def put(out: Path, label: str, seed: int, right: np.ndarray, start: str | None, again: int = 0) -> None:
    """A pretraining and its evaluation, for which `again` is the seed."""
    weights = f"{label}-{seed}".encode().hex()
    settings = {"epochs": 2} | ({} if start is None else {"start_from": start})
    write(out, result(label, "pretrain", seed=seed, settings=settings, effective={"weights": weights}))
    score = 100 * float(right.mean())
    facts = {"weights": weights, "source": source(label, seed), "metrics": {"top1": score}, "seed": again}
    write(out, result(label, "knn", **facts), classified(right))


def folder(
    out: Path,
    rows: Mapping[str, Sequence[float]],
    starts: Sequence[str | None] = ("a", "b", "c"),
    others: Sequence[str | None] | None = None,
) -> Path:
    """Rows by seed with those shares of images right; images differ in how hard they are."""
    hard = np.random.default_rng(0).random(IMAGES)
    for i, (label, shares) in enumerate(rows.items()):
        for seed, share in enumerate(shares):
            rng = np.random.default_rng((i, seed))
            right = 0.7 * hard + 0.3 * rng.random(IMAGES) < share
            put(out, label, seed, right, (others if i and others is not None else starts)[seed])
    plan(out)
    return out


def plan(out: Path, *more: PlannedRun, pair: DesignedPair = PAIR) -> None:
    results = collect(out, whole=True).results
    runs = tuple(
        PlannedRun(label=r.label, task=r.spec.task, seed=r.spec.seed, key=r.spec.key) for r in results
    )
    Store(out).write_plan(PlanFile(title="t", preset="", command="c", pairs=(pair,), runs=(*runs, *more)))


def only(out: Path) -> Answer | Impossible:
    collected = collect(out)
    ((_, found),) = answers(collected, lay_out(collected)).items()
    return found


def answer(out: Path) -> Answer:
    found = only(out)
    assert isinstance(found, Answer), found
    return found


def refused(out: Path) -> str:
    found = only(out)
    assert isinstance(found, Impossible)
    return found.reason


ROWS = {"hsa-one-level": (0.55, 0.58, 0.60), "hsa-views": (0.50, 0.55, 0.54)}


def outcomes(out: Path, label: str) -> np.ndarray:
    """[seeds, images], read back without the report's code."""
    runs = [r for r in collect(out).results if r.label == label and r.spec.task == "knn"]
    runs.sort(key=lambda r: r.source.budget.seed if r.source.budget else 0)
    files = [np.load(collect(out).folder(run) / run.examples) for run in runs]
    return np.array([file["prediction"] == file["label"] for file in files], float)


def test_the_interval_over_seeds_is_students_of_the_differences(tmp_path: Path) -> None:
    out = folder(tmp_path, ROWS)
    found = answer(out)
    gaps = 100 * (outcomes(out, "hsa-one-level").mean(1) - outcomes(out, "hsa-views").mean(1))
    margin = stats.t.ppf(0.975, 2) * gaps.std(ddof=1) / np.sqrt(3)
    assert found.value == pytest.approx(gaps.mean())
    assert found.gaps == pytest.approx(dict(enumerate(gaps)))
    assert not isinstance(found.over_seeds, Impossible)
    assert (found.over_seeds.low, found.over_seeds.high) == pytest.approx(
        (gaps.mean() - margin, gaps.mean() + margin)
    )
    assert found.least == pytest.approx(margin)


def test_the_interval_over_images_is_of_each_images_mean_over_seeds(tmp_path: Path) -> None:
    out = folder(tmp_path, ROWS)
    found = answer(out)
    each = 100 * (outcomes(out, "hsa-one-level") - outcomes(out, "hsa-views")).mean(0)
    margin = stats.norm.ppf(0.975) * each.std(ddof=1) / np.sqrt(IMAGES)
    assert not isinstance(found.over_images, Impossible)
    # 2,000 resamples know a percentile to some hundredths of the interval
    assert found.over_images.low == pytest.approx(each.mean() - margin, abs=0.1 * margin)
    assert found.over_images.high == pytest.approx(each.mean() + margin, abs=0.1 * margin)
    unpaired = (
        100
        * np.sqrt(sum(outcomes(out, row).mean(0).var(ddof=1) for row in ROWS) / IMAGES)
        * stats.norm.ppf(0.975)
    )
    assert margin < 0.8 * unpaired  # what pairing gains here; else the test could not tell them apart


def test_a_verdict_comes_from_pretrainings_alone(tmp_path: Path) -> None:
    shown = answer(
        folder(tmp_path / "one", {"hsa-one-level": (0.60, 0.61, 0.62), "hsa-views": (0.50, 0.51, 0.52)})
    )
    assert shown.verdict == "ahead"
    unsure = answer(
        folder(tmp_path / "two", {"hsa-one-level": (0.70, 0.52, 0.53), "hsa-views": (0.50, 0.51, 0.52)})
    )
    assert not isinstance(unsure.over_images, Impossible)
    assert unsure.over_images.low > 0  # other test images would show it again
    assert unsure.verdict == "no difference shown"
    behind = answer(
        folder(tmp_path / "three", {"hsa-one-level": (0.50, 0.51, 0.52), "hsa-views": (0.60, 0.61, 0.62)})
    )
    assert behind.verdict == "behind"


def test_one_pretraining_and_equal_differences_give_no_verdict(tmp_path: Path) -> None:
    single = answer(folder(tmp_path / "one", {"hsa-one-level": (0.6,), "hsa-views": (0.5,)}))
    assert single.verdict == "no verdict"
    assert single.least is None
    same = tmp_path / "same"
    right = np.arange(IMAGES) % 2 == 0
    for seed in range(3):
        put(same, "hsa-one-level", seed, right, "a")
        put(same, "hsa-views", seed, right, "a")
    plan(same)
    assert answer(same).verdict == "no verdict"


def test_seeds_that_one_row_lacks_are_left_out(tmp_path: Path) -> None:
    found = answer(folder(tmp_path, {"hsa-one-level": (0.6, 0.61, 0.62), "hsa-views": (0.5, 0.52)}))
    assert sorted(found.gaps) == [0, 1]


def test_a_seed_that_is_missing_is_said_beside_the_verdict(tmp_path: Path) -> None:
    folder(tmp_path, {"hsa-one-level": (0.6, 0.61), "hsa-views": (0.5, 0.52, 0.51)})
    lost = PlannedRun(label="hsa-views", task="pretrain", seed=4, key="0" * 16)
    plan(tmp_path, lost)
    assert answer(tmp_path).missing == (2, 4)
    text = write_report(tmp_path).read_text()
    assert "(without seeds 2, 4, which have no number in both rows)" in text


def test_evaluations_that_one_row_lacks_move_neither_the_difference_nor_its_interval(tmp_path: Path) -> None:
    """The second evaluation of one seed failed in one row: it is left out of the other, too."""
    rng = np.random.default_rng(7)
    for seed, shares in enumerate(((0.6, 0.5), (0.62, 0.55), (0.61, 0.5))):
        for label, share in zip(ROWS, shares, strict=True):
            for again in (0, 1):
                if (label, seed, again) != ("hsa-views", 1, 1):
                    # the second evaluation is far off: counted in one row alone it would move the difference
                    right = rng.random(IMAGES) < share - 0.2 * again
                    put(tmp_path, label, seed, right, "a", again)
    plan(tmp_path)
    found = answer(tmp_path)
    for seed, twice in enumerate((True, False, True)):
        first, second = (evaluated(tmp_path, row, seed)[: 1 + twice] for row in ROWS)
        assert found.gaps[seed] == pytest.approx(100 * (first.mean() - second.mean()))
    assert not isinstance(found.over_images, Impossible)
    middle = (found.over_images.low + found.over_images.high) / 2
    width = found.over_images.high - found.over_images.low
    assert middle == pytest.approx(found.value, abs=0.1 * width)  # it is of the same difference


def evaluated(out: Path, label: str, seed: int) -> np.ndarray:
    """[evaluation seeds, images], read back without the report's code."""
    runs = [r for r in collect(out).results if r.label == label and r.spec.task == "knn"]
    runs = [r for r in runs if r.source.budget and r.source.budget.seed == seed]
    runs.sort(key=lambda r: r.spec.seed)
    files = [np.load(collect(out).folder(run) / run.examples) for run in runs]
    return np.array([file["prediction"] == file["label"] for file in files], float)


def test_what_a_strangers_file_says_of_its_weights_ends_no_report(tmp_path: Path) -> None:
    folder(tmp_path, ROWS)
    for odd in (["a"], {"a": 1}, 3, None):
        facts = {"settings": {"start_from": odd, "n": str(odd)}, "effective": {"weights": odd}}
        write(tmp_path, result("theirs", "pretrain", **facts))
    plan(tmp_path)
    assert answer(tmp_path).verdict


@pytest.mark.parametrize(
    ("starts", "others", "reason"),
    [
        (("a", "b", "c"), ("a", "x", "c"), "seed 1: hsa-one-level and hsa-views start from different states"),
        (("a", "b", "c"), (None, None, None), "seed 0: hsa-views starts from no state that is on file"),
        (("", "", ""), ("", "", ""), "seed 0: hsa-one-level starts from no state that is on file"),
    ],
)
def test_what_does_not_start_from_one_state_is_no_pair(
    tmp_path: Path, starts: Sequence[str | None], others: Sequence[str | None], reason: str
) -> None:
    assert refused(folder(tmp_path, ROWS, starts, others)) == reason


def test_a_row_without_a_number_is_no_pair(tmp_path: Path) -> None:
    folder(tmp_path, {"hsa-one-level": (0.6, 0.61)})
    assert (
        refused(tmp_path) == "hsa-one-level and hsa-views have no pretraining of the same seed with a number"
    )


def test_the_report_has_them_with_their_questions_and_as_csv(tmp_path: Path) -> None:
    out = folder(tmp_path / "run", ROWS)
    text = write_report(out).read_text()
    assert "### Pairs of the design" in text
    assert "**because of neighbours**, hsa-one-level less hsa-views: Does the pull help?" in text
    (table,) = (out / "tables").glob("pairs*.csv")
    assert "because of neighbours,hsa-one-level less hsa-views,knn" in table.read_text()


def test_a_merged_run_keeps_its_pairs(tmp_path: Path) -> None:
    out = folder(tmp_path / "run", ROWS)
    merge([out], tmp_path / "both")
    assert answer(tmp_path / "both") == answer(out)


@pytest.mark.parametrize("text", [*TEXTS, ""])
def test_a_strangers_texts_stay_texts(text: str) -> None:
    shown = Answer(1.0, {0: 0.5, 1: 1.5}, Impossible(text), Impossible(text))
    named = {"label": text or "x", "question": text}
    found = {(DesignedPair(row="a", less="b", **named), text): one for one in (shown, Impossible(text))}
    for page in (designed_table(found).markdown(), *questions(found)):
        tokens = MarkdownIt("commonmark").enable("table").parse(page)
        kinds = {inner.type for token in tokens for inner in token.children or ()}
        kinds |= {token.type for token in tokens}
        assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_inline", "fence"}
        assert not kinds & {"heading_open", "bullet_list_open", "blockquote_open", "em_open"}
    cells = list(csv.reader(io.StringIO(designed_table(found).csv())))
    assert {len(line) for line in cells} == {9}
    assert not [cell for line in cells for cell in line if cell.startswith(("=", "@", "+c"))]


@pytest.mark.parametrize(("low", "high"), [(-3.0, -1.0), (1.0, 3.0)])
def test_where_lower_is_better_the_smaller_number_is_ahead(low: float, high: float) -> None:
    value, interval = (low + high) / 2, Interval(low, high)
    higher, lower = (
        Answer(value, {0: low, 1: high}, Impossible("none"), interval, better=better).verdict
        for better in ("higher", "lower")
    )
    assert (higher, lower) == (("ahead", "behind") if value > 0 else ("behind", "ahead"))


def test_a_pair_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        DesignedPair(label=" ", row="hsa", less="moco")


def test_a_row_less_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="hsa less itself answers nothing"):
        DesignedPair(label="nothing", row="hsa", less="hsa")
