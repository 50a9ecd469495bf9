from __future__ import annotations

import pytest
from pydantic import ValidationError

from hsa_bench.core.input.settings import explain
from hsa_bench.core.input.suggest import did_you_mean
from hsa_bench.core.results.record import Record

NAMES = ["linear", "linear-cached", "knn", "semisup"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("linaer", "did you mean linear?"),
        ("semi", "did you mean semisup?"),
        ("semisupervised", "did you mean semisup?"),
        ("coco", "there are linear, linear-cached, knn, semisup"),
        ("", "there are linear, linear-cached, knn, semisup"),
    ],
)
def test_near_names_are_suggested_else_all_are_listed(name: str, hint: str) -> None:
    assert did_you_mean(name, NAMES) == hint


def test_of_very_many_names_a_few_are_shown() -> None:
    assert did_you_mean("zebra", [f"n{i}" for i in range(1200)]) == "there are 1,200, for example n0, n1, n2"


class Inner(Record):
    k: int


class Outer(Record):
    inner: Inner
    arch: str = ""


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"inner": {"k": "many"}}, "inner.k", "Input should be a valid integer"),
        ({"inner": {"k": 1}, "arhc": 3}, "arhc", "unknown; did you mean arch?"),
        ({"inner": {"k": 1, "kk": 3}}, "inner.kk", "unknown"),
    ],
)
def test_the_first_fault_is_explained(given: dict[str, object], field: str, reason: str) -> None:
    with pytest.raises(ValidationError) as error:
        Outer.model_validate(given)
    fault = explain(error.value, Outer.model_fields)
    assert fault.field == field
    assert fault.reason.startswith(reason)
    assert fault.value in {"many", 3}
