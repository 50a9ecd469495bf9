"""Records of metrics: what they say, what is refused, and that tasks say what schema 2 meant."""

import json

import pytest
from pydantic import ValidationError

from hsa_bench.core.results.curve import Curve, Sweep
from hsa_bench.core.results.metric import Metric, mean_per_class, number, percent, precision, top1, top5
from hsa_bench.core.results.schema2 import described
from hsa_bench.core.runs.task import Outcome


@pytest.mark.parametrize(
    "metric",
    [
        top1(1.0),
        top5(1.0),
        mean_per_class(1.0),
        top1(1.0).voted(),
        mean_per_class(1.0).voted(),
        top1(1.0).at_layer("stage3"),
        top1(1.0).voted().at_layer("block11"),
        precision("bbox/AP", 1.0),
        precision("segm/APs", 1.0),
        percent("oracle", 1.0, "oracle top-1"),
        number("rankme", 1.0, "RankMe"),
    ],
    ids=lambda metric: metric.name,
)
def test_a_task_says_of_a_metric_what_schema_2_meant_by_its_name(metric: Metric) -> None:
    assert described(metric.name, 1.0) == metric


def test_bare_numbers_and_two_of_one_name_are_no_outcome() -> None:
    with pytest.raises(TypeError, match="records of `Metric`"):
        Outcome(metrics=(50.0,))  # type: ignore[arg-type]  # what a plug-in without types may give
    with pytest.raises(ValueError, match="two metrics are called top1"):
        Outcome(metrics=(top1(50.0), top1(60.0)))


def test_a_metric_on_file_has_the_fields_that_say_something() -> None:
    metric = Metric(name="angle", value=0.0, unit="", better="lower")
    assert json.loads(metric.model_dump_json()) == {
        "name": "angle",
        "value": 0.0,
        "unit": "",
        "better": "lower",
    }
    assert Metric.model_validate_json(metric.model_dump_json()) == metric


@pytest.mark.parametrize("lacking", ["name", "value", "unit", "better"])
def test_name_value_unit_and_direction_must_be_stated(lacking: str) -> None:
    whole = {"name": "angle", "value": 1.0, "unit": "degrees", "better": "lower"}
    with pytest.raises(ValidationError, match=lacking):
        Metric.model_validate({name: given for name, given in whole.items() if name != lacking})


def test_the_better_value_has_the_greater_merit_in_either_direction() -> None:
    assert number("loss", 1.0, better="lower").merit > number("loss", 2.0, better="lower").merit
    assert top1(60.0).merit > top1(50.0).merit


def test_a_curve_and_a_sweep_have_one_place_for_each_value() -> None:
    assert Curve(name="loss", values=(3.0, 2.0)).x == (1.0, 2.0)
    with pytest.raises(ValidationError, match="2 values at 1 places"):
        Curve(name="loss", values=(3.0, 2.0), at=(5.0,))
    with pytest.raises(ValidationError, match="a point is 1 settings and a value"):
        Sweep(name="rates", settings=("rate",), points=((0.1,),), own=(0.1,), chosen=True)
