"""Each check says "look" where it should, and "passed" where all is well."""

from pathlib import Path

import numpy as np
import pytest

from hsa_bench.core.results.plan_file import PlannedRun
from hsa_bench.core.results.result import Coverage, DataId, Failure, Source, TaskResult
from reports.report import examine, write_report
from reports.run_folder.collected import Collected
from reports.sections.checks import checks_table
from reports.statistics.cache import Cache
from tests.reports.report_folder import classified, provenance, result, write

WHOLE = Source(path="a.pth", format="moco", coverage=Coverage(matched=9, total=9))


def outcomes_of(out: Path, *results: TaskResult, **more: object) -> dict[str, str]:
    facts = {"absent": (), "unreadable": (), **more}
    collected = Collected(out, None, results, **facts)
    table = checks_table(examine(collected, ["moco"], Cache(out / "unused")))
    return {name: outcome.strip("*") for name, outcome, _ in table.rows}


def measured(out: Path, label: str, share: float, **changed: object) -> TaskResult:
    right = np.arange(400) % 100 < 100 * share
    facts = {"metrics": {"top1": float(right.mean() * 100)}, "source": WHOLE, **changed}
    return write(out, result(label, "knn", **facts), classified(right))


def control(out: Path, share: float) -> TaskResult:
    return measured(out, "random", share, source=Source(path="random initialisation 0", format="control"))


def test_a_sound_run_passes_every_check(tmp_path: Path) -> None:
    found = outcomes_of(
        tmp_path, measured(tmp_path, "hsa", 0.8), measured(tmp_path, "moco", 0.7), control(tmp_path, 0.3)
    )

    assert set(found.values()) == {"passed", "no case"}
    assert [name for name, state in found.items() if state == "no case"] == [
        "differences hold over seeds",
        "agrees with published anchors",
        "test images unseen in pretraining",
    ]


FAILED = Failure(kind="killed", message="gone")


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        ("weights were loaded", {"source": Source(path="x", format="elsewhere")}),
        (
            "weights were loaded",
            {"source": WHOLE.model_copy(update={"coverage": Coverage(matched=8, total=9)})},
        ),
        ("better than untrained", {"share": 0.3}),
        ("one version and engine a task", {"version": 2}),
        ("same data for all", {"data": DataId(name="digits", fingerprint="ffff")}),
        ("one architecture", {"arch": "resnet50"}),
        ("one clean commit", {"provenance": provenance(dirty=True)}),
        ("one clean commit", {"provenance": provenance(commit="beef")}),
        ("all images were used", {"limit": 10}),
        ("complete", {"status": "failed", "metrics": {}, "failure": FAILED}),
        ("test images unseen in pretraining", {"effective": {"test_images_in_pretraining": "3 of 400"}}),
    ],
)
def test_what_a_reader_should_look_at_is_marked(
    tmp_path: Path, check: str, changed: dict[str, object]
) -> None:
    share = float(str(changed.get("share", 0.8)))
    rest = {name: value for name, value in changed.items() if name != "share"}
    odd = measured(tmp_path, "hsa", share, **rest)

    found = outcomes_of(tmp_path, odd, measured(tmp_path, "moco", 0.7), control(tmp_path, 0.3))

    assert found[check] == "look"


def test_missing_and_foreign_files_are_marked(tmp_path: Path) -> None:
    waiting = PlannedRun(label="hsa", task="linear", seed=0)
    own = measured(tmp_path, "moco", 0.7)

    assert outcomes_of(tmp_path, own, absent=(waiting,))["complete"] == "look"
    assert outcomes_of(tmp_path, own, unreadable=("x.json: broken",))["files readable and planned"] == "look"
    assert outcomes_of(tmp_path, own, unplanned=2)["files readable and planned"] == "look"


def test_a_difference_that_other_seeds_might_undo_is_marked_and_noted(tmp_path: Path) -> None:
    runs = [
        measured(tmp_path, label, share, seed=seed, seeded=True)
        for label, shares in (("hsa", (0.9, 0.9, 0.4)), ("moco", (0.5, 0.6, 0.5)))
        for seed, share in enumerate(shares)
    ]

    assert outcomes_of(tmp_path, *runs)["differences hold over seeds"] == "look"
    text = write_report(tmp_path, baselines=["moco"]).read_text()
    assert "**ahead**, not over seeds" in text
    assert "hsa ahead of moco on knn: paired by seed +20.0 [" in text


def test_a_report_without_a_test_says_that_nothing_is_bold(tmp_path: Path) -> None:
    for label in ("hsa", "moco"):
        for seed, weights in enumerate(("one", "two")):
            source = Source(path="x.pth", format="elsewhere", pretraining_seed=seed)
            measured(tmp_path, label, 0.7, weights=label + weights, source=source)

    text = write_report(tmp_path, baselines=["moco"]).read_text()

    assert "Nothing is bold: no difference could be tested.\n± is" in text and " 0 tests" not in text
