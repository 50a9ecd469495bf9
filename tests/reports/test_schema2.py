"""A run folder of schema 2, kept as it was written: read whole, and reported digit for digit as then."""

import json
import re
import shutil
from pathlib import Path

import pytest

from hsa_bench.core.errors import UnreadableResult
from hsa_bench.core.results.result import SCHEMA, TaskResult
from hsa_bench.core.results.schema2 import described
from hsa_bench.core.results.store import Store, read_result
from reports.report import write_report
from reports.run_folder.collected import collect

GOLDEN = Path(__file__).parents[1] / "golden/schema2"
"""The demo's results without pictures and weights, the old report's tables, and those in its text."""

RUN = GOLDEN / "run"
FILES = Store(RUN).paths()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("schema2") / "run"
    shutil.copytree(RUN, run)
    return write_report(run)


def tables_in(text: str) -> list[str]:
    """The lines of a report's tables, those of published numbers left out."""
    own = re.sub(r"(?s)(?<=## Published numbers\n).*?(?=## Statistics)", "", text)
    return [line for line in own.splitlines() if line.startswith("|")]


def test_every_file_is_read_and_keeps_its_numbers() -> None:
    assert not collect(RUN).unreadable and len(FILES) == 59
    for path in FILES:
        old, new = json.loads(path.read_bytes()), read_result(path)
        draws = {f"draws/{m.name}": list(m.draws) for m in new.metrics if m.draws}
        assert old["schema_version"] == 2 and new.schema_version == SCHEMA
        assert new.values == old["metrics"] and new.spec.key == path.stem
        assert {c.name: list(c.values) for c in new.curves} | draws == old["curves"]


def test_a_record_of_today_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    for path in FILES:
        record = read_result(path)
        assert read_result(Store(tmp_path).put(record)) == record


def test_numbers_that_were_prose_are_numbers() -> None:
    results = {result.spec.task: result for result in collect(RUN).results if result.label == "hsa"}
    knn, linear = results["knn"], results["linear"]
    assert knn.overlap is not None and (knn.overlap.shared, knn.overlap.tested) == (0, 500)
    assert "test_images_in_pretraining" not in knn.effective
    assert knn.sweeps[0].own == (20.0, 0.07) and len(knn.sweeps[0].points) == 42
    assert linear.sweeps[0].own == (linear.effective["lr"], linear.effective["weight_decay"])


@pytest.mark.parametrize("name", sorted(path.name for path in (GOLDEN / "tables").iterdir()))
def test_each_table_is_that_of_the_old_report(report: Path, name: str) -> None:
    assert (report.parent / "tables" / name).read_text() == (GOLDEN / "tables" / name).read_text()


def test_the_tables_in_the_text_are_those_of_the_old_report(report: Path) -> None:
    assert tables_in(report.read_text()) == (GOLDEN / "report-tables.md").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("top1", "top-1, %"),
        ("stage3/knn_top1", "kNN top-1, %"),
        ("block11/top1", "top-1, %"),
        ("logistic_k4", "logistic regression, %"),
        ("bbox/AP50", "box AP50, %"),
        ("effective_rank", "effective rank"),
        ("loss/stage3", "loss, stage3"),
        ("somebody_elses", "somebody elses, %"),
    ],
)
def test_a_bare_name_gets_a_readers_words_and_its_unit(name: str, shown: str) -> None:
    assert described(name, 1.0).axis == shown and described(name, 1.0).name == name


def test_places_leave_the_name_for_fields() -> None:
    vote, few = described("stage3/knn_top1", 1.0), described("svm_k16", 1.0)
    assert (vote.layer, vote.by, vote.family) == ("stage3", "kNN", "top1")
    assert (few.shots, few.family, few.title) == (16, "svm", "linear SVM")


def test_files_of_schema_1_do_not_say_whether_settings_were_changed(tmp_path: Path) -> None:
    old = json.loads(FILES[0].read_bytes())
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**old, "schema_version": 1, "changed": []}))
    assert read_result(path).changed is None


@pytest.mark.parametrize(
    "damage",
    [
        {"metrics": [1.0]},
        {"metrics": {"top1": None}},
        {"curves": {"loss": "falling"}},
        {"schema_version": SCHEMA + 1},
        {"schema_version": SCHEMA, "metrics": {"top1": 50.0}},
    ],
)
def test_damaged_newer_and_bare_files_are_refused_by_name(tmp_path: Path, damage: dict[str, object]) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({**json.loads(FILES[0].read_bytes()), **damage}))
    with pytest.raises(UnreadableResult, match=r"odd\.json"):
        read_result(path)


def test_the_key_does_not_know_the_step() -> None:
    record = read_result(FILES[0])
    later = TaskResult.model_validate({**dict(record), "step": 400})
    assert later.step == 400 and record.step is None
    assert later.spec.key == record.spec.key
