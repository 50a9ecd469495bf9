"""What the figures of lines and scores show, read from the artists, and when they are drawn."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hsa_bench.core.results.result import DataId
from reports.figures import Picture, draw_all, draw_comparison, saved
from reports.figures.everything import FIGURES
from reports.figures.fractions import Fraction, draw_fractions, fraction_of
from reports.figures.layers import draw_layers
from reports.figures.pretraining import draw_pretraining
from reports.figures.sensitivity import draw_sensitivity
from reports.figures.style import looks_of
from reports.figures.training import draw_training
from reports.run_folder.collected import Collected
from reports.run_folder.grid import lay_out
from reports.statistics.comparison import compare
from tests.reports.figure_cases import (
    PICTURE,
    Draw,
    caught,
    draw,
    knn,
    linear,
    lines,
    panels,
    points,
    ringed,
    whole_run,
)
from tests.reports.report_folder import result


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    return caught(monkeypatch)


def test_a_whole_run_gives_every_figure_as_wide_as_a_page(tmp_path: Path) -> None:
    results = tuple(whole_run(tmp_path))
    collected = Collected(tmp_path, None, results, (), ())
    grid = lay_out(collected)

    found = draw_all(collected, grid, compare(collected, grid, ["moco"]), ["random"], tmp_path / "report.md")

    assert set(found) == {"comparison", *FIGURES}
    for picture in found.values():
        assert picture.caption.endswith(".") and not set("*_<") & set(picture.caption)
        with Image.open(tmp_path / picture.path) as image:
            assert 700 < image.width <= 1120


@pytest.mark.parametrize("one", FIGURES.values(), ids=list(FIGURES))
def test_results_without_curves_grids_or_outcomes_give_no_figure(one: Draw, tmp_path: Path) -> None:
    assert draw(one, tmp_path, result("moco", "knn"), result("hsa", "semisup-1")) is None


def test_a_figure_is_drawn_again_only_if_what_it_shows_has_changed(
    drawn: list[Figure], tmp_path: Path
) -> None:
    def again(key: object, name: str = "curves") -> Picture:
        return saved(tmp_path / "r.md", tmp_path / "cache", name, key, Figure, "title", "caption")

    assert again({"a": 1}) == again({"a": 1}) == Picture(Path("figures/curves.png"), "title", "caption")
    assert len(drawn) == 1
    again({"a": 1}, name="curves-more")
    again({"a": np.array([2.0])})
    assert len(drawn) == 3
    kept = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "cache").iterdir())
    assert kept == ["curves", "curves-more"]  # the older drawing is gone, another figure's is not
    assert (tmp_path / "figures/curves.png").read_bytes() == PICTURE


def test_a_cache_that_cannot_be_written_only_costs_time(drawn: list[Figure], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")

    saved(tmp_path / "r.md", tmp_path / "cache", "curves", 1, Figure, "title", "caption")

    assert (tmp_path / "figures/curves.png").is_file()


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw(draw_fractions, tmp_path / name, *(result("moco", f"semisup-{n}") for n in (1, 10)))

    assert (tmp_path / "a/figures/fractions.png").read_bytes() == (
        tmp_path / "b/figures/fractions.png"
    ).read_bytes()


def test_no_two_backbones_look_alike_and_none_by_colour_alone() -> None:
    names = [f"net{i}" for i in range(40)]
    looks = looks_of([*names, "moco", "random", "pixels"], "moco", ["random", "pixels"])

    assert len({(look.colour, str(look.line), look.marker) for look in looks.values()}) == len(looks)
    assert len({(str(looks[n].line), looks[n].marker) for n in names}) == 40
    assert looks["moco"].colour == "#000000" and looks["moco"].name == "moco (baseline)"
    assert looks["random"].hollow and looks["random"].line != looks["pixels"].line


def test_a_backbone_has_one_colour_in_all_figures(drawn: list[Figure], tmp_path: Path) -> None:
    results = whole_run(tmp_path)
    for one in (draw_pretraining, draw_training, draw_sensitivity, draw_fractions, draw_layers):
        assert draw(one, tmp_path, *results)
    collected = Collected(tmp_path, None, tuple(results), (), ())
    grid = lay_out(collected)
    draw_comparison(grid, compare(collected, grid, ["moco"]), ["random"], tmp_path / "report.md")

    expected = {row: look.colour for row, look in looks_of(grid.rows, "moco", ["random"]).items()}
    for figure in drawn[:-1]:
        for ax in panels(figure):
            assert {row: line.get_color() for row, line in lines(ax).items()} == expected
    markers = [line for line in panels(drawn[-1])[0].get_lines() if line.get_marker() in {"o", "D"}]
    assert [line.get_color() for line in markers] == list(expected.values())


def test_kept_back_accuracy_is_shown_along_the_chosen_weight_decay(
    drawn: list[Figure], tmp_path: Path
) -> None:
    assert draw(draw_sensitivity, tmp_path, linear("hsa", 50.0), linear("moco", 40.0))

    (ax,) = panels(drawn[0])
    assert points(lines(ax)["hsa"]) == [[0.1, 50.1], [1.0, 51.0], [10.0, 60.0]]
    assert ringed(ax) == [[1.0, 51.0], [1.0, 41.0]]
    assert ax.get_xscale() == "log" and ax.get_ylabel() == "held-out top-1, %"


def test_knn_is_shown_along_k_and_along_t_through_the_recipes_point(
    drawn: list[Figure], tmp_path: Path
) -> None:
    assert draw(draw_sensitivity, tmp_path, knn("hsa", 50.0))

    by_k, by_t = panels(drawn[0])
    assert points(lines(by_k)["hsa"]) == [[1, 49.83], [20, 47.93], [200, 29.93]]
    assert points(lines(by_t)["hsa"]) == [[0.02, 47.98], [0.07, 47.93]]
    assert [points(ax.get_lines()[-1])[0][0] for ax in (by_k, by_t)] == [20.0, 0.07]


def test_a_recipe_without_a_grid_has_no_sensitivity(tmp_path: Path) -> None:
    single = {"lr": 0.3, "weight_decay": 0.0, "held_out_top1": {"lr 0.3, wd 0": 50.0}}

    assert draw(draw_sensitivity, tmp_path, linear("hsa", 50.0, effective=single)) is None


def test_curves_of_the_first_run_are_shown_by_epoch_step_or_iteration(
    drawn: list[Figure], tmp_path: Path
) -> None:
    steps = {"settings": {"steps": 90, "epochs": 20}, "curves": {"train_loss": [float(i) for i in range(90)]}}
    losses = {"settings": {"iterations": 600}, "curves": {"loss": [3.0, 2.0, 1.0]}}
    again = linear("hsa", 50.0, seed=1, curves={"train_loss": [9.0, 9.0, 9.0]})
    results = result("hsa", "semisup-1", **steps), result("hsa", "coco", **losses)
    picture = draw(draw_training, tmp_path, linear("hsa", 50.0), again, *results)

    loss, top1, fine_tuned, detector = panels(drawn[0])
    assert points(lines(loss)["hsa"]) == [[1, 3], [2, 2], [3, 1]] and loss.get_xlabel() == "epoch"
    assert top1.get_ylabel() == "published top-1, %"
    assert fine_tuned.get_xlabel() == "step"
    assert points(lines(fine_tuned)["hsa"])[:2] == [[3, 1], [6, 4]]  # means of three
    assert points(lines(detector)["hsa"]) == [[200, 3], [400, 2], [600, 1]]
    assert picture and "means over equal parts" in picture.caption


def test_of_many_curves_every_task_has_its_first_one(drawn: list[Figure], tmp_path: Path) -> None:
    parts = {f"loss_{i}": [1.0, 0.5] for i in range(9)}
    results = [
        result("hsa", "coco", curves=parts),
        linear("hsa", 50.0),
        result("hsa", "semisup-1", curves=parts),
    ]

    picture = draw(draw_training, tmp_path, *results)

    titles = [ax.get_title(loc="left") for ax in panels(drawn[0])]
    assert len(titles) == 9 and titles[4:6] == ["linear: training loss", "linear: published top-1"]
    assert titles[0] == "coco: loss 0" and titles[6] == "semisup-1: loss 0"
    assert picture and "11 further curves" in picture.caption


def test_parts_of_a_levels_loss_and_the_rate_are_no_pretraining_curves(
    drawn: list[Figure], tmp_path: Path
) -> None:
    curves = {name: [2.0, 1.0] for name in ("loss", "loss/stage3", "loss/stage3/own", "learning rate")}

    assert draw(draw_pretraining, tmp_path, result("hsa", "pretrain", curves=curves))

    assert [ax.get_title(loc="left") for ax in panels(drawn[0])] == ["loss", "loss, stage3"]


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("semisup-1", Fraction("semisup", 1, "labels used, %")),
        ("semisup-10-simclr", Fraction("semisup-simclr", 10, "labels used, %")),
        ("linear", None),
        ("coco-fpn-1x", None),
    ],
)
def test_a_tasks_name_says_how_many_labels_it_uses(task: str, found: Fraction | None) -> None:
    assert fraction_of(task) == found


def test_two_fractions_of_one_recipe_make_a_line_with_the_spread_over_seeds(
    drawn: list[Figure], tmp_path: Path
) -> None:
    runs = [result("hsa", "semisup-1", metrics={"top1": top1}, seed=int(top1)) for top1 in (20.0, 22.0)]
    assert draw(draw_fractions, tmp_path, *runs, result("hsa", "semisup-10", metrics={"top1": 60.0}))

    (ax,) = panels(drawn[0])
    assert points(lines(ax)["hsa"]) == [[1, 21], [10, 60]]
    (bars,) = [bar for bar in ax.containers]
    low, high = bars[2][0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(np.std([20, 22], ddof=1))


def test_fractions_of_different_data_or_settings_are_not_joined(tmp_path: Path) -> None:
    one, ten = result("hsa", "semisup-1"), result("hsa", "semisup-10", data=DataId(name="b", fingerprint="b"))
    other = result("hsa", "semisup-1", settings={"epochs": 50})

    assert draw(draw_fractions, tmp_path, one, ten) is None
    assert draw(draw_fractions, tmp_path, one, other, result("hsa", "semisup-10")) is None


def test_layers_stand_in_their_order_and_stages_apart_from_blocks(
    drawn: list[Figure], tmp_path: Path
) -> None:
    stages = {"stage2/top1": 3.0, "stem/top1": 1.0, "stage1/top1": 2.0, "top1": 9.0}
    blocks = {f"block{i}/knn_top1": float(i) for i in (10, 9, 11, 0)}
    assert draw(
        draw_layers,
        tmp_path,
        result("hsa", "knn", metrics=stages),
        result("vit", "knn", metrics={**blocks, "top1": 1.0}),
    )

    by_stage, by_block = panels(drawn[0])
    assert points(lines(by_stage)["hsa"]) == [[0, 1], [1, 2], [2, 3]]
    assert [text.get_text() for text in by_stage.get_xticklabels()] == ["stem", "1", "2"]
    assert [x for x, _ in points(lines(by_block)["vit"])] == [0, 9, 10, 11]
    assert (by_block.get_xlabel(), by_block.get_ylabel()) == ("block", "kNN top-1, %")


def test_rates_that_fine_tuning_chose_in_pairs_are_no_line(tmp_path: Path) -> None:
    pairs = {"trunk 0.01, head 0.2": 10.0, "trunk 0.05, head 1": 0.0}
    tuned = result("hsa", "semisup-1", effective={"rates": "trunk 0.01, head 0.2", "held_out_top1": pairs})

    assert draw(draw_sensitivity, tmp_path, tuned) is None
