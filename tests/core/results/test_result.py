"""What a number is known by, and what its record keeps and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hsa_bench.core.results.result import BackboneId, DataId, RunSpec
from tests.support.records import record

SPEC = RunSpec(
    task="knn",
    version=1,
    settings={"k": 20, "temperature": 0.07},
    backbone=BackboneId(arch="resnet18", weights="0" * 64, card={"mean": [0.5, 0.5, 0.5]}),
    data=DataId(name="digits", fingerprint="f" * 64),
    seed=0,
)


def test_the_key_is_the_one_that_results_on_file_have() -> None:
    assert SPEC.key == "b6a4c9a413dfae22"


def test_the_key_does_not_depend_on_the_order_of_settings() -> None:
    turned = {"temperature": 0.07, "k": 20}
    assert SPEC.model_copy(update={"settings": turned}).key == SPEC.key


@pytest.mark.parametrize(
    "change",
    [
        {"task": "linear"},
        {"version": 2},
        {"settings": {"k": 21, "temperature": 0.07}},
        {"backbone": SPEC.backbone.model_copy(update={"weights": "1" * 64})},
        {"backbone": SPEC.backbone.model_copy(update={"card": {"mean": [0.4, 0.5, 0.5]}})},
        {"data": SPEC.data.model_copy(update={"fingerprint": "e" * 64})},
        {"seed": 1},
        {"limit": 100},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_can_change_a_number_changes_the_key(change: dict[str, Any]) -> None:
    assert SPEC.model_copy(update=change).key != SPEC.key


def test_a_record_goes_to_json_and_back() -> None:
    result = record()

    again = type(result).model_validate_json(result.model_dump_json())

    assert again == result
    assert again.spec.key == result.spec.key


def test_a_record_is_frozen_and_refuses_unknown_fields() -> None:
    with pytest.raises(ValidationError):
        record().label = "another"
    with pytest.raises(ValidationError, match="labl"):
        record(labl="a")
