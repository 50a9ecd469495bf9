from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from eval_tasks.coco import TASKS, Coco
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection import digit_scenes
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.outcomes import DetectionOutcomes
from hsa_bench.core.results.row_names import PIXELS
from hsa_bench.core.runs.task import Outcome

VARIANTS = {task.name: task for task in TASKS}

QUICK = replace(
    VARIANTS["coco-fpn-1x"],
    engine="torchvision",
    root="digit-scenes",
    iterations=12,
    batch=4,
    optimiser="adamw",
    lr=0.003,
    momentum=0.8,
    weight_decay=0.05,
    warmup=2,
    schedule="cosine",
    flip=False,
    train_sizes=(64,),
    test_size=64,
    precise_batches=2,
    pyramid_dim=16,
    anchor_sizes=(20, 32, 48, 64, 96),
    anchor_ratios=(1.5,),
    rpn_batch=32,
    rpn_candidates=(50, 50),
    proposals=(16, 8),
    roi_batch=16,
    roi_positive=0.5,
    box_dim=32,
    mask_dim=16,
    mask_layers=1,
    detections=5,
)
"""The smallest detector that still has every part."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 8, "val": 4})


def run(
    backbone: Backbone, ctx: Context, task: Coco = QUICK, seed: int = 0, limit: int | None = None
) -> Outcome:
    return task.run(backbone, task.data("digits", ctx), seed, limit, ctx)


def test_a_run_leaves_metrics_outcomes_curve_and_picture(small_backbone: Backbone, ctx: Context) -> None:
    seen: list[tuple[str, int, int]] = []

    outcome = run(small_backbone, replace(ctx, progress=lambda *state: seen.append(state)))

    assert {"bbox/AP", "bbox/AP50", "segm/AP", "segm/AP50"} <= set(outcome.values)
    assert not {"bbox/APl", "segm/APl"} & set(outcome.values)  # no digit is large
    assert all(0 <= value <= 100 for value in outcome.values.values())
    losses = outcome.courses["loss"].values
    assert len(losses) == 12
    parts = [outcome.courses[name].values for name in outcome.courses if name != "loss"]
    assert np.sum(parts, axis=0) == pytest.approx(losses)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert isinstance(outcome.examples, DetectionOutcomes)
    assert outcome.examples.example.tolist() == [f"{i:06d}.jpg" for i in range(1, 5)]
    assert outcome.examples.bbox_objects.shape == (4, 10)
    with Image.open(outcome.artefacts["detections"]) as picture:
        assert picture.format == "PNG"
    assert outcome.effective["epochs"] == 6
    json.dumps(outcome.effective)
    assert "it/s" in seen[5][0] and "left" in seen[5][0] and "mask" in seen[5][0]
    assert seen[5][1:] == (6, 12)


def test_the_backbone_stays_as_it_was(small_backbone: Backbone, ctx: Context) -> None:
    run(small_backbone, ctx, replace(QUICK, iterations=1))

    assert weights_hash(small_backbone.module) == small_backbone.weights
    assert not small_backbone.module.training


def test_a_seed_fixes_every_number_whatever_the_workers(small_backbone: Backbone, ctx: Context) -> None:
    task = replace(QUICK, iterations=3, flip=True, train_sizes=(48, 64))

    # each has a cell's folder of its own: a checkpoint left in it would be taken up
    ways = [
        replace(ctx, artefacts=ctx.artefacts.with_name(str(i)), workers=w) for i, w in enumerate((0, 2, 0))
    ]
    first, second = (run(small_backbone, way, task) for way in ways[:2])
    third = run(small_backbone, ways[2], task, seed=1)

    assert first.curves == second.curves
    assert first.metrics == second.metrics
    assert first.curves != third.curves


def test_small_image_stems_run_too(ctx: Context) -> None:
    backbone = open_backbone(BackboneRequest(label="random", arch="resnet18-w16-cifar"))

    coarse = replace(QUICK, iterations=1, stages=(2, 3, 4), anchor_sizes=(20, 32, 48, 64))

    assert "bbox/AP" in run(backbone, ctx, coarse, limit=2).values


def test_a_loss_that_is_no_number_stops_the_run(ctx: Context) -> None:
    module = build("resnet18-w16")
    with torch.no_grad():
        module.get_parameter("conv1.weight")[0, 0, 0, 0] = float("nan")
    backbone = Backbone(
        label="broken",
        arch="resnet18-w16",
        module=module,
        dim=128,
        card=Preprocess(),
        weights=weights_hash(module),
        source=open_backbone(BackboneRequest(label="broken", arch="resnet18-w16")).source,
    )

    with pytest.raises(FloatingPointError, match="the loss is not finite in iteration 0"):
        run(backbone, ctx)


def test_raw_pixels_are_refused_with_the_reason() -> None:
    pixels = open_backbone(BackboneRequest(label="pixels", arch=PIXELS))

    assert TASKS[0].unsupported(pixels) == "pixels has no stages and nothing to fine-tune"


@pytest.mark.parametrize("arch", ["resnet18", "resnet34-w16"])
def test_c4_refuses_backbones_without_bottlenecks_and_names_the_variant_that_takes_them(arch: str) -> None:
    backbone = open_backbone(BackboneRequest(label="random", arch=arch))
    coco, fpn = (replace(VARIANTS[name], engine="torchvision") for name in ("coco", "coco-fpn-1x"))

    assert coco.unsupported(backbone) == (
        f"{arch} has no bottleneck blocks, and C4 is made for these (ResNet-50, 101); use coco-fpn-1x"
    )
    assert not fpn.unsupported(backbone)
    assert not coco.unsupported(open_backbone(BackboneRequest(label="random", arch="resnet50-w8")))


def test_c4_runs_with_boxes_alone(ctx: Context) -> None:
    backbone = open_backbone(BackboneRequest(label="random", arch="resnet50-w8"))
    task = replace(QUICK, head="c4", masks=False, iterations=2, precise_batches=1)

    outcome = run(backbone, ctx, task)

    assert "bbox/AP" in outcome.values and "segm/AP" not in outcome.values
    assert isinstance(outcome.examples, DetectionOutcomes)
    assert outcome.examples.segm_objects.shape == (4, 0)
    assert "loss_mask" not in outcome.courses


def test_data_come_from_the_source_or_the_data_root(ctx: Context) -> None:
    root = digit_scenes.digit_scenes(ctx.cache)
    (ctx.data_root).mkdir()
    (ctx.data_root / "coco").symlink_to(root)

    assert QUICK.data("imagenet", ctx).name == "digit-scenes"
    assert replace(QUICK, root="").data("imagenet", ctx).name == "coco"
    assert replace(QUICK, root=str(root)).data("imagenet", ctx).name == root.name
    with pytest.raises(DataError, match="nowhere"):
        replace(QUICK, root="nowhere").data("imagenet", ctx)


@pytest.mark.long
def test_eight_scenes_are_learnt_by_heart(small_backbone: Backbone, ctx: Context) -> None:
    task = replace(
        QUICK,
        iterations=300,
        pyramid_dim=32,
        box_dim=128,
        train_sizes=(96,),
        test_size=96,
        proposals=(48, 32),
    )
    data = task.data("digits", ctx)
    by_heart = replace(data, val=data.train)

    outcome = task.run(small_backbone, by_heart, 0, None, ctx)

    assert outcome.values["bbox/AP50"] > 50
    assert outcome.values["segm/AP50"] > 50
