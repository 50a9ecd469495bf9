"""A report is written of what is readable, as far as it can be written, and one sentence says the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hsa_bench.core.errors import UsageError
from hsa_bench.suite.leave_report import leave_report
from reports.figures import saved
from reports.report import write_report
from reports.statistics.cache import Cache
from reports.writing.unwritten import Unwritten
from tests.reports.report_folder import classified, result, write


def small(out: Path) -> Path:
    for label, share in (("hsa", 0.8), ("moco", 0.5)):
        right = np.arange(50) < 50 * share
        write(out, result(label, "knn", metrics={"top1": float(right.mean() * 100)}), classified(right))
    return out


def test_what_cannot_be_written_is_one_sentence_and_the_rest_is_there(tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    (run / "figures").write_text("a file where a folder should be")
    (run / "report.md").mkdir()
    missing = Unwritten()

    report = write_report(run, unwritten=missing)

    assert report == run / "report.md"
    assert missing.sentence(report).startswith(f"report not written: {report}: Is a directory; move what")
    assert "more of its files)" in missing.sentence(report) and not missing.read_only
    assert (run / "report.html").is_file() and (run / "results.csv").is_file()
    assert (run / "tables/results.csv").is_file()


def test_a_figure_that_cannot_be_written_is_left_out_and_named(tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    (run / "figures/comparison.png").mkdir(parents=True)
    missing = Unwritten()

    report = write_report(run, unwritten=missing)

    assert missing.sentence(report).startswith("not written of the report: ")
    assert "figures/comparison.png: Is a directory" in missing.sentence(report)
    assert "comparison.png" not in report.read_text()
    assert "figures/confusion.png" in report.read_text()


def test_without_a_note_it_is_an_error_after_all_the_rest(tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    (run / "results.csv").mkdir()

    with pytest.raises(UsageError, match=r"not written of the report: .*results\.csv: Is a directory"):
        write_report(run)
    assert (run / "report.md").is_file()


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    run = small(tmp_path / "run")
    monkeypatch.setattr("os.fsync", full)
    missing = Unwritten()

    report = write_report(run, unwritten=missing)

    assert f"report not written: {report}: No space left on device" in missing.sentence(report)


def test_on_a_read_only_disk_a_run_ends_well_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(_: int) -> None:
        raise OSError(30, "Read-only file system")

    run = small(tmp_path / "run")
    monkeypatch.setattr("os.fsync", read_only)

    said, right = leave_report(run)

    assert right and said.startswith(f"report not written: {run / 'report.md'}: Read-only file system")


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b'{"digest": "", "numbers": {"a": 1}}',
        *(pytest.param(odd, marks=pytest.mark.long) for odd in (b"", b"[1]", b"[" * 10**5)),
    ],
)
def test_damaged_numbers_of_a_report_are_computed_again(tmp_path: Path, damage: bytes) -> None:
    run = small(tmp_path)
    good = write_report(run).read_text()
    kept = run / "cache/report/numbers.json"
    content = kept.read_bytes()

    kept.write_bytes(damage)
    assert write_report(run).read_text() == good
    kept.write_bytes(content.replace(b"1", b"2", 1))
    assert write_report(run).read_text() == good
    assert kept.read_bytes() == content

    forged = {name: {"odd": ["kinds"]} for name in json.loads(content)["numbers"]}
    Cache(kept, forged, set(forged), True).save()
    assert write_report(run).read_text() == good


@pytest.mark.parametrize("damage", ["empty", "flipped", "folder"])
def test_a_damaged_drawing_is_drawn_again(tmp_path: Path, damage: str) -> None:
    def drawn() -> Path:
        path = saved(tmp_path / "r.md", tmp_path / "cache", "x", 1, lambda: Figure((1, 1)), "t", "c").path
        return tmp_path / path

    good = drawn().read_bytes()
    (kept,) = (tmp_path / "cache").iterdir()
    if damage == "folder":
        kept.unlink()
        kept.mkdir()
    else:
        content = kept.read_bytes()
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        kept.write_bytes(flipped if damage == "flipped" else b"")

    assert drawn().read_bytes() == good
    with Image.open(drawn()) as image:
        image.load()


def test_a_damaged_plan_is_named_and_all_results_are_reported(tmp_path: Path) -> None:
    run = small(tmp_path)
    (run / "plan.json").write_text('{"title": 3')

    text = write_report(run).read_text()

    assert "plan.json: not a plan of this version" in text and "report is of all results" in text
    assert "hsa" in text


def test_folders_where_files_should_be_and_links_to_themselves_are_no_trouble(tmp_path: Path) -> None:
    run = small(tmp_path)
    (run / "results/hsa/knn/0000000000000000.json").mkdir()
    (run / "results/loop").symlink_to(run / "results/loop")
    (run / "results/moco/again").symlink_to(run / "results", target_is_directory=True)
    (run / "plan.json").mkdir()

    text = write_report(run).read_text()

    assert "0000000000000000.json: not a result file" in text
    assert "plan.json: not a plan" in text


def test_results_that_lead_to_themselves_are_refused_by_name(tmp_path: Path) -> None:
    from reports.run_folder.collected import locate

    run = small(tmp_path / "run")
    shutil.rmtree(run / "results")
    (run / "results").symlink_to(run / "results")

    with pytest.raises(UsageError, match="holds no result file"):
        locate(run)


ODD: list[dict[str, Any]] = [
    {"dropped": ["a"]},
    {"dropped": "a", "dropped_objects": 3},
    {"dropped": [None, {}], "dropped_objects": {"test": [1], "train": None, "val": 1000}},
    {"recipe": {"a": [None]}, "paper_prints": ["top1"], "lr": [[[1e-9]]]},
    {"": "", "classes_only_in_test": {}, "k": True},
]


def test_whatever_was_decided_during_a_run_the_report_is_written(tmp_path: Path) -> None:
    for turn, effective in enumerate(ODD):
        facts = {"effective": effective, "metrics": {"top1": 99.0, "svm_k4": 1e99, "a/b": -1e99}}
        one = result(f"b{turn}", "knn", **facts)
        card = {"mean": [None, "a"], "std": {"a": [[]]}, "tokens": turn}
        spec = one.spec.model_copy(update={"backbone": one.spec.backbone.model_copy(update={"card": card})})
        write(tmp_path, one.model_copy(update={"spec": spec}))

    text = write_report(tmp_path).read_text()

    assert "knn: so many, such as: a." in text
    assert "knn: 1,000 of val" in text.replace("1 of test, — of train, ", "")
