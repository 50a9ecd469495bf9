"""Several weights under one name are averaged only where each states another pretraining seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import Budget, Source, TaskResult
from hsa_bench.core.results.store import Store
from reports.report import write_report
from reports.run_folder.collected import collect
from reports.run_folder.grid import Grid, lay_out
from reports.run_folder.merge import merge
from reports.sections.backbones import budget_table
from tests.reports.report_folder import result, write


def own(seed: int) -> Source:
    cost = {"epochs": 1, "images": 1, "views": 2.0, "seconds": 1.0, "method": "moco", "dataset": "digits"}
    return Source(path=f"{seed}.pth", format="hsa_bench", budget=Budget(seed=seed, **cost))


def stated(seed: int | None) -> Source:
    return Source(path="x.pth", format="elsewhere", pretraining_seed=seed)


def laid_out(out: Path, *given: dict[str, Any]) -> Grid:
    for turn, facts in enumerate(given):
        weights = f"{turn + 1}" * 64
        write(out, result("mine", "knn", **{"metrics": {"top1": 50.0 + turn}, "weights": weights, **facts}))
    return lay_out(collect(out))


@pytest.mark.parametrize("source", [own, stated])
def test_other_seeds_are_averaged(tmp_path: Path, source: Any) -> None:
    grid = laid_out(tmp_path, {"source": source(0)}, {"source": source(1)})

    assert grid.rows == ("mine",) and len(grid.at("mine", "knn").runs) == 2


@pytest.mark.parametrize(
    "sources",
    [(own(0), own(0)), (stated(None), stated(None)), (stated(0), stated(None)), (own(0), stated(0))],
)
def test_what_does_not_state_another_seed_has_a_row_of_its_own(
    tmp_path: Path, sources: tuple[Source, Source]
) -> None:
    grid = laid_out(tmp_path, *({"source": source} for source in sources))

    assert grid.rows == ("mine (weights 11111111)", "mine (weights 22222222)")
    assert [grid.at(row, "knn").mean for row in grid.rows] == [50.0, 51.0]


def test_steps_of_one_training_are_told_by_their_step(tmp_path: Path) -> None:
    grid = laid_out(tmp_path, {"source": own(0), "step": 500}, {"source": own(0), "step": 1000})

    assert grid.rows == ("mine (step 500)", "mine (step 1000)")


def test_untrained_networks_are_averaged_over_their_initialisations(tmp_path: Path) -> None:
    source = Source(path="random initialisation", format="control")

    assert laid_out(tmp_path, {"source": source}, {"source": source}).rows == ("mine",)


def test_several_seeds_of_evaluation_of_one_file_are_averaged(tmp_path: Path) -> None:
    same = {"weights": "1" * 64, "source": stated(None)}

    assert laid_out(tmp_path, {**same, "seed": 0}, {**same, "seed": 1}).rows == ("mine",)


def planned(run: TaskResult, seed: int | None) -> PlannedRun:
    spec = run.spec
    return PlannedRun(label="mine", task="knn", seed=spec.seed, key=spec.key, pretraining_seed=seed)


def test_of_results_from_before_the_plan_states_the_seeds(tmp_path: Path) -> None:
    laid_out(tmp_path / "a", {}, {})
    runs = collect(tmp_path / "a").results
    cells = tuple(planned(run, turn) for turn, run in enumerate(runs))
    Store(tmp_path / "a").write_plan(PlanFile(title="t", preset="", command="c", runs=cells))

    assert lay_out(collect(tmp_path / "a")).rows == ("mine",)

    merge([tmp_path / "a"], tmp_path / "all")
    assert lay_out(collect(tmp_path / "all")).rows == ("mine",)


def test_the_report_says_why_they_are_apart(tmp_path: Path) -> None:
    laid_out(tmp_path, {"source": own(0)}, {"source": own(0)})

    text = write_report(tmp_path).read_text()

    assert "mine stands for 2 sets of weights (weights 11111111, weights 22222222)" in text


def test_a_stated_seed_stands_with_what_is_known_of_the_pretraining(tmp_path: Path) -> None:
    grid = laid_out(tmp_path, {"source": stated(5)}, {"source": stated(7)})

    assert [row[-2] for row in budget_table(grid, ()).rows] == ["5", "7"]


def test_what_was_taken_for_granted_of_a_file_is_in_the_report(tmp_path: Path) -> None:
    assumed = ("ImageNet's mean and deviation", "format prefix, by the option")
    laid_out(tmp_path, {"source": Source(path="x.pth", format="prefix", assumed=assumed)})

    text = write_report(tmp_path).read_text()

    assert "Taken for granted" in text
    assert "- mine: ImageNet's mean and deviation; format prefix, by the option." in text
