"""Per class and per layer: the parts of a number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.run_folder.collected import Collected
from reports.run_folder.family import in_one_order
from reports.run_folder.grid import lay_out
from reports.sections.breakdown import class_table, layer_tables, most_telling
from reports.statistics.cache import Cache
from reports.writing.table import Table
from tests.reports.report_folder import CLASSES, classified, detected, result, write

NAMES = np.array([f"animal {i}" for i in range(CLASSES)])


def table_of(out: Path, *runs: object, column: str = "knn") -> Table | None:
    collected = Collected(out, None, tuple(runs), (), ())
    return class_table(lay_out(collected), column, collected, Cache(out / "unused"))


def test_accuracy_by_class_is_the_share_of_its_images(tmp_path: Path) -> None:
    right = np.ones(100, np.bool_)
    right[[0, 10, 20]] = False  # three of the ten images of class 0
    kept = replace(classified(right), classes=NAMES)

    table = table_of(tmp_path, write(tmp_path, result("hsa", "knn"), kept))

    assert table is not None and table.header == ("class", "hsa")
    assert table.rows[:2] == (("animal 0", "70.0"), ("animal 1", "100.0"))


def test_several_runs_give_their_mean_and_old_files_numbers_for_names(tmp_path: Path) -> None:
    masks = [np.arange(100) % CLASSES != 0, np.ones(100, np.bool_)]
    runs = [write(tmp_path, result("hsa", "linear", seed=s), classified(m)) for s, m in enumerate(masks)]

    table = table_of(tmp_path, *runs, column="linear")

    assert table is not None and table.rows[0] == ("class 0", "50.0")


def test_average_precision_by_class_averages_to_the_whole(tmp_path: Path) -> None:
    kept = replace(detected(1.0, np.random.default_rng(0)), classes=NAMES)
    run = write(tmp_path, result("hsa", "coco"), kept)

    table = table_of(tmp_path, run, column="coco")

    from hsa_bench.core.results.average_precision import average_precision, ranked

    whole = average_precision(ranked(kept, "bbox"), np.ones((1, len(kept.example)), np.int64)).mean()
    assert table is not None
    assert np.mean([float(row[1]) for row in table.rows]) == pytest.approx(whole, abs=0.05)


def test_without_outcomes_there_is_no_table(tmp_path: Path) -> None:
    assert table_of(tmp_path, result("hsa", "knn")) is None


def test_of_many_classes_those_are_shown_on_which_backbones_differ_most() -> None:
    rows = tuple((f"c{i}", f"{50.0}", f"{50.0 + i}") for i in range(40))

    shown = most_telling(Table(("class", "a", "b"), rows))

    assert [row[0] for row in shown.rows] == [f"c{i}" for i in range(39, 19, -1)]


def test_layers_stand_from_the_picture_to_the_head() -> None:
    resnet, vit = ["stem", "stage1", "stage4"], ["block2", "block10"]
    assert in_one_order([["stage4"], vit, resnet, ["stem", "stage4"]]) == [
        "block2", "block10", "stem", "stage1", "stage4",
    ]  # fmt: skip


def test_metrics_of_layers_get_a_table_of_their_own(tmp_path: Path) -> None:
    metrics = {"top1": 60.0, "stage1/top1": 30.0, "stage4/top1": 60.0, "stage4/knn_top1": 55.5}
    runs = [result("hsa", "linear", metrics=metrics), result("moco", "linear", metrics={"top1": 50.0})]

    tables = layer_tables(lay_out(Collected(tmp_path, None, tuple(runs), (), ())), "linear")

    assert [family.title for family in tables] == ["top-1", "kNN top-1"]
    first, _ = tables.values()
    assert first.header == ("backbone", "stage1", "stage4")
    assert first.rows == (("hsa", "30.0", "60.0"),)
