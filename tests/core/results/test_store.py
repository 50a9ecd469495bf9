"""Result files: whole or not at all, found by their key, and refused by name where they are unreadable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hsa_bench.core.errors import UnreadableResult
from hsa_bench.core.files import write_text
from hsa_bench.core.results.result import SCHEMA, TaskResult
from hsa_bench.core.results.store import Store, read_result
from tests.support.records import record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out")


def found(store: Store, result: TaskResult) -> TaskResult | None:
    return store.get(result.label, result.spec.task, result.spec.key)


def test_a_result_comes_back_from_the_place_that_its_key_names(store: Store) -> None:
    result = record()
    assert found(store, result) is None

    path = store.put(result)

    assert path == store.out / "results" / "mine" / "knn" / f"{result.spec.key}.json"
    assert found(store, result) == result
    assert store.paths() == [path]


def test_of_a_write_that_fails_nothing_is_left_and_what_stood_there_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.put(record())

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        store.put(record(protocol="Another."))

    assert read_result(path) == record()
    assert list(path.parent.iterdir()) == [path]


def test_a_written_file_is_readable_as_the_users_others_are(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()

    write_text(tmp_path / "ours", "text")

    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("content", [b"{half a fi", b"[]", b"{}", b"\xff\xfe"])
def test_what_is_no_result_is_refused_by_its_name(store: Store, content: bytes) -> None:
    path = store.put(record())
    path.write_bytes(content)

    with pytest.raises(UnreadableResult, match=f"{path.name}: not a result file"):
        found(store, record())
    assert path.read_bytes() == content


def test_a_newer_file_is_refused_with_the_remedy(store: Store) -> None:
    path = store.put(record())
    newer = {**json.loads(path.read_text()), "schema_version": SCHEMA + 1, "invented": True}
    path.write_text(json.dumps(newer))

    with pytest.raises(UnreadableResult, match=f"schema {SCHEMA + 1}.*up to {SCHEMA}; update hsa_bench"):
        read_result(path)


def test_what_is_being_written_is_not_listed(store: Store) -> None:
    path = store.put(record())
    (path.parent / f".{path.name}.abc").write_text("{half")
    (path.parent / f"{path.stem}.npz").touch()

    assert store.paths() == [path]


def test_a_plan_is_optional(store: Store) -> None:
    assert store.read_plan() is None
