"""A result's record with nothing in it but what must be."""

from __future__ import annotations

from typing import Any

from hsa_bench.core.results.metric import top1
from hsa_bench.core.results.result import BackboneId, DataId, Provenance, RunSpec, Source, TaskResult


def record(**changes: Any) -> TaskResult:
    """A finished run of kNN on a backbone and data that stand for any."""
    spec = RunSpec(
        task="knn",
        version=1,
        settings={"k": 20},
        backbone=BackboneId(arch="resnet18", weights="0" * 64),
        data=DataId(name="digits", fingerprint="f" * 64),
        seed=0,
    )
    provenance = Provenance(
        version="0",
        commit="",
        dirty=False,
        python="3.11",
        packages={},
        hardware={},
        command="pytest",
        started="2024-01-01T00:00:00+00:00",
    )
    given: dict[str, Any] = {
        "label": "mine",
        "spec": spec,
        "status": "ok",
        "main_metric": "top1",
        "seeded": False,
        "protocol": "Weighted kNN.",
        "metrics": (top1(50.0),),
        "source": Source(path="mine.pth", format="own"),
        "seconds": 1.0,
        "peak_memory_mb": 1.0,
        "provenance": provenance,
    }
    return TaskResult(**{**given, **changes})
