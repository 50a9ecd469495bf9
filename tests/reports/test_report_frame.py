"""Reading a run folder: what is taken, what is named and left out, and the tidy frame."""

import math
from pathlib import Path

import pytest

from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import Failure
from hsa_bench.core.results.store import Store
from reports.run_folder.frame import collect, locate, tidy
from tests.reports.report_folder import provenance, result, write


def test_tidy_has_one_row_per_run_and_metric() -> None:
    frame = tidy(
        [
            result("moco", "knn", metrics={"top1": 61.5, "top5": 90.25}),
            result("hsa", "linear", seed=1, metrics={"top1": 70.0}, limit=64),
        ]
    )

    assert frame[["label", "task", "seed", "metric", "value", "main_metric"]].values.tolist() == [
        ["moco", "knn", 0, "top1", 61.5, True],
        ["moco", "knn", 0, "top5", 90.25, False],
        ["hsa", "linear", 1, "top1", 70.0, True],
    ]
    assert frame["limit"].isna().tolist() == [True, True, False]


def test_a_run_without_a_number_is_one_row_with_its_reason_and_no_value() -> None:
    failure = Failure(kind="exception", message="ValueError: loss is nan")
    frame = tidy([result("moco", "linear", status="failed", metrics={}, failure=failure)])

    assert frame[["status", "metric", "reason"]].values.tolist() == [
        ["failed", "top1", "ValueError: loss is nan"]
    ]
    assert math.isnan(frame["value"].item())


def test_tidy_of_nothing_has_the_columns() -> None:
    assert list(tidy([]).columns) == list(tidy([result("a", "knn")]).columns)


def test_a_path_in_the_frame_leads_to_the_file(tmp_path: Path) -> None:
    write(tmp_path, result("moco", "knn"))

    assert (tmp_path / tidy(collect(tmp_path).results)["path"].item()).is_file()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "not a result file"),
        (b'{"accuracy": 99}', "not a result file"),
        (b"\xff\xfe", "not a result file"),
        (b'{"schema_version": 999}', "update hsa_bench"),
    ],
)
def test_a_broken_foreign_or_newer_file_is_named_and_left_out(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    kept = write(tmp_path, result("moco", "knn"))
    bad = tmp_path / "results/moco/knn/0000000000000000.json"
    bad.write_bytes(content)

    collected = collect(tmp_path)

    assert collected.results == (kept,)
    (line,) = collected.unreadable
    assert str(bad) in line and complaint in line


def test_a_result_under_another_backbones_name_is_left_out(tmp_path: Path) -> None:
    kept = write(tmp_path, result("moco", "knn"))
    copied = tmp_path / "results/mine/knn" / f"{kept.spec.key}.json"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(Store(tmp_path).path("moco", "knn", kept.spec.key).read_bytes())

    collected = collect(tmp_path)

    assert collected.results == (kept,)
    assert "mine" in collected.unreadable[0] and "moco/knn" in collected.unreadable[0]


def plan_of(*cells: PlannedRun) -> PlanFile:
    return PlanFile(title="t", preset="p", baselines=("moco",), command="c", runs=cells)


def test_the_report_is_on_the_plan_in_its_order_not_on_all_that_lies_there(tmp_path: Path) -> None:
    old, new = (write(tmp_path, result("moco", "knn", version=v)) for v in (1, 2))
    first = write(tmp_path, result("simclr", "knn"))
    cells = [PlannedRun(label=r.label, task="knn", seed=0, key=r.spec.key) for r in (first, new)]
    missing = PlannedRun(label="hsa", task="knn", seed=0, key="ffffffffffffffff")
    blocked = PlannedRun(label="hsa", task="coco", seed=0, blocked="no data")
    Store(tmp_path).write_plan(plan_of(*cells, missing, blocked))

    collected = collect(tmp_path)

    assert collected.results == (first, new)
    assert old not in collected.results and collected.unplanned == 1
    assert collected.absent == (missing, blocked)


def test_without_a_plan_every_readable_result_counts(tmp_path: Path) -> None:
    written = [write(tmp_path, result(label, "knn")) for label in ("b", "a")]

    assert collect(tmp_path).results == (written[1], written[0])


def test_a_plan_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, result("moco", "knn"))
    (tmp_path / "plan.json").write_text('{"title": 1}')

    collected = collect(tmp_path)

    assert collected.plan is None and "plan.json" in collected.unreadable[0]
    assert len(collected.results) == 1


def test_the_run_folder_is_found_from_itself_and_from_its_results(tmp_path: Path) -> None:
    write(tmp_path, result("moco", "knn", provenance=provenance(dirty=True)))

    assert locate(tmp_path) == tmp_path
    assert locate(tmp_path / "results") == tmp_path


def test_a_missing_or_empty_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere: no such folder"):
        locate(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no result file"):
        locate(tmp_path)
