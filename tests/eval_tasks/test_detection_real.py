"""Real pictures learnt by heart: the chain from files to AP, minutes each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval_tasks import coco, voc
from eval_tasks._detection.settings import DetectionTask
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.results.outcomes import DetectionOutcomes

SMALL: dict[str, Any] = {
    "engine": "torchvision",
    "batch": 4,
    "iterations": 250,
    "optimiser": "adamw",
    "schedule": "cosine",
    "lr": 0.001,
    "weight_decay": 0.05,
    "warmup": 20,
    "clip": 5.0,
    "flip": False,
    "train_sizes": (192,),
    "test_size": 192,
    "max_size": 320,
    "precise_batches": 10,
    "anchor_sizes": (16, 32, 64, 128, 256),
    "rpn_candidates": (500, 300),
    "proposals": (200, 100),
    "roi_batch": 64,
    "pyramid_dim": 64,
    "box_dim": 256,
    "mask_dim": 64,
    "mask_layers": 2,
}
TASKS: dict[str, DetectionTask] = {task.name: task for task in (*coco.TASKS, *voc.TASKS)}

pytestmark = pytest.mark.long


@pytest.mark.parametrize(("name", "folder"), [("coco-fpn-1x", "coco-mini"), ("voc-fpn", "voc-mini")])
def test_eight_real_pictures_are_learnt_by_heart(
    ctx: Context, real_images: Path, name: str, folder: str
) -> None:
    task = replace(TASKS[name], root=str(real_images / folder), **SMALL)  # type: ignore[call-arg]
    few: DetectionData = task.data("", ctx).limited(8)
    backbone = open_backbone(BackboneRequest(label="random", arch="resnet18"))

    outcome = task.run(backbone, replace(few, val=few.train), 0, None, ctx)

    losses = outcome.courses["loss"].values
    assert sum(losses[-20:]) < 0.6 * sum(losses[:20])
    assert outcome.values["bbox/AP50"] > 50
    assert isinstance(outcome.examples, DetectionOutcomes)
    assert len(outcome.examples.example) == 8
