"""Accuracy against epochs and against compute."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from pretrain.monitor.described import described
from reports.figures.pretraining import draw_pretraining
from reports.figures.progress import draw_progress
from tests.reports.figure_cases import caught, costing, draw, lines, panels, points, pretrained
from tests.reports.report_folder import result


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    return caught(monkeypatch)


def test_each_method_runs_over_epochs_and_over_what_they_cost(drawn: list[Figure], tmp_path: Path) -> None:
    results = [
        pretrained("hsa", [20.0, 40.0]),
        pretrained("moco", [10.0, 30.0]),
        pretrained("moco", [20.0, 32.0], seed=1),
        result("hsa", "knn", source=costing("hsa", 8e15)),
        result("moco", "knn", source=costing("moco", 2e15)),
    ]
    picture = draw(draw_progress, tmp_path, *results)
    assert picture is not None and "standard deviation over pretrainings" in picture.caption
    epochs, cost = panels(drawn[0])
    assert points(lines(epochs)["hsa"]) == [[2, 20], [4, 40]]
    assert points(lines(epochs)["moco"]) == [[2, 15], [4, 31]]
    assert points(lines(cost)["hsa"]) == [[4, 20], [8, 40]]
    assert points(lines(cost)["moco"]) == [[1, 15], [2, 31]]
    assert cost.get_xlabel() == "10¹⁵ multiplications and additions"


def test_pretrainings_of_unlike_length_are_averaged_as_far_as_all_go(
    drawn: list[Figure], tmp_path: Path
) -> None:
    results = [
        pretrained("start", [20.0, 40.0, 60.0]),
        pretrained("start", [10.0, 20.0], seed=1),
        pretrained("moco", [10.0, 30.0]),
        result("start", "knn", source=costing("start", 6e15), seed=0),
        result("start", "knn", source=costing("start", 4e15), weights="a" * 64, seed=1),
        result("moco", "knn", source=costing("moco", 2e15)),
    ]
    draw(draw_progress, tmp_path, *results)
    epochs, cost = panels(drawn[0])
    assert points(lines(epochs)["start"]) == [[2, 15], [4, 30]]
    assert points(lines(cost)["start"]) == [[2, 15], [4, 30]]


def test_epochs_are_whole_however_few_there_are(drawn: list[Figure], tmp_path: Path) -> None:
    two, one = ({"epochs": epochs, "knn_every": 1} for epochs in (2, 1))
    few = [pretrained(label, [20.0, 40.0], settings=two) for label in ("hsa", "moco")]
    costs = [result(label, "knn", source=costing(label, 8e15)) for label in ("hsa", "moco")]
    draw(draw_progress, tmp_path, *few, *costs)
    draw(draw_pretraining, tmp_path, pretrained("hsa", [], curves={"loss": [2.0]}, settings=one))
    for axes in (panels(drawn[0])[0], panels(drawn[1])[0]):
        low, high = axes.get_xlim()
        shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert shown and all(float(tick).is_integer() for tick in shown)


def test_the_last_epoch_is_looked_at_too_and_curves_that_do_not_fit_are_left_out() -> None:
    odd = pretrained("hsa", [1.0, 2.0, 3.0], settings={"epochs": 5, "knn_every": 2})
    assert odd.courses["knn"].at == (2, 4, 5)
    for settings in ({"epochs": 5, "knn_every": 2}, {"epochs": 5}):
        assert pretrained("hsa", [1.0, 2.0], settings=settings).courses["knn"].along == ""


def test_unknown_cost_and_a_single_pretraining_give_no_figure(tmp_path: Path) -> None:
    both = [pretrained("hsa", [20.0, 40.0]), pretrained("moco", [10.0, 30.0])]
    assert draw(draw_progress, tmp_path, *both) is None
    assert draw(draw_progress, tmp_path, both[0], result("hsa", "knn", source=costing("hsa", 1e15))) is None


def test_curves_of_pretraining_run_over_epochs_and_are_means_over_seeds(
    drawn: list[Figure], tmp_path: Path
) -> None:
    noted = {"loss": [4.0, 3.0, 2.0, 1.0], "purity": [20.0, 20.0, 30.0, 30.0], "knn": [20.0, 40.0]}
    other = {**noted, "purity": [22.0, 22.0, 36.0, 36.0]}
    settings = {"epochs": 4, "knn_every": 2}
    facts = [{"curves": curves, "settings": settings} for curves in (noted, other)]
    results = [result("hsa", "pretrain", seed=seed, **fact) for seed, fact in enumerate(facts)]

    picture = draw(draw_pretraining, tmp_path, *results)

    assert picture is not None and "standard deviation over pretrainings" in picture.caption
    loss, purity, knn = panels(drawn[0])
    assert points(lines(purity)["hsa"]) == [[1, 21], [2, 21], [3, 33], [4, 33]]
    assert points(lines(knn)["hsa"]) == [[2, 20], [4, 40]]
    assert [ax.get_xlabel() for ax in (loss, purity, knn)] == ["epoch"] * 3


def test_purity_is_read_against_that_of_bare_pixels_which_has_no_panel(
    drawn: list[Figure], tmp_path: Path
) -> None:
    noted = {
        "loss": [2.0, 1.0],
        "purity": [20.0, 30.0],
        "purity_pixels": [21.5, 21.5],
        "purity_looked": [25.0],
    }
    curves = described(noted, 2, 2)
    results = [
        result("hsa", "pretrain", seed=seed, metrics={"loss": 1.0}).model_copy(update={"curves": curves})
        for seed in (0, 1)
    ]
    results.append(result("moco", "pretrain", curves={"purity": [10.0, 20.0]}, settings={"epochs": 2}))
    assert draw(draw_pretraining, tmp_path, *results) is not None
    loss, mined, looked = panels(drawn[0])
    assert [ax.get_title("left") for ax in (loss, mined, looked)] == ["loss", "purity", "purity at looks"]
    assert points(lines(mined)["hsa"]) == [[1, 20], [2, 30]]
    for ax, levels in ((loss, []), (mined, [21.5]), (looked, [21.5])):
        across = [line for line in ax.get_lines() if list(np.asarray(line.get_xdata())) == [0, 1]]
        assert [float(np.asarray(line.get_ydata())[0]) for line in across] == levels
    assert "purity of bare pixels" in [text.get_text() for text in drawn[0].legends[0].get_texts()]
