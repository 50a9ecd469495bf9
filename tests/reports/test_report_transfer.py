"""Transfer in the report: rows, metrics, averages that are complete or absent, and the figure."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import DataId, Failure, Source, TaskResult
from hsa_bench.core.results.store import Store
from reports.figures.transfer import draw_transfer
from reports.report import write_report
from reports.sections.transfer import KNN, LINEAR
from tests.reports.figure_cases import caught, draw, lines, panels, points
from tests.reports.report_folder import classified, result, write

PETS = {"main_metric": "mean_per_class"}


def measured(label: str, data: str, value: float, vote: float | None = None, **changed: Any) -> TaskResult:
    """A result on a data set, of which only the main metric matters."""
    main = changed.get("main_metric", "top1")
    metrics = {main: value, **({} if vote is None else {f"knn_{main}": vote})}
    facts = {"data": DataId(name=data, fingerprint=data), "seeded": False, "metrics": metrics}
    return result(label, f"transfer-{data}", **{**facts, **changed})


def three_sets() -> list[TaskResult]:
    return [
        measured("hsa", "cifar10", 80.0, 70.0),
        measured("hsa", "dtd", 50.0, 40.0),
        measured("hsa", "pets", 65.0, 55.0, **PETS),
        measured("moco", "cifar10", 82.0, 71.0),
        measured("moco", "pets", 60.0, 50.0, **PETS),
    ]


def table(out: Path, name: str) -> list[list[str]]:
    with (out / "tables" / f"{name.replace(', ', '-')}.csv").open(newline="") as file:
        return list(csv.reader(file))


def report(out: Path, results: list[TaskResult], *blocked: PlannedRun) -> str:
    for one in results:
        write(out, one)
    planned = [PlannedRun(label=r.label, task=r.spec.task, seed=0, key=r.spec.key) for r in results]
    plan = PlanFile(title="t", preset="p", baselines=("moco",), command="c", runs=tuple([*planned, *blocked]))
    Store(out).write_plan(plan)
    return write_report(out).read_text()


def test_each_data_set_is_a_row_with_its_metric_and_an_average_only_where_all_are_there(
    tmp_path: Path,
) -> None:
    text = report(tmp_path, three_sets())

    assert table(tmp_path, LINEAR) == [
        ["data set", "metric", "hsa", "moco"],
        ["cifar10", "top-1", "80.0", "82.0"],
        ["dtd", "top-1", "50.0", "—"],
        ["pets", "mean per class", "65.0", "60.0"],
        ["average of 3", "—", "65.0", "—"],
    ]
    assert table(tmp_path, KNN)[1:] == [
        ["cifar10", "top-1", "70.0", "71.0"],
        ["dtd", "top-1", "40.0", "—"],
        ["pets", "mean per class", "55.0", "50.0"],
        ["average of 3", "—", "55.0", "—"],
    ]
    section = text.partition("## Transfer\n")[2].partition("\n## ")[0]
    assert "[pets](#transfer-pets) | mean per class | 65.0 | 60.0 |" in section
    assert "over 3 data sets, of unlike metrics" in section
    assert "![Transfer to other data sets](figures/transfer.png)" in section
    assert text.count("figures/transfer.png") == 1
    assert "but for the last row under [Transfer](#transfer)" in text


def test_a_blocked_data_set_takes_every_backbones_average(tmp_path: Path) -> None:
    missing = "data: no folder stanford_cars in it"
    blocked = [
        PlannedRun(label=label, task="transfer-cars", seed=0, blocked=missing) for label in ("hsa", "moco")
    ]
    results = [*three_sets(), measured("moco", "dtd", 51.0, 41.0)]
    text = report(tmp_path, results, *blocked)

    assert ["cars", "—", "—", "—"] in table(tmp_path, LINEAR)
    assert table(tmp_path, LINEAR)[-1] == ["average of 4", "—", "—", "—"]
    assert f"hsa, transfer-cars, seed 0: {missing}" in text


def test_all_data_sets_give_every_backbone_its_average(tmp_path: Path) -> None:
    report(tmp_path, [*three_sets(), measured("moco", "dtd", 51.0, 41.0)])

    assert table(tmp_path, LINEAR)[-1] == ["average of 3", "—", "65.0", "64.3"]
    assert table(tmp_path, KNN)[-1] == ["average of 3", "—", "55.0", "54.0"]


def test_a_failed_run_is_named_and_takes_the_average(tmp_path: Path) -> None:
    failure = Failure(kind="exception", message="ValueError: no")
    lost = measured("moco", "dtd", 0.0, status="failed", metrics={}, failure=failure)
    report(tmp_path, [*three_sets(), lost])

    assert table(tmp_path, LINEAR)[2] == ["dtd", "top-1", "50.0", "failed"]
    assert table(tmp_path, LINEAR)[-1][-1] == "—"


def test_several_pretrainings_are_averaged_with_their_spread(tmp_path: Path) -> None:
    seeds = [Source(path="x.pth", format="elsewhere", pretraining_seed=seed) for seed in range(3)]
    runs = [
        measured("moco", "dtd", v, v - 10, weights=f"{i:064x}", source=seeds[i])
        for i, v in enumerate((50.0, 53.0))
    ]
    others = [one.model_copy(update={"source": seeds[2]}) for one in three_sets() if one.label == "moco"]
    report(tmp_path, [*(one for one in three_sets() if one.label != "moco"), *others, *runs])

    assert table(tmp_path, LINEAR)[2][-1] == "51.5 ± 2.1"
    assert table(tmp_path, KNN)[2][-1] == "41.5 ± 2.1"
    assert table(tmp_path, LINEAR)[-1][-1] == "64.5"


def test_numbers_by_other_settings_stand_in_rows_of_their_own_and_have_no_average(tmp_path: Path) -> None:
    other = measured("moco", "dtd", 51.0, settings={"image_size": 32})
    report(tmp_path, [*three_sets(), other])

    names = [row[0] for row in table(tmp_path, LINEAR)]
    assert len([name for name in names if name.startswith("dtd (")]) == 2
    assert table(tmp_path, LINEAR)[-1] == ["average of 4", "—", "—", "—"]


def test_backbones_that_transfer_was_not_planned_for_have_no_column(tmp_path: Path) -> None:
    report(tmp_path, [*three_sets(), result("random", "knn")])

    assert table(tmp_path, LINEAR)[0] == ["data set", "metric", "hsa", "moco"]


def test_one_data_set_has_no_average_and_results_from_elsewhere_need_no_knn(tmp_path: Path) -> None:
    text = report(tmp_path, [measured("hsa", "cifar10", 80.0), measured("moco", "cifar10", 70.0)])

    assert [row[0] for row in table(tmp_path, LINEAR)] == ["data set", "cifar10"]
    assert not (tmp_path / "tables/transfer-kNN.csv").exists()
    assert "average" not in text.partition("## Transfer\n")[2].partition("\n## ")[0]
    assert "Nothing is averaged across tasks." in text


def test_a_report_without_transfer_says_nothing_of_it(tmp_path: Path) -> None:
    text = report(tmp_path, [result("hsa", "knn"), result("moco", "knn")])

    assert "## Transfer" not in text and "Transfer]" not in text


def uneven(right: np.ndarray) -> ClassificationOutcomes:
    """Outcomes of ten classes, the first with many images."""
    label = np.r_[np.zeros(200, np.int64), np.repeat(np.arange(1, 10), 12)]
    prediction = np.where(right, label, (label + 1) % 10)
    names, score = np.array([str(i) for i in range(len(label))]), np.full(len(label), 0.5, np.float32)
    return ClassificationOutcomes(names, label, prediction, score, np.ones(len(label), np.bool_))


def test_means_over_classes_are_tested_within_classes_and_shown_bold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label, share in (("hsa", 0.8), ("moco", 0.4)):
        kept = uneven(rng.random(308) < share)
        by_class = [np.mean(kept.prediction[kept.label == c] == c) for c in range(10)]
        value = float(100 * np.mean(by_class))
        write(tmp_path, measured(label, "pets", value, **PETS), kept)
        own = classified(rng.random(360) < share)
        write(tmp_path, measured(label, "dtd", float(100 * np.mean(own.prediction == own.label))), own)
    text = write_report(tmp_path, baselines=["moco"]).read_text()

    with (tmp_path / "tables/statistics.csv").open(newline="") as file:
        tests = {row["task"]: (row["test"], row["shown"]) for row in csv.DictReader(file)}
    assert tests == {
        "transfer-dtd": ("exact McNemar", "ahead"),
        "transfer-pets": ("paired bootstrap", "ahead"),
    }
    section = text.partition("## Transfer\n")[2].partition("\n## ")[0]
    assert section.count("**") == 4  # both numbers of hsa
    assert "cannot be recomputed" not in text


def test_the_figure_has_a_marker_for_each_number_in_the_rows_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = caught(monkeypatch)
    picture = draw(draw_transfer, tmp_path, *three_sets())

    assert picture is not None and picture.caption.endswith("not the distances.")
    by_line, by_vote = panels(drawn[0])
    names = [text.get_text() for text in by_line.get_yticklabels()]
    assert names == ["cifar10", "dtd", "pets, mean per class"]
    assert [x for x, _ in points(lines(by_line)["hsa"])] == [80.0, 50.0, 65.0]
    assert [round(y) for _, y in points(lines(by_line)["moco"])] == [0, 2]  # it has no number on dtd
    assert [x for x, _ in points(lines(by_vote)["moco"])] == [71.0, 50.0]
    assert [ax.get_title(loc="left") for ax in (by_line, by_vote)] == ["linear", "kNN"]


def test_markers_of_one_row_do_not_cover_each_other_or_reach_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = caught(monkeypatch)
    results = [measured(f"net{i}", data, 50.0) for data in ("cifar10", "dtd") for i in range(7)]
    assert draw(draw_transfer, tmp_path, *results)

    (ax,) = panels(drawn[0])  # without numbers of kNN there is one panel
    heights = sorted(y for line in lines(ax).values() for _, y in points(line))
    assert len({round(y, 3) for y in heights}) == 14
    assert heights[6] < 0.5 < heights[7]


def test_a_single_data_set_has_no_figure_of_its_own(tmp_path: Path) -> None:
    assert draw(draw_transfer, tmp_path, measured("hsa", "cifar10", 80.0)) is None
