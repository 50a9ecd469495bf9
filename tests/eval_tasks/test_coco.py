from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from eval_tasks._detection.model import Pyramid
from eval_tasks._detection.samples import Draws, TrainingSamples, with_objects
from eval_tasks._detection.training import rate
from eval_tasks.coco import TASKS, Coco
from hsa_bench.core import digit_scenes
from hsa_bench.core.architectures import PIXELS, build
from hsa_bench.core.backbone import Backbone, weights_hash
from hsa_bench.core.card import Preprocess
from hsa_bench.core.data_error import DataError
from hsa_bench.core.detection_data import DetectionData, open_coco
from hsa_bench.core.outcomes import DetectionOutcomes
from hsa_bench.core.request import BackboneRequest
from hsa_bench.core.task import Context, Outcome

QUICK = Coco(
    name="coco",
    source="digit-scenes",
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


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 8, "val": 4})


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, threads only wait for each other
    yield
    torch.set_num_threads(before)


def run(
    backbone: Backbone, ctx: Context, task: Coco = QUICK, seed: int = 0, limit: int | None = None
) -> Outcome:
    return task.run(backbone, task.data("digits", ctx), seed, limit, ctx)


def test_a_run_leaves_metrics_outcomes_curve_and_picture(small_backbone: Backbone, ctx: Context) -> None:
    seen: list[tuple[str, int, int]] = []

    outcome = run(small_backbone, replace(ctx, progress=lambda *state: seen.append(state)))

    assert {"bbox/AP", "bbox/AP50", "segm/AP", "segm/AP50"} <= set(outcome.metrics)
    assert not {"bbox/APl", "segm/APl"} & set(outcome.metrics)  # no digit is large
    assert all(0 <= value <= 100 for value in outcome.metrics.values())
    losses = outcome.curves["loss"]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert isinstance(outcome.examples, DetectionOutcomes)
    assert outcome.examples.example.tolist() == [f"{i:06d}.jpg" for i in range(1, 5)]
    assert outcome.examples.bbox_objects.shape == (4, 10)
    with Image.open(outcome.artefacts["detections"]) as picture:
        assert picture.format == "PNG"
    assert outcome.effective["epochs"] == 6
    json.dumps(outcome.effective)
    assert ("it/s" in seen[5][0]) and seen[5][1:] == (6, 12)


def test_the_backbone_stays_as_it_was(small_backbone: Backbone, ctx: Context) -> None:
    run(small_backbone, ctx, replace(QUICK, iterations=1))

    assert weights_hash(small_backbone.module) == small_backbone.weights
    assert not small_backbone.module.training


def test_a_seed_fixes_every_number_whatever_the_workers(small_backbone: Backbone, ctx: Context) -> None:
    task = replace(QUICK, iterations=3, flip=True, train_sizes=(48, 64))

    first = run(small_backbone, ctx, task)
    second = run(small_backbone, replace(ctx, workers=2), task)
    third = run(small_backbone, ctx, task, seed=1)

    assert first.curves == second.curves
    assert first.metrics == second.metrics
    assert first.curves != third.curves


def test_small_image_stems_run_too(ctx: Context) -> None:
    backbone = BackboneRequest(label="random", arch="resnet18-w16-cifar").load()

    coarse = replace(QUICK, iterations=1, stages=(2, 3, 4), anchor_sizes=(20, 32, 48, 64))

    assert "bbox/AP" in run(backbone, ctx, coarse, limit=2).metrics


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
        source=BackboneRequest(label="", arch="resnet18-w16").load().source,
    )

    with pytest.raises(FloatingPointError, match="the loss is nan in iteration 0"):
        run(backbone, ctx)


def test_raw_pixels_are_refused_with_the_reason() -> None:
    pixels = BackboneRequest(label="pixels", arch=PIXELS).load()

    assert TASKS[0].unsupported(pixels) == "pixels has no stages and nothing to fine-tune"


def test_learning_rate_warms_up_and_falls_at_shares_of_the_schedule() -> None:
    task = Coco(name="coco")  # 1x: 90,000 iterations, falling at 60,000 and 80,000

    assert [rate(i, task) for i in (0, 500, 1000)] == pytest.approx([0.001, 0.5005, 1])
    assert [rate(i, task) for i in (59_999, 60_000, 79_999, 80_000)] == pytest.approx([1, 0.1, 0.1, 0.01])

    cosine = replace(task, schedule="cosine", iterations=100, warmup=20)
    assert [rate(i, cosine) for i in (20, 60, 100)] == pytest.approx([1, 0.5, 0])


def test_a_mirrored_sample_has_mirrored_boxes_and_masks(ctx: Context) -> None:
    data = opened(ctx)
    plain = TrainingSamples(data.train, Preprocess(), flip=False, seed=0)
    mirrored = TrainingSamples(data.train, Preprocess(), flip=True, seed=0)
    image, target = plain[0, 0]
    turned = next(epoch for epoch in range(20) if not torch.equal(mirrored[epoch, 0][0], image))

    other, changed = mirrored[turned, 0]

    assert torch.equal(other, image.flip(-1))
    assert torch.equal(changed["masks"], target["masks"].flip(-1))
    side = image.shape[-1]
    assert torch.allclose(changed["boxes"][:, [0, 2]], side - target["boxes"][:, [2, 0]])
    for box, mask in zip(changed["boxes"], changed["masks"], strict=True):
        columns = torch.nonzero(mask.any(0))
        assert float(columns.min()) == pytest.approx(float(box[0]), abs=1.5)


def test_every_epoch_draws_each_image_with_an_object_once(ctx: Context) -> None:
    split = opened(ctx).train
    emptied = replace(split, objects=((), *split.objects[1:]))
    rows = with_objects(emptied)

    draws = list(Draws(rows, count=17, seed=0))

    assert rows == [1, 2, 3, 4, 5, 6, 7]
    assert [epoch for epoch, _ in draws] == [0] * 7 + [1] * 7 + [2] * 3
    assert sorted(index for epoch, index in draws if epoch == 1) == rows
    assert draws[:7] != [(0, index) for _, index in draws[7:14]]


def test_crowds_are_not_learnt_and_boxes_end_at_the_edge(ctx: Context) -> None:
    split = opened(ctx).train
    one, *rest = split.objects[0]
    reaching = replace(one, bbox=(-5.0, 80.0, 30.0, 40.0))
    crowd = replace(one, iscrowd=1)
    changed = replace(split, objects=((reaching, crowd), *split.objects[1:]))

    target = TrainingSamples(changed, Preprocess(), flip=False, seed=0).target(0)

    assert target["boxes"].tolist() == [[0, 80, 25, 96]]
    assert target["labels"].tolist() == [one.category_id]  # ids run from 1 here, and background is 0
    assert len(target["masks"]) == 1
    assert rest


def test_frozen_batch_norm_keeps_its_statistics_in_training() -> None:
    trunk = build("resnet18-w16")
    before = trunk.get_buffer("bn1.running_mean").clone()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    Pyramid(trunk, (1, 2, 3, 4), 8, trained_norm=False).train()(x)
    assert torch.equal(trunk.get_buffer("bn1.running_mean"), before)

    Pyramid(trunk, (1, 2, 3, 4), 8, trained_norm=True).train()(x)
    assert not torch.equal(trunk.get_buffer("bn1.running_mean"), before)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="anchor_sizes needs 5 sizes"):
        replace(QUICK, anchor_sizes=(16, 32))
    with pytest.raises(ValidationError, match="stages must name"):
        replace(QUICK, stages=(2, 1))
    with pytest.raises(ValidationError, match="iterations"):
        replace(QUICK, iterations=0)
    with pytest.raises(ValidationError, match="lerning_rate"):
        Coco(name="coco", lerning_rate=1)  # type: ignore[call-arg]


def test_data_come_from_the_source_or_the_data_root(ctx: Context) -> None:
    root = digit_scenes.digit_scenes(ctx.cache)
    (ctx.data_root).mkdir()
    (ctx.data_root / "coco").symlink_to(root)

    assert QUICK.data("imagenet", ctx).name == "digit-scenes"
    assert replace(QUICK, source="").data("imagenet", ctx).name == "coco"
    assert replace(QUICK, source=str(root)).data("imagenet", ctx).name == root.name
    with pytest.raises(DataError, match="nowhere"):
        replace(QUICK, source="nowhere").data("imagenet", ctx)


def test_the_protocol_states_the_values_in_force() -> None:
    protocol = replace(TASKS[0], iterations=900, lr=0.05).protocol

    for part in (
        "SGD, learning rate 0.05",
        "900 iterations of 16",
        "x 0.1 after 600, 800",
        "side 640-800 px",
    ):
        assert part in protocol


def opened(ctx: Context) -> DetectionData:
    return open_coco(digit_scenes.digit_scenes(ctx.cache), "digit-scenes")


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

    assert outcome.metrics["bbox/AP50"] > 50
    assert outcome.metrics["segm/AP50"] > 50


COCO_MINI = Path(__file__).parents[2].parent / "shared" / "data" / "coco-mini"


@pytest.mark.long
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="needs the shared coco-mini beside the repository")
def test_real_pictures_run_through_the_whole_chain(ctx: Context) -> None:
    backbone = BackboneRequest(label="random", arch="resnet18").load()
    settings: dict[str, Any] = {"iterations": 4, "batch": 2, "train_sizes": (320,), "test_size": 320}
    task = replace(
        Coco(name="coco", source=str(COCO_MINI)), max_size=533, precise_batches=2, roi_batch=64, **settings
    )

    outcome = run(backbone, ctx, task, limit=10)

    assert outcome.metrics["bbox/AP"] >= 0
    assert len(outcome.examples.example) == 10  # type: ignore[union-attr]
