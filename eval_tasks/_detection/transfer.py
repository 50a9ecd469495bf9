"""One backbone fine-tuned for detection: what the VOC and COCO tasks share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_tasks._detection.build import build_detector
from eval_tasks._detection.picture import draw_detections
from eval_tasks._detection.prediction import StoredDetections, detect
from eval_tasks._detection.resume import Losses
from eval_tasks._detection.samples import TestImages, TrainingSamples, with_objects
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.training import FineTuning
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.data.detection.objects_there import refuse_nothing
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.processes import rank, together
from hsa_bench.core.results.curve import Curve
from hsa_bench.core.seed import derive, forked

CURVE_POINTS = 200
"""Loss curves are averaged down to about this many points."""

NAMED = 10
"""Dropped objects that a result names; the others it counts."""


@dataclass(frozen=True)
class Transfer:
    """A fine-tuned detector's findings, and how it came about."""

    findings: list[StoredDetections]
    curves: tuple[Curve, ...]
    picture: Path
    effective: dict[str, Any]
    images: int
    """Pictures that passed through the detector, in training and test."""
    earlier_seconds: float
    """Of training in processes that were stopped."""


def transfer(
    backbone: Backbone, data: DetectionData, task: DetectionTask, seed: int, ctx: Context
) -> Transfer:
    """Fine-tune a copy of the trunk and look for objects in every test image.

    Raises:
        DataError: No training image has an object to learn, or no test image one to find.
    """
    refuse_nothing(data)
    with forked(seed, "heads"):
        detector = build_detector(copy.deepcopy(backbone.module), len(data.categories), task)
    samples = TrainingSamples(data.train, backbone.card, task, derive(seed, "samples"))
    training = FineTuning(detector, samples, task, seed, ctx).run()
    findings = detect(detector, TestImages(data.val, backbone.card, task), ctx)
    picture = ctx.artefact("-detections.png")
    with together():  # so that all find the picture
        if rank() == 0:
            draw_detections(picture, data.val, findings)
    seen = task.solver.iterations * task.batch + len(data.val)
    curves, effective = tuple(_curves(training.losses)), _effective(data, task, findings)
    return Transfer(findings, curves, picture, effective, seen, training.earlier_seconds)


def _effective(data: DetectionData, task: DetectionTask, findings: list[StoredDetections]) -> dict[str, Any]:
    learnt = len(with_objects(data.train))
    dropped = {"train": data.train.dropped, "val": data.val.dropped}
    named = [text for texts in dropped.values() for text in texts[:NAMED]]
    return {
        "train_images": learnt,
        "train_images_without_objects": len(data.train) - learnt,
        "val_images": len(data.val),
        "classes": len(data.categories),
        "epochs": round(task.solver.iterations * task.batch / learnt, 2),
        "dropped_objects": {split: len(texts) for split, texts in dropped.items()},
        **({"dropped": named} if named else {}),
        "detections": sum(len(one.scores) for one in findings),
    }


def _curves(losses: Losses) -> Iterator[Curve]:
    """Describe each loss by means over equal windows, so that a long run's curves stay small."""
    total = len(losses["loss"])
    window = max(1, total // CURVE_POINTS)
    for name, values in losses.items():
        parts = [values[i : i + window] for i in range(0, total, window)]
        means = tuple(sum(part) / len(part) for part in parts)
        at = tuple(i * total / len(means) for i in range(1, len(means) + 1)) if window > 1 else ()
        yield Curve(name=name, title=name.replace("_", " "), values=means, along="iteration", at=at)
