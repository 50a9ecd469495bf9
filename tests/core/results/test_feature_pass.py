"""The record of a feature pass: written whole, read back, and whatever else lies there is named."""

from pathlib import Path
from types import SimpleNamespace

from hsa_bench.core.results.feature_pass import PASSES, SharedFeatures, pass_key, shared_features
from reports.run_folder.collected import collect
from reports.sections.features_shared import features_shared_table


def record(key: str, started: str, *backbones: str) -> SharedFeatures:
    return SharedFeatures(
        key=key,
        backbones=backbones,
        data="digits",
        view="at 32 px",
        images=1797,
        seconds=12.0,
        device="cpu",
        started=started,
    )


def test_records_come_back_in_the_order_of_work_and_others_are_named(tmp_path: Path) -> None:
    later, first = record("a", "2026-11-27T10:00:00", "x"), record("b", "2026-11-26T10:00:00", "y")
    for one in (later, first):
        one.save(tmp_path)
    (tmp_path / PASSES / "c.json").write_text("{")
    (tmp_path / PASSES / "d.json").write_text(later.model_dump_json())
    (tmp_path / PASSES / "e.json").write_text('{"key": "e", "seconds": -1}')

    found, faults = shared_features(tmp_path)

    assert found == [first, later]
    assert [Path(fault.partition(":")[0]).name for fault in faults] == ["c.json", "d.json", "e.json"]
    assert shared_features(tmp_path / "elsewhere") == ([], [])


def test_the_key_follows_whatever_a_pass_is_of() -> None:
    assert len({pass_key("a", "b"), pass_key("a", "c"), pass_key("d", "b")}) == 3


def test_the_report_shows_passes_of_its_backbones_and_names_what_is_none(tmp_path: Path) -> None:
    record("a", "2026-11-27T10:00:00", "mine", "random", "pixels").save(tmp_path)
    record("b", "2026-11-27T11:00:00", "of another plan", "too").save(tmp_path)
    (tmp_path / PASSES / "c.json").write_text("{")
    found = collect(tmp_path)
    grid = SimpleNamespace(row_labels={"mine (seed 0)": "mine", "random": "random"})

    table = features_shared_table(grid, found.passes)  # type: ignore[arg-type]

    assert table.rows == (("digits", "at 32 px", "3", "1,797", "12.0", "4.0", "cpu"),)
    assert len(found.unreadable) == 1 and "c.json: not a record of a feature pass" in found.unreadable[0]
