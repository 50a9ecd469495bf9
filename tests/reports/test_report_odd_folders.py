"""Folders that are odd, damaged or half empty still give a report that says so."""

from pathlib import Path

import numpy as np
import pytest

from hsa_bench.core.results.plan_file import PlanFile
from hsa_bench.core.results.result import Source
from hsa_bench.core.results.store import Store
from reports.report import examine, write_report
from reports.run_folder.collected import collect
from reports.run_folder.merge import merge
from reports.statistics.cache import Cache
from tests.reports.report_folder import classified, result, write

HALF = np.arange(200) % 2 == 0


def measured(out: Path, label: str, share: float = 0.5, **changed: object):
    right = np.arange(200) < 200 * share
    facts = {"metrics": {"top1": float(right.mean() * 100)}, **changed}
    return write(out, result(label, "knn", **facts), classified(right))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x93NUMPY\x01\x00"])
def test_damaged_outcomes_are_named_and_the_report_is_written(tmp_path: Path, content: bytes) -> None:
    measured(tmp_path, "hsa")
    measured(tmp_path, "moco")
    (path,) = (tmp_path / "results/hsa/knn").glob("*.npz")
    path.write_bytes(content)

    text = write_report(tmp_path).read_text()

    assert "per-example outcomes cannot be read" in text


def test_half_a_file_of_outcomes_is_damaged(tmp_path: Path) -> None:
    measured(tmp_path, "hsa")
    (path,) = (tmp_path / "results/hsa/knn").glob("*.npz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    assert "cannot be read" in write_report(tmp_path).read_text()


def test_a_folder_of_one_broken_file_gives_a_report_that_names_it(tmp_path: Path) -> None:
    path = Store(tmp_path).path("hsa", "knn", "0" * 16)
    path.parent.mkdir(parents=True)
    path.write_text("{")

    assert "not a result file of hsa_bench" in write_report(tmp_path).read_text()


def test_a_plan_without_cells_gives_a_report(tmp_path: Path) -> None:
    Store(tmp_path).write_plan(PlanFile(title="Nothing", preset="", command="", runs=()))

    assert write_report(tmp_path).read_text().startswith("# Nothing")


def test_an_ok_without_its_main_metric_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, result("hsa", "knn", metrics={"top5": 90.0}))
    measured(tmp_path, "moco")

    collected = collect(tmp_path)

    assert len(collected.results) == 1
    assert "says ok, but has no number for its main metric top1" in collected.unreadable[0]


def test_different_main_metrics_are_columns_of_their_own(tmp_path: Path) -> None:
    measured(tmp_path, "hsa")
    measured(tmp_path, "moco", main_metric="top5", metrics={"top5": 100.0})

    found = examine(collect(tmp_path), (), Cache(tmp_path / "unused"))

    assert len(found.grid.columns) == 2 and not found.comparison.differences


def test_without_a_plan_moco_and_simclr_are_the_baselines(tmp_path: Path) -> None:
    for label in ("hsa", "moco", "simclr"):
        measured(tmp_path, label)

    assert examine(collect(tmp_path), (), Cache(tmp_path / "x")).comparison.baselines == ("moco", "simclr")


def plan(out: Path, *baselines: str) -> None:
    cells = [
        {"label": r.label, "task": r.spec.task, "seed": r.spec.seed, "key": r.spec.key}
        for r in collect(out, whole=True).results
    ]
    facts = {"title": "t", "preset": "", "command": "c", "baselines": baselines, "controls": ["random"]}
    Store(out).write_plan(PlanFile.model_validate({**facts, "cells": cells}))


def test_runs_of_one_backbone_each_are_compared_once_merged(tmp_path: Path) -> None:
    for name, label in (("a", "hsa"), ("b", "moco")):
        measured(tmp_path / name, label, 0.8 if label == "hsa" else 0.5)
        own = Source(path="random initialisation 0", format="control")
        measured(tmp_path / name, "random", 0.3, source=own)
        plan(tmp_path / name, "random")

    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")

    found = examine(collect(tmp_path / "all"), (), Cache(tmp_path / "x")).comparison
    assert found.baselines == ("moco",) and ("hsa", "moco", "knn") in found.differences


def test_results_that_a_plan_has_left_behind_do_not_come_back(tmp_path: Path) -> None:
    new = measured(tmp_path / "a", "hsa", 0.8, weights="2" * 64)
    plan(tmp_path / "a", "hsa")
    measured(tmp_path / "a", "hsa", 0.2, weights="1" * 64)
    measured(tmp_path / "b", "moco")

    done = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")

    kept = [r for r in collect(tmp_path / "all").results if r.label == "hsa"]
    assert kept == [new]
    assert any("1 results in" in text for text in done.remarks)


def test_outcomes_that_one_machine_lacks_come_from_the_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        measured(tmp_path / name, "hsa")
    (lost,) = (tmp_path / "a/results/hsa/knn").glob("*.npz")
    lost.unlink()

    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")

    assert list((tmp_path / "all/results/hsa/knn").glob("*.npz"))


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"": "moco-v2-200"}, "say whose it is, for example --claim hsa=moco-v2-200"),
        ({"nosuch": "moco-v2-200"}, "nosuch=moco-v2-200: no such backbone; there are hsa, moco"),
    ],
)
def test_a_claim_of_nobody_is_refused(tmp_path: Path, claims: dict[str, str], message: str) -> None:
    for label in ("hsa", "moco"):
        measured(tmp_path, label)

    with pytest.raises(ValueError, match=message):
        write_report(tmp_path, claims=claims)


@pytest.mark.parametrize("label", ["a#b", "a?b", "a%20b", "a (b) | c", "ä [x]"])
def test_links_lead_to_files_whatever_the_name(tmp_path: Path, label: str) -> None:
    import re
    from urllib.parse import unquote

    measured(tmp_path, label)

    links = re.findall(r"\]\((results/[^)]*\.json)\)", write_report(tmp_path).read_text())

    assert links and all((tmp_path / unquote(link)).is_file() for link in links)


def test_names_that_differ_in_signs_alone_get_tables_of_their_own(tmp_path: Path) -> None:
    for label in ("a b", "a-b", "hsa"):
        measured(tmp_path, label)

    write_report(tmp_path, baselines=["a b", "a-b"])

    assert {p.name for p in (tmp_path / "tables").glob("against*.csv")} == {
        "against-a-b.csv",
        "against-a-b-.csv",
    }


def test_the_page_does_not_overwrite_the_report(tmp_path: Path) -> None:
    measured(tmp_path, "hsa")

    with pytest.raises(ValueError, match=r"give its name, \.md"):
        write_report(tmp_path, tmp_path / "x.html")
