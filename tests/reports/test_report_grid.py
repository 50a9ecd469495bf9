"""Which runs share a cell: those that differ in seed or weights alone."""

from pathlib import Path

import pytest

from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import DataId, TaskResult
from reports.run_folder.frame import Collected
from reports.run_folder.grid import Grid, lay_out
from tests.reports.report_folder import result


def laid_out(*results: TaskResult, absent: tuple[PlannedRun, ...] = ()) -> Grid:
    return lay_out(Collected(Path(), None, results, absent, ()))


def test_runs_that_differ_in_seed_are_averaged_with_their_sample_deviation() -> None:
    grid = laid_out(*(result("moco", "linear", seed=s, metrics={"top1": 70.0 + s}) for s in range(3)))
    cell = grid.at("moco", "linear")

    assert (cell.mean, cell.std, cell.repeated) == (pytest.approx(71), pytest.approx(1), True)


def test_runs_that_differ_in_weights_are_averaged_too() -> None:
    runs = [result("random", "knn", weights=f"{i:064x}", metrics={"top1": 40.0 + i}) for i in range(2)]

    assert laid_out(*runs).at("random", "knn").mean == pytest.approx(40.5)


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ({"version": 1}, {"version": 2}, ("knn (v1)", "knn (v2)")),
        ({"limit": 64}, {"limit": None}, ("knn (limit 64)", "knn (all images)")),
        (
            {"data": DataId(name="digits", fingerprint="a")},
            {"data": DataId(name="cifar10", fingerprint="b")},
            ("knn (digits)", "knn (cifar10)"),
        ),
        (
            {"settings": {"engine": "detectron2"}},
            {"settings": {"engine": "torchvision"}},
            ("knn (detectron2)", "knn (torchvision)"),
        ),
    ],
)
def test_runs_under_other_protocols_stand_in_columns_of_their_own(
    one: dict, other: dict, names: tuple[str, str]
) -> None:
    grid = laid_out(result("moco", "knn", **one), result("moco", "knn", **other))

    assert grid.columns == names
    assert all(len(grid.at("moco", name).runs) == 1 for name in names)


def test_other_settings_stand_in_columns_of_their_own() -> None:
    grid = laid_out(result("moco", "knn", settings={"k": 20}), result("moco", "knn", settings={"k": 200}))

    assert len(grid.columns) == 2 and all(name.startswith("knn (") for name in grid.columns)


def test_one_label_for_two_architectures_is_two_rows() -> None:
    grid = laid_out(result("mine", "knn", arch="resnet18"), result("mine", "knn", arch="resnet50"))

    assert grid.rows == ("mine (resnet18)", "mine (resnet50)")
    assert grid.rows_of("mine") == ["mine (resnet18)", "mine (resnet50)"]


def test_pretraining_is_no_column() -> None:
    grid = laid_out(result("moco", "pretrain"), result("moco", "knn"))

    assert grid.columns == ("knn",)


def test_a_planned_cell_without_a_result_keeps_its_place() -> None:
    blocked = PlannedRun(label="hsa", task="coco", seed=0, blocked="no data")
    grid = laid_out(result("moco", "knn"), absent=(blocked,))

    assert grid.at("hsa", "coco").absent == (blocked,)
    assert (grid.at("hsa", "coco").planned, grid.at("hsa", "knn").planned) == (1, 0)


def test_rows_and_columns_follow_the_plan() -> None:
    results = [result("b", "linear"), result("a", "linear"), result("a", "knn")]
    planned = (("a", "knn"), ("a", "linear"), ("b", "knn"), ("b", "linear"))
    cells = tuple(PlannedRun(label=label, task=task, seed=0) for label, task in planned)
    plan = PlanFile(title="t", preset="p", baseline="a", command="c", runs=cells)

    grid = lay_out(Collected(Path(), plan, tuple(results), (cells[2],), ()))

    assert (grid.rows, grid.columns) == (("a", "b"), ("knn", "linear"))
