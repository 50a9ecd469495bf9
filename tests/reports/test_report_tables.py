"""Words and numbers in the tables."""

from pathlib import Path

import pytest

from hsa_bench.core.results.plan_file import PlannedRun
from hsa_bench.core.results.result import Failure, Source, TaskResult
from reports.run_folder.collected import Collected, collect
from reports.run_folder.grid import Cell, Grid, lay_out
from reports.sections.backbones import backbone_table, budget_table, pretraining_table
from reports.sections.tables import baseline_table, cost_table, main_table, score, statistics_table
from reports.sections.tasks import sections
from reports.statistics.cache import Cache
from reports.statistics.comparison import Comparison, compare
from reports.statistics.difference import Difference
from reports.writing.table import Table, code, duration, plain, pvalue, setting, slug
from tests.reports.figure_cases import costing
from tests.reports.report_folder import result


def cell(*results: TaskResult, absent: int = 0) -> Cell:
    waiting = PlannedRun(label="moco", task="linear", seed=9)
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
    return grid, compare(collected, grid, ["moco", "simclr"], ["random", "pixels"], Cache(Path("unused")))


@pytest.fixture(scope="module")
def tables(demo_run: Path) -> tuple[Grid, Comparison]:
    return demo_tables(demo_run)


def test_the_main_table_has_scores_that_lead_to_their_files_and_words(
    tables: tuple[Grid, Comparison], demo_run: Path
) -> None:
    grid, comparison = tables
    table = main_table(grid, comparison)
    rows = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}

    assert table.header[:2] == ("backbone", "linear<br>top1")
    assert list(rows) == ["hsa", "moco (baseline)", "simclr (baseline)", "random", "pixels"]
    one = grid.at("hsa", "linear").results[0]
    target = rows["hsa"]["linear<br>top1"].partition("](")[2].rstrip(")*")
    assert target == f"results/hsa/linear/{one.spec.key}.json" and (demo_run / target).is_file()
    assert " ± " in rows["random"]["knn<br>top1"] and "(#knn)" in rows["random"]["knn<br>top1"]
    assert rows["simclr (baseline)"]["coco<br>bbox/AP"].startswith("[failed](results/simclr/coco/")
    assert rows["pixels"]["semisup-1<br>top1"].startswith("[n/a]")
    assert rows["moco (baseline)"]["voc"] == "—"


def test_bold_means_ahead_of_every_baseline_and_nothing_else(tables: tuple[Grid, Comparison]) -> None:
    grid, comparison = tables
    table = main_table(grid, comparison)

    for row, cells in zip(grid.rows, table.rows, strict=True):
        for column, text in zip(grid.columns, cells[1:], strict=True):
            others = [base for base in comparison.baselines if base != row]
            found = [comparison.at(row, base, column) for base in others]
            known = [one for one in found if one is not None]
            ahead = bool(known) and all(isinstance(f, Difference) and f.verdict == "ahead" for f in known)
            assert ("**" in text) == ahead
    assert any("**" in cell for row in table.rows for cell in row)  # the case occurs


def test_the_table_of_a_baseline_says_how_much_and_whether_it_is_shown(
    tables: tuple[Grid, Comparison],
) -> None:
    grid, comparison = tables
    table = baseline_table(grid, comparison, "moco")
    rows = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}

    assert list(rows) == ["hsa", "simclr", "random", "pixels"]
    found = comparison.at("hsa", "moco", "knn")
    assert isinstance(found, Difference)
    assert rows["hsa"]["knn"].startswith(f"{found.value:+.1f} [".replace("-", "−"))
    assert f"p {pvalue(found.test.adjusted)}" in rows["hsa"]["knn"]
    assert rows["pixels"]["knn"].endswith("<br>not tested")
    assert rows["pixels"]["semisup-1"] == "—"


def test_the_statistics_name_noise_test_and_both_p_values(tables: tuple[Grid, Comparison]) -> None:
    grid, comparison = tables
    table = statistics_table(grid, comparison)
    rows = {row[:3]: dict(zip(table.header, row, strict=True)) for row in table.rows}

    row = rows["hsa", "moco", "linear"]
    assert (row["noise of"], row["number"], row["test"]) == ("test images", "360", "exact McNemar")
    assert rows["random", "moco", "knn"]["test"] == "none: a control"
    assert rows["random", "moco", "knn"]["p"] == "—"
    assert len(rows) == len(comparison.differences)


def test_a_pair_that_cannot_be_compared_says_so(tmp_path: Path) -> None:
    results = tuple(result(label, "knn") for label in ("hsa", "moco"))  # no per-example outcomes
    collected = Collected(tmp_path, None, results, (), ())
    grid = lay_out(collected)

    comparison = compare(collected, grid, ["moco"])

    assert baseline_table(grid, comparison, "moco").rows == (("hsa", "not paired"),)


def test_every_run_of_a_task_names_its_file_and_what_was_decided(tables: tuple[Grid, Comparison]) -> None:
    grid, comparison = tables
    section = sections(grid, comparison, {})[0]
    table = section.table

    assert section.protocols == (grid.in_column("linear")[0].protocol,)
    assert "360 test images" in section.data and "`epochs` 20" in section.settings
    assert table.header[-3:] == ("lr", "time", "result")
    keys = {row[-1] for row in table.rows if "mean" not in row[0]}
    runs = grid.in_column("linear")
    assert keys == {f"[`{r.spec.key}`](results/{r.label}/linear/{r.spec.key}.json)" for r in runs}
    assert section.facts == "task version 1"


def test_several_runs_have_a_row_of_their_mean(tables: tuple[Grid, Comparison]) -> None:
    grid, comparison = tables
    rows = [row for row in sections(grid, comparison, {})[0].table.rows if row[0] == "random, mean of 3"]

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
    run = result("hsa", "pretrain", metrics={"loss": 2.5, "knn": 71.0}, seconds=600)

    table = pretraining_table(Collected(Path(), None, (run,), (), ()))

    assert table.header[:4] == ("backbone", "seed", "loss", "knn")
    assert table.rows[0][:6] == ("hsa", "0", "2.50", "71.00", "ok", "10 min")


def test_a_pretraining_that_went_on_after_a_stop_is_given_its_whole_time() -> None:
    last_stretch = result("hsa", "pretrain", metrics={"loss": 2.5}, seconds=60)
    measured = result("hsa", "knn", source=costing("hsa", 1e15, seconds=900))

    table = pretraining_table(Collected(Path(), None, (last_stretch, measured), (), ()))

    assert table.rows[0][4] == "15 min"


def test_cost_adds_time_and_takes_the_largest_memory_and_the_speed_of_what_was_counted() -> None:
    runs = (
        top1(70.0, seconds=30, peak_memory_mb=900, images=3000),
        top1(71.0, 1, seconds=60, peak_memory_mb=800, images=6000),
        top1(71.0, 2, seconds=30, peak_memory_mb=800),
    )

    assert cost_table(laid_out(*runs)).rows == (("moco", "2 min<br>900 MB<br>100 images/s"),)


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
    comparison = Comparison(baselines=(), scores={}, differences={}, to_untrained={})

    assert main_table(grid, comparison).header[1] == "coco<br>bbox/AP (torchvision)"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "< 0.001"), (0.0123, "0.012"), (0.05, "0.05"), (0.349, "0.35"), (1.0, "1.00")]
)
def test_p_values_have_two_digits(p: float, text: str) -> None:
    assert pvalue(p) == text


def test_headings_are_reached_by_githubs_fragments() -> None:
    assert slug("coco-fpn-1x (v2, torchvision)") == "coco-fpn-1x-v2-torchvision"
    assert slug("What this is, and how to read it") == "what-this-is-and-how-to-read-it"
