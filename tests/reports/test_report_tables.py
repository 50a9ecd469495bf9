"""Words and numbers in the tables."""

from pathlib import Path

import pytest

from hsa_bench.core.result import Failure, PlannedCell, Source, TaskResult
from reports.backbones import backbone_table, budget_table, pretraining_table
from reports.compare import Comparison, compare
from reports.frame import Collected, collect
from reports.grid import Cell, Grid, lay_out
from reports.published import entries, published_table
from reports.sections import sections
from reports.table import Table, code, duration, plain, setting
from reports.tables import cost_table, main_table, score
from tests.reports.report_folder import result


def cell(*results: TaskResult, absent: int = 0) -> Cell:
    waiting = PlannedCell(label="moco", task="linear", seed=9)
    return Cell("moco", "linear", results, (waiting,) * absent)


def top1(value: float, seed: int = 0, **changed: object) -> TaskResult:
    return result("moco", "linear", metrics={"top1": value}, seed=seed, **changed)


def laid_out(*results: TaskResult) -> Grid:
    return lay_out(Collected(Path(), None, results, (), ()))


FAILED = result(
    "moco", "linear", status="failed", metrics={}, failure=Failure(kind="killed", message="gone"), seed=7
)
SKIPPED = result("moco", "linear", status="skipped", metrics={}, reason="no stages")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (cell(), "—"),
        (cell(absent=1), "—"),
        (cell(FAILED), "failed"),
        (cell(SKIPPED), "n/a"),
        (cell(top1(71.25)), "71.2"),
        (cell(top1(70.0), top1(72.0, seed=1)), "71.0 ± 1.4"),
        (cell(top1(70.0), top1(72.0, seed=1), FAILED), "71.0 ± 1.4 (2 of 3 runs)"),
        (cell(top1(70.0), absent=2), "70.0 (1 of 3 runs)"),
    ],
)
def test_a_cell_says_its_number_or_why_there_is_none(found: Cell, text: str) -> None:
    assert score(found) == text


def test_runs_that_chance_does_not_set_apart_have_no_deviation() -> None:
    runs = top1(70.0, seeded=False), top1(70.0, seed=1, seeded=False)

    assert score(cell(*runs)) == "70.0"


def demo_tables(demo_run: Path) -> tuple[Grid, Comparison]:
    collected = collect(demo_run)
    grid = lay_out(collected)
    return grid, compare(collected, grid, "moco")


@pytest.fixture(scope="module")
def tables(demo_run: Path) -> tuple[Grid, Comparison]:
    return demo_tables(demo_run)


def test_the_main_table_has_scores_differences_and_words(tables: tuple[Grid, Comparison]) -> None:
    grid, comparison = tables
    table = main_table(grid, comparison)
    rows = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}

    assert table.header[:2] == ("backbone", "linear<br>top1")
    assert list(rows) == ["hsa", "moco (baseline)", "simclr", "random", "pixels"]
    difference = comparison.differences["hsa", "linear"]
    assert f"{difference.value:+.1f} [{difference.interval.low:+.1f}, " in rows["hsa"]["linear<br>top1"]
    assert "<br>" not in rows["moco (baseline)"]["linear<br>top1"]
    assert " ± " in rows["random"]["knn<br>top1"]
    assert rows["simclr"]["coco<br>bbox/AP"] == "failed"
    assert rows["pixels"]["semisup-1<br>top1"] == "n/a"
    assert rows["moco (baseline)"]["voc"] == "—"


def test_a_pair_that_cannot_be_compared_says_so(tmp_path: Path) -> None:
    results = tuple(result(label, "knn") for label in ("hsa", "moco"))  # no per-example outcomes
    collected = Collected(tmp_path, None, results, (), ())
    grid = lay_out(collected)

    assert main_table(grid, compare(collected, grid, "moco")).rows[0][1] == "50.0<br>not paired"


def test_every_run_of_a_task_names_its_file_and_what_was_decided(tables: tuple[Grid, Comparison]) -> None:
    grid, comparison = tables
    section = sections(grid, comparison)[0]
    table = section.table

    assert section.protocols == (grid.in_column("linear")[0].protocol,)
    assert "360 test images" in section.data and "`epochs` 20" in section.settings
    assert table.header[-3:] == ("lr", "time", "result")
    keys = {row[-1] for row in table.rows if "mean" not in row[0]}
    assert keys == {f"`{r.spec.key}`" for r in grid.in_column("linear")}


def test_several_runs_have_a_row_of_their_mean(tables: tuple[Grid, Comparison]) -> None:
    grid, comparison = tables
    rows = [row for row in sections(grid, comparison)[0].table.rows if row[0] == "random, mean of 3"]

    assert rows[0][3].startswith(f"{grid.at('random', 'linear').mean:.2f} ± ")


def test_the_backbones_table_shows_coverage_and_origin(
    tables: tuple[Grid, Comparison], demo_run: Path
) -> None:
    grid, _ = tables
    rows = backbone_table(grid, demo_run).rows

    assert [row[0] for row in rows] == ["hsa", "moco", "simclr", "random", "random", "random", "pixels"]
    assert rows[0][5].startswith("102/102, dropped: `head.0.weight`") and rows[0][5].endswith("and 2 more")
    assert "mean 0.5/0.5/0.5" in rows[0][6]


def test_a_checkpoint_inside_the_run_folder_is_named_relative_to_it(tmp_path: Path) -> None:
    inside = Source(path=str(tmp_path / "results/hsa/pretrain/a.pth"), format="hsa_bench")

    table = backbone_table(laid_out(result("hsa", "knn", source=inside)), tmp_path)

    assert table.rows[0][2] == "`results/hsa/pretrain/a.pth`"


def test_a_budget_is_stated_unknown_or_none_for_controls(tables: tuple[Grid, Comparison]) -> None:
    grid, _ = tables
    rows = {row[0]: row for row in budget_table(grid, ["random", "pixels"]).rows}

    assert rows["hsa"][2:8] == ("hsa", "digits", "15", "21,000", "4", "84,000")
    assert rows["random"][2] == "none, a control"
    assert budget_table(laid_out(result("mine", "knn")), []).rows[0][2] == "unknown"


def test_pretraining_is_listed_with_what_it_ended_with() -> None:
    run = result("hsa", "pretrain", metrics={"loss": 2.5, "knn": 71.0})

    table = pretraining_table([run])

    assert table.header[:4] == ("backbone", "seed", "loss", "knn")
    assert table.rows[0][:4] == ("hsa", "0", "2.50", "71.00")


def test_cost_adds_time_and_takes_the_largest_memory() -> None:
    grid = laid_out(top1(70.0, seconds=30, peak_memory_mb=900), top1(71.0, 1, seconds=60, peak_memory_mb=800))

    assert cost_table(grid).rows == (("moco", "90 s, 900 MB"),)


def test_published_numbers_all_have_a_source_and_a_confirmation() -> None:
    for entry in entries():
        assert float(entry["value"]) > 0
        assert entry["paper"] and entry["table"] and entry["confirmed"]
        assert "memory" not in entry["confirmed"]
        assert bool(entry["std"]) == bool(entry["std_of"])
    assert len(published_table().rows) == len(entries())


def test_published_hsa_with_few_labels_stands_under_self_training() -> None:
    rows = [e for e in entries() if e["method"].startswith(("HSA", "CsMl")) and e["task"] != "linear"]

    assert {row["task"] for row in rows} == {"self-training-1", "self-training-10"}
    assert all("procedure inferred" in row["recipe"] for row in rows)


def test_foreign_text_cannot_break_a_table() -> None:
    table = Table(("a", "b"), ((plain("x | y\n<b>*z*</b>"), code("p|q`r")),), frozenset({"b"}))

    assert table.markdown().splitlines() == [
        "| a | b |",
        "| :--- | :--- |",
        "| x \\| y &lt;b&gt;\\*z\\*&lt;/b&gt; | `p\\|q'r` |",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.30000000000000004, "0.3"),
        (True, "yes"),
        ("", "—"),
        ([], "—"),
        ([0.1, 1.0], "0.1, 1"),
        ({"train": 3}, "train 3"),
        (0, "0"),
    ],
)
def test_settings_read_short(value: object, text: str) -> None:
    assert setting(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.234, "1.2 s"), (45.6, "46 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_read_in_their_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_main_table_names_the_engine_of_a_column() -> None:
    grid = laid_out(result("moco", "coco", settings={"engine": "torchvision"}))
    comparison = Comparison(baseline="", scores={}, differences={})

    assert main_table(grid, comparison).header[1] == "coco<br>bbox/AP (torchvision)"
