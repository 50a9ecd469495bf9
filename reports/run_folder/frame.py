"""Results as one tidy pandas frame: a row per run and metric."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from hsa_bench.core.results.device import device_of, precision_of
from hsa_bench.core.results.metric import Metric
from hsa_bench.core.results.result import TaskResult
from reports.run_folder.collected import PRETRAINING, Collected, collect, locate

__all__ = ["COLUMNS", "PRETRAINING", "Collected", "collect", "locate", "tidy"]

COLUMNS = (
    "label",
    "task",
    "version",
    "data",
    "fingerprint",
    "limit",
    "seed",
    "step",
    "arch",
    "weights",
    "source",
    "status",
    "metric",
    "value",
    "unit",
    "better",
    "title",
    "layer",
    "shots",
    "category",
    "main_metric",
    "seeded",
    "recipe",
    "engine",
    "seconds",
    "peak_memory_mb",
    "peak_device_memory_mb",
    "images",
    "images_per_second",
    "device",
    "device_name",
    "precision",
    "reason",
    "key",
    "path",
    "examples",
    "started",
    "commit",
    "dirty",
)


def tidy(results: Iterable[TaskResult]) -> pd.DataFrame:
    """One row per run and metric; a run without a number has one row, its value missing.

    ```python
    frame = tidy(collect(Path("runs/mine")).results)
    frame.query("main_metric").pivot_table("value", "label", "task", aggfunc=["mean", "std"])
    ```

    Args:
        results: As `collect` reads them, or as `hsa_bench.evaluate` returned them.

    Returns:
        The columns of `COLUMNS`. `value` is in `unit`, `better` is "higher", "lower" or empty, `seconds` is
        wall time, `peak_device_memory_mb` that of a GPU (missing without one), `images` the pictures that
        passed through the backbone, `device_name` the model that computed, `path` the result file relative
        to the run folder.
    """
    rows = [row for result in results for row in _rows(result)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(
        {
            "limit": "Int64",
            "step": "Int64",
            "images": "Int64",
            "shots": "Int64",
            "value": "float64",
            "peak_device_memory_mb": "float64",
            "images_per_second": "float64",
        }
    )


def _rows(result: TaskResult) -> list[dict[str, Any]]:
    spec = result.spec
    run = {
        "label": result.label,
        "task": spec.task,
        "version": spec.version,
        "data": spec.data.name,
        "fingerprint": spec.data.fingerprint,
        "limit": spec.limit,
        "seed": spec.seed,
        "step": result.step,
        "arch": spec.backbone.arch,
        "weights": spec.backbone.weights,
        "source": result.source.path,
        "status": result.status,
        "seeded": result.seeded,
        "seconds": result.seconds,
        "recipe": result.effective.get("recipe", ""),
        "engine": spec.settings.get("engine", ""),
        "peak_memory_mb": result.peak_memory_mb,
        "peak_device_memory_mb": result.peak_device_memory_mb or None,
        "images": result.images or None,
        "images_per_second": result.images / result.seconds if result.images and result.seconds else None,
        "device": result.provenance.hardware.get("device", ""),
        "device_name": device_of(result.provenance.hardware),
        "precision": precision_of(result),
        "reason": result.failure.message if result.failure else result.reason,
        "key": spec.key,
        "path": Path("results", result.label, spec.task, f"{spec.key}.json").as_posix(),
        "examples": result.examples,
        "started": result.provenance.started,
        "commit": result.provenance.commit,
        "dirty": result.provenance.dirty,
    }
    if result.status != "ok":
        return [{**run, "metric": result.main_metric, "main_metric": True}]
    return [
        {**run, **_described(one), "main_metric": one.name == result.main_metric} for one in result.metrics
    ]


def _described(metric: Metric) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "value": metric.value,
        "unit": metric.unit,
        "better": metric.better,
        "title": metric.title,
        "layer": metric.layer,
        "shots": metric.shots or None,
        "category": metric.category,
    }
