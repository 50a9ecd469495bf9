"""A row whose pretraining began with another's state says so, as its cost is not that of the whole."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.results.result import Budget, Source
from reports.run_folder.collected import Collected
from reports.run_folder.grid import lay_out
from reports.sections.backbones import BEGUN, budget_table
from reports.sections.notes import _remarked
from tests.reports.report_folder import result

START = "the whole state of moco.state.pth (3fa4b2c19d08): moco, 60 epochs of digits"


def budget(start: str) -> Source:
    spent = Budget(
        method="hsa", dataset="digits", epochs=2, images=8, views=2, seconds=1, seed=0, flops=3, start=start
    )
    return Source(path="x.pth", format="own", budget=spent)


def test_a_started_row_says_so_beside_its_cost(tmp_path: Path) -> None:
    runs = [result("hsa", "knn", source=budget(START)), result("moco", "knn", source=budget(""))]
    grid = lay_out(Collected(tmp_path, None, tuple(runs), (), ()))
    table = budget_table(grid, [])
    at = table.header.index(BEGUN)
    assert {row[0]: row[at] for row in table.rows} == {"hsa": START, "moco": "random weights"}
    assert all(len(row) == len(table.header) for row in table.rows)
    assert _remarked(grid) == (
        f"hsa: started from {START}; its epochs, images, FLOPs and time are those after that alone.",
    )


def test_without_a_start_no_word_of_it(tmp_path: Path) -> None:
    grid = lay_out(Collected(tmp_path, None, (result("moco", "knn", source=budget("")),), (), ()))
    assert BEGUN not in budget_table(grid, []).header
    assert _remarked(grid) == ()
