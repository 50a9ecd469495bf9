"""The real Detectron2 behind our interface."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from eval_tasks._detection.detectron2.detector import Detectron2Detector, detectron2_detector
from eval_tasks._detection.settings import DetectionTask
from eval_tasks.coco import TASKS
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.models.architectures import build

pytest.importorskip("detectron2", reason="needs Detectron2")

VARIANTS = {task.name: task for task in TASKS}
FEW: dict[str, Any] = {"roi_batch": 16, "rpn_candidates": (100, 100), "proposals": (30, 30)}


def task(name: str) -> DetectionTask:
    return replace(VARIANTS[name], engine="detectron2", **FEW)


CASES = [("coco-fpn-1x", "resnet18"), ("coco", "resnet50"), ("coco", "resnet101")]


@pytest.mark.parametrize(("name", "arch"), CASES)
def test_every_tensor_of_the_trunk_goes_in_and_comes_out_bit_equal(name: str, arch: str) -> None:
    trunk = build(arch)

    there = detectron2_detector(trunk, 5, task(name)).trunk()

    assert there.keys() == trunk.state_dict().keys()
    assert all(torch.equal(there[key], tensor) for key, tensor in trunk.state_dict().items())


@pytest.mark.parametrize(("name", "arch"), CASES)
def test_the_stages_compute_what_torchvisions_do(name: str, arch: str) -> None:
    trunk = build(arch)
    network: Any = detectron2_detector(trunk, 5, task(name)).eval().network
    x = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        stages = trunk.stages(x)  # type: ignore[operator]
        if name == "coco":
            assert torch.allclose(network.backbone(x)["res4"], stages[2], atol=1e-5)
            blocks = list(network.roi_heads.res5.children())[:3]
            last = torch.nn.Sequential(*blocks)(stages[2])
            assert torch.allclose(last, stages[3], atol=1e-5)
            assert type(network.roi_heads.res5.norm).__name__ == "NaiveSyncBatchNorm"
        else:
            maps = network.backbone.bottom_up(x)
            for i, stage in enumerate(stages):
                assert torch.allclose(maps[f"res{i + 2}"], stage, atol=1e-5)


@pytest.mark.parametrize(("name", "arch"), CASES[:2])
def test_the_whole_network_is_trained(name: str, arch: str) -> None:
    detector = detectron2_detector(build(arch), 5, task(name)).train()
    masks = torch.ones(1, 96, 128, dtype=torch.uint8)
    boxes = torch.tensor([[5.0, 5, 60, 60]])

    losses = detector.losses(
        [torch.randn(3, 96, 128)] * 2, [{"boxes": boxes, "labels": torch.tensor([2]), "masks": masks}] * 2
    )
    torch.stack(list(losses.values())).sum().backward()

    assert set(losses) == {
        "loss_objectness",
        "loss_proposal_box",
        "loss_class",
        "loss_box",
        "loss_mask",
    }
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in detector.parameters())


def test_frozen_batch_norm_has_nothing_to_train() -> None:
    detector = detectron2_detector(build("resnet18"), 5, replace(task("coco-fpn-1x"), norm="frozen"))

    assert isinstance(detector, Detectron2Detector)
    assert not [name for name, _ in detector.named_parameters() if "norm" in name]


@pytest.mark.usefixtures("one_thread")
def test_a_task_runs_with_it_from_data_to_numbers(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsa_bench.core.data.detection import digit_scenes

    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 4, "val": 2})
    small = replace(
        task("coco-fpn-1x"),
        root="digit-scenes",
        iterations=3,
        batch=2,
        lr=0.001,
        train_sizes=(64,),
        test_size=64,
        precise_batches=1,
        pyramid_dim=16,
        box_dim=16,
        mask_dim=16,
        mask_layers=1,
    )
    backbone = open_backbone(BackboneRequest(label="random", arch="resnet18"))
    data = small.data("digits", ctx)

    outcome = small.resolved(data, ctx).run(backbone, data, 0, None, ctx)

    assert {"bbox/AP", "segm/AP"} <= set(outcome.values)
    assert len(outcome.courses["loss"].values) == 3
    assert "of Detectron2" in small.protocol


def test_unusual_trunks_are_refused_while_planning() -> None:
    backbone = open_backbone(BackboneRequest(label="random", arch="resnet18-w16"))

    assert "use engine=torchvision" in task("coco-fpn-1x").unsupported(backbone)
