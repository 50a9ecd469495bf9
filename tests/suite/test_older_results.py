"""The plan says in one line what is on file of an older version, what changed, and what it costs again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.results.result import BackboneId, DataId, RunSpec
from hsa_bench.core.results.store import Store
from hsa_bench.core.runs.plan import Run
from hsa_bench.suite.older_results import older_results
from tests.support.records import record

OLD = record().spec


def put(out: Path, label: str = "mine", seconds: float = 100.0, started: str = "", **spec: Any) -> None:
    own = OLD.model_copy(update=spec)
    origin = record().provenance
    provenance = origin.model_copy(update={"started": started or origin.started})
    Store(out).put(record(label=label, spec=own, seconds=seconds, provenance=provenance))


def run(label: str = "mine", **spec: Any) -> Run:
    own: RunSpec = OLD.model_copy(update=spec)
    request = BackboneRequest(label=label, path="mine.pth")
    return Run(module="eval_tasks.knn", backbone=request, dataset="digits", spec=own, source=record().source)


CHANGES: dict[str, dict[str, Any]] = {
    "task version 1 → 2": {"version": 2},
    "data or their fingerprint": {"data": DataId(name="digits", fingerprint="e" * 64)},
    "architecture's name": {"backbone": BackboneId(arch="other", weights="0" * 64)},
    "preprocessing": {"backbone": BackboneId(arch="resnet18", weights="0" * 64, card={"mean": [1]})},
    "backbone's behaviour": {
        "backbone": BackboneId(arch="resnet18", weights="0" * 64, behaviour="another forward")
    },
    "setting k": {"settings": {"k": 10}},
    "new setting fast": {"settings": {"k": 20, "fast": True}},
    "setting k, gone": {"settings": {}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_named(tmp_path: Path, change: str) -> None:
    put(tmp_path)

    said = older_results([run(**CHANGES[change])], Store(tmp_path))

    assert said == (
        f"1 result on file is of an older version or other settings: {change}; it stays on file, and doing "
        "it again takes about 2 min"
    )


def test_a_list_of_numbers_that_is_the_same_is_no_change(tmp_path: Path) -> None:
    put(tmp_path, settings={"ks": (10, 20)})

    said = older_results([run(version=2, settings={"ks": (10, 20)})], Store(tmp_path))

    assert "settings: task version 1 → 2; it stays" in said


def test_several_are_one_line_with_the_cost_of_all(tmp_path: Path) -> None:
    for label in ("a", "b", "c"):
        put(tmp_path, label, seconds=3600)
    put(tmp_path, "a", seconds=1800, started="2025-01-01", version=0)  # the newest counts

    said = older_results([run(name, version=3) for name in ("a", "b", "c", "d")], Store(tmp_path))

    assert said == (
        "3 results on file are of an older version or other settings: task version 1 → 3 (2), task version "
        "0 → 3 (1); they stay on file, and doing them again takes about 2.5 h"
    )


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"seed": 1},
        {"limit": 50},
        {"data": DataId(name="other", fingerprint="f" * 64)},
        {"backbone": BackboneId(arch="resnet18", weights="1" * 64)},
    ],
)
def test_other_runs_are_no_older_version(tmp_path: Path, spec: dict[str, Any]) -> None:
    put(tmp_path)

    assert not older_results([run(**spec)], Store(tmp_path))


def test_what_cannot_be_read_or_has_no_number_does_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(record(status="skipped", reason="no"))
    store.path("mine", "knn", "0" * 16).write_text("{")

    assert not older_results([run(version=2)], store)
