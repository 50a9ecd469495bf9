"""A whole branching ablation by its command: killed, taken up, every branch from the state of its seed."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from hsa_bench.core.results.result import TaskResult
from hsa_bench.reproduce import app
from reports.run_folder.collected import collect
from tests.support.command import Done, call, in_background

SMALL = Path(__file__).with_name("branching.yaml")
LIMIT = 300.0


def command(out: Path) -> Done:
    return call(app, SMALL, "--out", out, "--trust-preset")


def pretrained(out: Path) -> dict[tuple[str, int], TaskResult]:
    results = collect(out / "final", whole=True).results
    return {(r.label, r.spec.seed): r for r in results if r.spec.task == "pretrain"}


@pytest.mark.long  # quick ones: the file's jobs, the pairs' statistics, runs side by side
def test_killed_and_taken_up_it_trains_start_branches_and_equal_compute(tmp_path: Path) -> None:
    process = in_background("hsa_bench.reproduce", SMALL, "--out", tmp_path, "--trust-preset", "--jobs", 2)
    end = time.monotonic() + LIMIT
    while not list((tmp_path / "final/results/start/pretrain").glob("*.json")):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.2)
    process.kill()
    process.wait()
    (first, *_) = pretrained(tmp_path).values()

    done = command(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = pretrained(tmp_path)
    rows = ["start", "moco", "moco-longer", "hsa-views", "hsa-one-level"]
    assert sorted(runs) == sorted((row, seed) for row in rows for seed in (0, 1))
    assert runs[first.label, first.spec.seed].provenance.started == first.provenance.started

    begun = {place: run.spec.settings.get("start_from", "") for place, run in runs.items()}
    for seed in (0, 1):
        assert begun["start", seed] == ""
        assert len({begun[row, seed] for row in rows[1:]}) == 1
    assert begun["moco", 0] != begun["moco", 1]
    assert runs["moco-longer", 0].spec.settings["epochs"] > runs["moco", 0].spec.settings["epochs"]

    text = (tmp_path / "final/report.md").read_text()
    assert "### Pairs of the design" in text
    assert "not paired" not in text
    with (tmp_path / "final/tables/pairs-of-the-design.csv").open() as table:
        lines = list(csv.DictReader(table))
    assert [line["difference"] for line in lines] == ["because of neighbours", "at equal compute"]
    one, other = (
        {
            run.source.budget.seed: run.main.value
            for run in collect(tmp_path / "final").results
            if run.label == row and run.spec.task == "knn" and run.source.budget
        }
        for row in ("hsa-one-level", "hsa-views")
    )
    assert float(lines[0]["points"].replace("−", "-")) == pytest.approx(
        sum(one[seed] - other[seed] for seed in (0, 1)) / 2, abs=0.006
    )

    again = command(tmp_path)
    assert again.returncode == 0
    assert "[1/" not in again.stdout  # nothing is run twice
