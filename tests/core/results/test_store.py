"""Result files: whole or not at all, found by their key, and refused by name where they are unreadable."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hsa_bench.core.errors import UnreadableResult
from hsa_bench.core.files import write_text
from hsa_bench.core.results.metric import top1
from hsa_bench.core.results.result import SCHEMA, Failure, TaskResult
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


DAMAGE = [
    b"{half a fi",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b"",
    b'{"schema_version": ' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b'{"a": ' * 60 + b"1" + b"}" * 60,
    b'{"seconds": NaN}',
    b'{"images": 1' + b"0" * 400 + b"}",
    b'{"label": "\\ud800"}',
    b'{"schema_version": 2, "metrics": {"a": 1}, "curves": {"a": [[1]]}}',
    b'{"schema_version": 2, "overlap": 3, "effective": {"test_images_in_pretraining": 3}}',
    b'{"schema_version": 1, "spec": {"settings": [1]}}',
    b'{"schema_version": 2, "spec": {"settings": {"epochs": "x"}}, "curves": {"loss": [1]}}',
]


@pytest.mark.parametrize("content", DAMAGE)
def test_what_is_no_result_is_named_and_counts_as_absent(store: Store, content: bytes) -> None:
    path = store.put(record())
    path.write_bytes(content)

    with pytest.raises(UnreadableResult, match=f"{path.name}: not a result file"):
        store.read(path)
    assert found(store, record()) is None
    assert path.read_bytes() == content


EDITED: dict[str, Any] = {
    "images": -1,
    "seconds": -1.0,
    "peak_memory_mb": -1.0,
    "step": -1,
    "examples": "../../../elsewhere.npz",
    "artefacts": {"map": "/etc/passwd"},
    "metrics": [{"name": "top1", "value": 1e300, "unit": "", "better": ""}],
}


@pytest.mark.parametrize("field", EDITED)
def test_a_record_of_what_cannot_be_is_named(store: Store, field: str) -> None:
    path = store.put(record())
    path.write_text(json.dumps({**json.loads(path.read_text()), field: EDITED[field]}))

    with pytest.raises(UnreadableResult, match=rf"{path.name}: not a result file of hsa_bench \({field}"):
        store.read(path)


@pytest.mark.parametrize("content", DAMAGE)
def test_what_is_no_result_is_set_aside_and_never_written_over(store: Store, content: bytes) -> None:
    path = store.put(record())
    for turn in ("", "1"):
        path.write_bytes(content + turn.encode())
        said = store.set_aside(path)
        assert f"set aside as {path.name}.broken{turn}" in said and path.name in said
        assert found(store, record()) is None
        assert path.with_name(f"{path.name}.broken{turn}").read_bytes() == content + turn.encode()
    assert store.paths() == []

    path.write_bytes(content)
    store.put(record())
    assert path.with_name(f"{path.name}.broken2").read_bytes() == content
    assert found(store, record()) == record() and store.paths() == [path]


def test_a_folder_in_the_place_of_a_result_is_set_aside(store: Store) -> None:
    path = store.path("mine", "knn", record().spec.key)
    path.mkdir(parents=True)
    (path / "kept").touch()

    assert found(store, record()) is None
    assert "set aside" in store.set_aside(path)

    assert store.put(record()) == path and found(store, record()) == record()
    assert path.with_name(f"{path.name}.broken").joinpath("kept").exists()


def test_a_pipe_in_the_place_of_a_result_is_not_waited_for(store: Store) -> None:
    path = store.path("mine", "knn", record().spec.key)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)

    assert found(store, record()) is None
    assert store.paths() == [path] and "no file" in store.fault(path)


def test_what_belongs_to_another_cell_counts_as_absent_and_is_set_aside(store: Store) -> None:
    other = record(label="another")
    path = store.path("mine", "knn", record().spec.key)
    store.put(other).rename(path.parent.mkdir(parents=True) or path)

    assert found(store, record()) is None
    assert "belongs to another/knn" in store.set_aside(path)


def test_a_failure_never_replaces_a_number(store: Store) -> None:
    good = record(metrics=(top1(15.0),))
    path = store.put(good)
    failed = record(status="failed", failure=Failure(kind="killed", message="killed by SIGKILL"))

    said = store.settle(failed)

    assert found(store, good) == good
    assert said.status == "failed" and said.failure
    assert said.failure.message == "killed by SIGKILL; the number on file stays"

    store.put(record(status="skipped", reason="none"))
    assert found(store, good) == good
    path.unlink()
    assert store.settle(failed) == failed == found(store, failed)
    store.put(good)
    assert found(store, good) == good


def test_of_a_newer_version_nothing_is_set_aside(store: Store) -> None:
    path = store.put(record())
    newer = json.dumps({"schema_version": SCHEMA + 1})
    path.write_text(newer)

    for act in (store.set_aside, lambda _: store.put(record()), lambda _: found(store, record())):
        with pytest.raises(UnreadableResult, match="update hsa_bench"):
            act(path)
    assert path.read_text() == newer


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


@pytest.mark.parametrize("content", [b"", b"[]", b'{"title": 3}', b"[" * 100_000, b'{"runs": 1e999}'])
def test_a_damaged_plan_is_refused_by_its_name(store: Store, content: bytes) -> None:
    store.out.mkdir()
    (store.out / "plan.json").write_bytes(content)

    with pytest.raises(UnreadableResult, match=r"plan\.json: not a plan"):
        store.read_plan()
