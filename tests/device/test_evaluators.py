"""Every classification evaluator ends with the CPU's number on the device, to a stated tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from eval_tasks import knn, layers, linear, linear_cached, logistic, lowshot, semisup
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.runs.task import ClassificationTask

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

GRID: dict[str, Any] = {"lrs": (0.01, 0.1, 1.0), "weight_decays": (0.0,)}

CASES: dict[str, tuple[ClassificationTask, dict[str, Any], dict[str, Any], float]] = {
    "knn": (knn.TASKS[0], {}, {}, 1.0),
    "linear": (linear.TASKS[0], {"epochs": 5, "batch": 64, **GRID}, {"epochs": 1, "batch": 12}, 3.0),
    "linear, views on the device": (
        linear.TASKS[0],
        {"epochs": 5, "batch": 64, "augment_on": "device", **GRID},
        {"epochs": 1, "batch": 12},
        3.0,
    ),
    "linear-cached": (linear_cached.TASKS[0], {"epochs": 30, **GRID}, {"epochs": 2, "batch": 12}, 2.0),
    "logistic": (logistic.TASKS[0], {"cs": (1.0, 100.0)}, {"cs": (1.0,)}, 1.0),
    "layers": (layers.TASKS[0], {"cs": (1.0, 100.0)}, {"cs": (1.0,), "layers": ("stage4",)}, 1.0),
    "lowshot": (lowshot.TASKS[0], {"shots": (1, 4), "draws": 2}, {"shots": (1,), "draws": 1}, 1.0),
    "semisup": (
        semisup.TASKS[1],
        {"fraction": 0.2, "steps": 20, "batch": 32, "rates": ((0.01, 0.2),)},
        {"fraction": 0.5, "steps": 2, "batch": 6, "rates": ((0.01, 0.2),)},
        5.0,
    ),
}
"""By name: a task, its settings at full and at tiny size, and how far the accuracy may differ, points. What
is trained on drawn views or as a whole network differs more: its rounding grows from step to step."""


@pytest.mark.parametrize("name", CASES)
def test_the_main_metric_is_the_cpus(
    name: str, tiny: bool, backbone: Backbone, data: Classification, here: Context, there: Context,
    figure: Callable[..., None],
) -> None:  # fmt: skip
    plain, full, small, tolerance = CASES[name]
    settings = {**full, **small} if tiny else full
    if hasattr(plain, "precision"):
        settings = {**settings, "precision": "float32"}
    found = []
    for ctx in (here, there):
        task = replace(plain, **settings).resolved(data, ctx)
        outcome = task.run(backbone, data, seed=0, limit=None, ctx=ctx)
        found.append(outcome.values[task.main_metric])
    note = f"{found[0]:.2f} on the CPU, {found[1]:.2f} on the device"
    figure("difference of the main metric, points", abs(found[0] - found[1]), at_most=tolerance, note=note)
