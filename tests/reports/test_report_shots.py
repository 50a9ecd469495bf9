"""Few images per class in the report: tables with their spread, the figure, the test over draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from hsa_bench.core.results.result import Source, TaskResult
from reports.figures.geometry import draw_geometry
from reports.figures.shots import draw_shots
from reports.figures.training import draw_training
from reports.report import write_report
from reports.run_folder.collected import Collected, collect
from reports.run_folder.grid import lay_out
from reports.sections.shots import shot_tables
from reports.statistics.cache import Cache
from reports.statistics.comparison import compare
from reports.statistics.difference import Difference, Significance
from tests.reports.figure_cases import CONTROL, caught, draw, geometry, lines, lowshot, panels, points
from tests.reports.report_folder import result, write


def against(out: Path, *results: TaskResult) -> Difference:
    """The first less the second."""
    collected = Collected(out, None, results, (), ())
    found = compare(collected, lay_out(collected), ["moco"], cache=Cache.of(out))
    one = found.at("hsa", "moco", "lowshot")
    assert isinstance(one, Difference)
    return one


def drawn(label: str, values: list[float], **changed: Any) -> TaskResult:
    metrics = {"logistic": float(np.mean(values))}
    return lowshot(label, 0, metrics=metrics, curves={"draws/logistic": values}, **changed)


def test_draws_are_paired_and_tested_by_students_t(tmp_path: Path) -> None:
    one, other = [50.0, 52.0, 49.0, 51.5, 50.5], [48.0, 51.0, 47.5, 49.0, 50.0]
    found = against(tmp_path, drawn("hsa", one), drawn("moco", other))
    reference = ttest_rel(one, other)
    assert found.noise == "draws of training images"
    assert found.counts == (5, 5)
    assert isinstance(found.test, Significance)
    assert found.test.name == "paired t"
    assert found.test.p == pytest.approx(reference.pvalue)
    assert found.value == pytest.approx(np.mean(one) - np.mean(other))
    low, high = reference.confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))


def test_fewer_draws_than_a_test_takes_give_an_interval_alone(tmp_path: Path) -> None:
    found = against(tmp_path, drawn("hsa", [50.0, 52.0]), drawn("moco", [48.0, 51.0]))
    assert found.verdict == "not tested"
    assert "2 draws; a test takes 5" in str(found.test)


def test_each_number_of_images_is_a_column_with_its_spread_over_draws(tmp_path: Path) -> None:
    results = (lowshot("hsa", 30.0), lowshot("moco", 20.0))
    tables = shot_tables(lay_out(Collected(tmp_path, None, results, (), ())), "lowshot")
    [(family, table)] = tables.items()
    assert (family.name, family.title) == ("logistic", "logistic regression")
    assert table.header == ("backbone", "k = 1", "k = 8")
    assert table.rows[0] == ("hsa", "32.0 ± 1.6", "44.0 ± 3.2")


def test_a_task_without_draws_has_no_such_table(tmp_path: Path) -> None:
    grid = lay_out(Collected(tmp_path, None, (result("hsa", "knn"),), (), ()))
    assert shot_tables(grid, "knn") == {}


def test_the_figure_has_a_point_for_each_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = caught(monkeypatch)
    picture = draw(draw_shots, tmp_path, lowshot("hsa", 30.0), lowshot("moco", 20.0))
    assert picture is not None and "standard deviation over the draws" in picture.caption
    [ax] = panels(figures[0])
    assert ax.get_title(loc="left") == "lowshot: logistic regression"
    assert [y for _, y in points(lines(ax)["hsa"])] == [32.0, 44.0]
    assert [x for x, _ in points(lines(ax)["hsa"])] == pytest.approx([1, 8], rel=0.05)


def test_draws_and_spectra_are_no_training_curves(tmp_path: Path) -> None:
    assert draw(draw_training, tmp_path, lowshot("hsa", 30.0), geometry("hsa", 20.0)) is None


def test_the_geometry_figure_places_each_backbone_and_drops_what_is_no_direction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = caught(monkeypatch)
    picture = draw(draw_geometry, tmp_path, geometry("hsa", 20.0), geometry("moco", 30.0))
    assert picture is not None and "neither foretells transfer" in picture.caption
    plane, fall = panels(figures[0])
    assert points(lines(plane)["moco"]) == [[0.3, -1.2]]
    assert points(lines(fall)["hsa"]) == [[1, 1], [2, 0.1]]


def test_a_diagnostic_is_never_tested_however_many_pretrainings_there_are(tmp_path: Path) -> None:
    results = [
        geometry(
            label, value + i, weights=f"{label}{i}", **({"source": CONTROL} if label == "random" else {})
        )
        for label, value in (("hsa", 40.0), ("moco", 20.0), ("random", 5.0))
        for i in range(5)
    ]
    collected = Collected(tmp_path, None, tuple(results), (), ())
    found = compare(collected, lay_out(collected), ["moco"], ["random"])
    assert not found.differences and not found.to_untrained
    assert found.tests == 0


def test_draws_of_several_pretrainings_are_averaged_and_not_tested(tmp_path: Path) -> None:
    one, other = [50.0, 52.0, 49.0, 51.5, 50.5], [48.0, 51.0, 47.5, 49.0, 50.0]
    third = [40.0, 41.0, 42.0, 43.0, 44.0]
    seeds = [Source(path="x.pth", format="elsewhere", pretraining_seed=seed) for seed in (0, 1)]
    both = [
        drawn("moco", other, weights="a", source=seeds[0]),
        drawn("moco", third, weights="b", source=seeds[1]),
    ]
    found = against(tmp_path, drawn("hsa", one), *both)
    reference = ttest_rel(one, np.mean([other, third], axis=0)).confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(reference))
    assert str(found.test) == "Untested(reason='1 against 2 pretrainings: one has no spread')"


def test_the_report_explains_its_metrics_and_leaves_the_diagnostic_untested(tmp_path: Path) -> None:
    for one in (lowshot("hsa", 30.0), lowshot("moco", 20.0), geometry("hsa", 20.0), geometry("moco", 30.0)):
        write(tmp_path, one)
    text = write_report(tmp_path, baselines=["moco"]).read_text()
    assert "`logistic` is the top-1 of a logistic regression" in text
    assert "`nmi` is how much k-means clusters and classes tell of each other (a diagnostic" in text
    assert "`top1` is" not in text
    assert "By number of training images per class (k), logistic regression" in text
    assert "| hsa | 32.0 ± 1.6 | 44.0 ± 3.2 |" in text
    grid = lay_out(collect(tmp_path))
    found = compare(collect(tmp_path), grid, ["moco"]).at("hsa", "moco", "geometry")
    assert not isinstance(found, Difference)
