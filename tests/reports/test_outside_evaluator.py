"""An evaluator in one file outside: labelled, ranked, set bold and drawn rightly, lower-is-better too."""

import csv
from pathlib import Path

import pytest
from my_lab.my_error import error, metrics

from hsa_bench.core.results.metric import Metric
from hsa_bench.core.results.result import Source, TaskResult
from reports.figures.comparison import draw_comparison
from reports.figures.layers import draw_layers
from reports.figures.ranking import best_row
from reports.figures.shots import draw_shots
from reports.report import write_report
from reports.run_folder.collected import Collected
from reports.run_folder.grid import Grid, lay_out
from reports.statistics.comparison import Comparison, compare
from reports.statistics.difference import Difference
from reports.statistics.untrained import beside_untrained
from tests.reports.figure_cases import CONTROL, caught, draw, lines, panels, points
from tests.reports.report_folder import PROTOCOLS, result, write

ERRORS = {"hsa": 21.5, "moco": 30.25, "random": 80.0}
"""The mean error of each backbone, degrees: hsa's is the best."""


@pytest.fixture(autouse=True)
def _protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, "angle", "Mean angle of a mirror image's features.")


def measured(label: str, given: tuple[Metric, ...] | None = None) -> TaskResult:
    source = CONTROL if label == "random" else Source(path=f"{label}.pth", format="hsa_bench")
    found = metrics(ERRORS[label]) if given is None else given
    return result(label, "angle", metrics=found, main_metric="angle", seeded=False, source=source)


def compared(out: Path, *runs: TaskResult) -> tuple[Grid, Comparison]:
    collected = Collected(out, None, runs or tuple(map(measured, ERRORS)), (), ())
    grid = lay_out(collected)
    return grid, compare(collected, grid, ["moco"], ["random"])


@pytest.fixture
def report(tmp_path: Path) -> Path:
    for label in ERRORS:
        write(tmp_path, measured(label))
    return write_report(tmp_path, baselines=["moco"])


def test_the_smaller_error_is_ahead_and_the_difference_keeps_its_sign(tmp_path: Path) -> None:
    grid, comparison = compared(tmp_path)
    found = comparison.at("hsa", "moco", "angle")
    assert isinstance(found, Difference)
    assert found.verdict == "ahead" and found.value == pytest.approx(21.5 - 30.25)
    assert found.interval.high < 0
    assert found.mirrored().verdict == "behind"
    assert comparison.ahead_of_all(("hsa", "angle")) and not comparison.ahead_of_all(("moco", "angle"))
    assert best_row(grid, "angle", ["random"]) == "hsa"


def test_it_is_better_than_untrained_where_it_is_smaller(tmp_path: Path) -> None:
    grid, comparison = compared(tmp_path)
    assert {one.row: one.better for one in beside_untrained(comparison, grid)} == {"hsa": True, "moco": True}


def test_the_table_has_its_unit_and_direction_and_the_best_is_bold(report: Path) -> None:
    text = report.read_text()
    assert "| backbone | angle<br>angle, degrees, lower is better |" in text
    assert "[**21.5**]" in text and "[30.2]" in text and "[80.0]" in text
    assert "Numbers are percentages, higher is better, unless a column says otherwise" in text
    assert (
        "`angle` is the mean angle between the direction told and the true one (degrees, lower is better)."
        in text
    )
    assert "−8.75 [−8.92, −8.58] degrees<br>**ahead**" in text
    assert "below zero for the better one where lower is better" in text
    assert "2 of 2 numbers better than the untrained twin's" in text


def test_layers_and_numbers_of_images_have_tables_under_its_title(report: Path) -> None:
    text = report.read_text()
    assert "By layer, angular error:\n\n| backbone | conv1 | conv2 | pool |" in text
    assert "| hsa | 24.5 | 23.5 | 22.5 |" in text
    assert "images per class (k), angular error, mean" in text
    assert "| backbone | k = 1 | k = 4 |" in text and "| hsa | 29.5 ± 0.3 | 23.5 ± 0.3 |" in text


def test_results_as_csv_say_unit_direction_and_place(report: Path) -> None:
    with report.with_name("results.csv").open() as file:
        rows = {row["metric"]: row for row in csv.DictReader(file) if row["label"] == "hsa"}
    assert (rows["angle"]["unit"], rows["angle"]["better"]) == ("degrees", "lower")
    assert rows["conv2/angle"]["layer"] == "conv2" and rows["angle_k4"]["shots"] == "4"


def test_figures_have_its_title_and_unit_at_their_axes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = caught(monkeypatch)
    grid, comparison = compared(tmp_path)
    runs = tuple(map(measured, ERRORS))
    assert draw_comparison(grid, comparison, ["random"], tmp_path / "report.md")
    assert draw(draw_layers, tmp_path, *runs) and draw(draw_shots, tmp_path, *runs)
    scores, layers, shots = (panels(figure)[0] for figure in drawn)
    assert scores.get_xlabel() == "angular error, degrees (lower is better)"
    assert layers.get_ylabel() == shots.get_ylabel() == "angular error, degrees"
    assert layers.get_title(loc="left") == "angle: angular error"
    assert [tick.get_text() for tick in layers.get_xticklabels()] == ["conv1", "conv2", "pool"]
    assert [y for _, y in points(lines(layers)["hsa"])] == [24.5, 23.5, 22.5]


def test_numbers_of_unlike_scales_are_not_compared(tmp_path: Path) -> None:
    radians = error(0.4).model_copy(update={"unit": "radians"})
    _, comparison = compared(tmp_path, measured("hsa", (radians,)), measured("moco"))
    assert "different units" in str(comparison.at("hsa", "moco", "angle"))


def test_two_numbers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two metrics are called angle"):
        measured("hsa", (error(1.0), error(2.0)))
