"""Several run folders: compare, merge, list; results written elsewhere."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hsa_bench.core.results.plan_file import PlannedRun
from hsa_bench.core.results.result import Failure, RunSpec, TaskResult
from hsa_bench.core.results.store import Store
from reports.compare_runs import across_table
from reports.report import write_report
from reports.run_folder.collected import collect
from reports.run_folder.listing import listing
from reports.run_folder.merge import merge
from reports.run_folder.schema import result_schema
from tests.reports.report_folder import classified, demo, provenance, result, write
from tests.support.command import ROOT, TORCH, Done, start_without


def command(*arguments: object, without: Sequence[str] = TORCH) -> Done:
    return start_without("reports", *arguments, without=without)


def measured(out: Path, label: str, share: float, **changed: object) -> TaskResult:
    right = np.random.default_rng(1).permutation(400) < 400 * share
    facts = {"metrics": {"top1": float(right.mean() * 100)}, **changed}
    return write(out, result(label, "knn", **facts), classified(right))


def test_two_runs_are_set_side_by_side_with_what_differs(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    measured(first, "same", 0.7)
    measured(second, "same", 0.7)
    measured(first, "moved", 0.5, weights="1" * 64)
    measured(second, "moved", 0.7, weights="2" * 64)
    measured(first, "gone", 0.5)

    table = across_table(collect(first), collect(second))
    rows = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}

    assert rows["same"]["second − first"] == "identical"
    assert rows["same"]["what differs"] == "nothing that can change a number"
    assert rows["moved"]["second − first"].startswith("+20.00 [")
    assert rows["moved"]["shown"].startswith("ahead (test images), p < 0.001")
    assert rows["moved"]["what differs"] == "weights `11111111` → `22222222`"
    assert rows["gone"]["second run"] == "—" and rows["gone"]["what differs"] == "no number in both"


@pytest.mark.parametrize("suffix", [".md", ".csv", ".tex", ".html"])
def test_a_comparison_is_written_in_the_format_of_its_file(tmp_path: Path, suffix: str) -> None:
    measured(tmp_path / "a", "hsa", 0.7)
    target = tmp_path / f"out{suffix}"

    done = command("compare", tmp_path / "a", tmp_path / "a", "-o", target)

    assert done.returncode == 0, done.stderr
    assert "identical" in target.read_text()


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    measured(tmp_path / "a", "hsa", 0.7)

    done = command("compare", tmp_path / "a", tmp_path / "a", "-o", tmp_path / "out.docx")

    assert done.returncode == 2 and "ends in .md, .csv, .tex or .html" in done.stderr


def test_results_of_several_machines_come_together_with_their_files(tmp_path: Path) -> None:
    whole = demo(tmp_path / "whole")
    for name, keep in (("a", {"hsa", "random"}), ("b", {"moco", "simclr", "pixels"})):
        shutil.copytree(whole, tmp_path / name)
        for folder in (tmp_path / name / "results").iterdir():
            if folder.name not in keep:
                shutil.rmtree(folder)

    done = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")

    assert not done.conflicts and done.copied == len(collect(whole).results)
    there = collect(tmp_path / "all")
    assert {r.spec.key for r in there.results} == {r.spec.key for r in collect(whole).results}
    assert there.absent == collect(whole).absent  # what no machine has is still missing
    first, second = (write_report(tmp_path / name).read_text() for name in ("whole", "all"))
    assert first.partition("## Checks")[0] == second.partition("## Checks")[0]


def test_contradicting_numbers_are_named_and_the_first_is_kept(tmp_path: Path) -> None:
    for name, share in (("a", 0.7), ("b", 0.6)):
        measured(tmp_path / name, "hsa", share)
    same = measured(tmp_path / "a", "moco", 0.5)
    measured(tmp_path / "b", "moco", 0.5, provenance=provenance(commit="beef"))

    done = command("merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "all")

    assert done.returncode == 1
    assert "conflict: results/hsa/knn/" in done.stderr and "top1 70.00 in a, 60.00 in b" in done.stderr
    kept = {r.label: r for r in collect(tmp_path / "all").results}
    assert kept["hsa"].values == {"top1": 70.0} and kept["moco"] == same
    assert "one specification must give one number" in write_report(tmp_path / "all").read_text()


def test_a_number_stands_against_a_failure_of_the_same_cell(tmp_path: Path) -> None:
    lost = {"status": "failed", "metrics": {}, "failure": Failure(kind="killed", message="gone")}
    measured(tmp_path / "a", "hsa", 0.7, **lost)
    measured(tmp_path / "b", "hsa", 0.7)

    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")

    (kept,) = collect(tmp_path / "all").results
    assert kept.status == "ok"
    assert (tmp_path / "all/results/hsa/knn" / kept.examples).is_file()


def test_one_name_for_several_weights_is_remarked(tmp_path: Path) -> None:
    for name, weights in (("a", "1" * 64), ("b", "2" * 64)):
        measured(tmp_path / name, "hsa", 0.7, weights=weights)

    done = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")

    assert any("hsa stands for 2 sets of weights" in text for text in done.remarks)


def test_a_folder_is_not_merged_into_itself(tmp_path: Path) -> None:
    measured(tmp_path / "a", "hsa", 0.7)

    with pytest.raises(ValueError, match="is one of the runs"):
        merge([tmp_path / "a"], tmp_path / "a")


def test_runs_and_results_are_listed_without_pandas(tmp_path: Path) -> None:
    demo(tmp_path / "runs" / "one")
    few = (*TORCH, "pandas", "matplotlib", "scipy")

    runs = command("list", tmp_path / "runs", without=few)
    results = command("list", tmp_path / "runs" / "one", without=few)

    assert runs.returncode == results.returncode == 0, runs.stderr + results.stderr
    assert runs.stdout.splitlines()[1].startswith("one  hsa_bench demo  hsa,moco,pixels,random,simclr")
    assert len(results.stdout.splitlines()) == 1 + len(collect(tmp_path / "runs" / "one").results)
    assert command("list", tmp_path / "nowhere").returncode == 2


def test_unreadable_results_are_named_in_the_list(tmp_path: Path) -> None:
    own = measured(tmp_path, "hsa", 0.7)
    Store(tmp_path).path("hsa", "knn", "0" * 16).write_text("{")

    lines = list(listing(tmp_path))

    assert own.spec.key in lines[1] and lines[-1].startswith("left out: ")


def test_the_published_schema_is_the_one_in_force() -> None:
    assert (ROOT / "docs/result.schema.json").read_text() == result_schema()
    assert command("schema").stdout == result_schema()


def test_the_documented_file_is_a_result_and_its_key_is_computed_as_documented(tmp_path: Path) -> None:
    text = (ROOT / "docs/results.md").read_text()
    example = json.loads(text.partition("```json\n")[2].partition("```")[0])
    space: dict[str, object] = {"hashlib": hashlib, "json": json}
    exec(text.partition("```python\n")[2].partition("```")[0], space)
    key = space["key"](example["spec"])  # type: ignore[operator]

    assert key == RunSpec.model_validate(example["spec"]).key
    path = tmp_path / "results/mine/linear" / f"{key}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(example))
    (found,) = collect(tmp_path).results
    assert found.values["top1"] == 67.4
    assert "67.4" in write_report(tmp_path).read_text()


def test_a_copy_of_a_result_is_named_and_not_averaged(tmp_path: Path) -> None:
    own = measured(tmp_path, "hsa", 0.7)
    path = Store(tmp_path).path("hsa", "knn", own.spec.key)
    shutil.copy(path, path.with_name(f"{own.spec.key[::-1]}.json"))

    text = write_report(tmp_path).read_text()

    assert "copied or edited" in text and "[70.0](" in text and "70.0 ±" not in text


def test_a_plan_of_before_there_were_several_baselines_is_read(tmp_path: Path) -> None:
    own = measured(tmp_path, "hsa", 0.7)
    cell = PlannedRun(label="hsa", task="knn", seed=0, key=own.spec.key).model_dump()
    old = {"title": "t", "preset": "p", "baseline": "hsa", "command": "c", "cells": [cell]}
    (tmp_path / "plan.json").write_text(json.dumps(old))

    plan = collect(tmp_path).plan

    assert plan is not None and plan.baselines == ("hsa",)
