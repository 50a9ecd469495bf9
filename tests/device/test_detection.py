from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from eval_tasks._detection.build import build_detector
from eval_tasks._detection.engine import Detector
from eval_tasks._detection.settings import DetectionTask
from eval_tasks.coco import TASKS
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.precision import Precision, computing_in
from hsa_bench.core.seed import forked
from tests.support.small_detector import PARTS

Figure = Callable[..., None]
MASKS = {"mask_dim": 8, "mask_layers": 1}


def task(engine: str, name: str, tiny: bool) -> DetectionTask:
    plain = next(task for task in TASKS if task.name == name)
    return replace(plain, **{**(PARTS | MASKS if tiny else {"roi_batch": 64}), "engine": engine})


def pictures(tiny: bool) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Two of them, with three objects each."""
    g, side = torch.Generator().manual_seed(0), 64 if tiny else 320
    images = [torch.randn(3, side, side, generator=g) for _ in range(2)]
    targets = []
    for _ in images:
        low = torch.randint(0, side // 2, (3, 2), generator=g)
        high = low + side // 3
        masks = torch.zeros(3, side, side, dtype=torch.uint8)
        for mask, (x0, y0), (x1, y1) in zip(masks, low.tolist(), high.tolist(), strict=True):
            mask[y0:y1, x0:x1] = 1
        boxes = torch.cat([low, high], dim=1).float()
        targets.append({"boxes": boxes, "labels": torch.arange(3), "masks": masks})
    return images, targets


@pytest.fixture
def drawn_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anchors and regions are drawn by torch.randperm, of which each device has its own."""
    own = torch.randperm

    def randperm(count: int, *, device: Any = None, **more: Any) -> Tensor:
        return own(count, **more).to(device or "cpu")

    monkeypatch.setattr(torch, "randperm", randperm)


def losses(detector: Detector, where: str, precision: Precision, tiny: bool) -> dict[str, float]:
    """Of one batch, with gradients."""
    moved = copy.deepcopy(detector).to(where)
    images, targets = pictures(tiny)
    with forked(0, "step"), computing_in(precision, where):
        parts = moved.losses(
            [x.to(where) for x in images], [{k: v.to(where) for k, v in one.items()} for one in targets]
        )
        total = torch.stack(list(parts.values())).sum()
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in moved.parameters() if p.grad is not None)
    return {part: float(value.detach()) for part, value in parts.items()}


@pytest.mark.usefixtures("drawn_on_the_cpu")
@pytest.mark.parametrize("name", ["coco-fpn-1x", "coco"])
@pytest.mark.parametrize("engine", ["torchvision", "detectron2"])
def test_the_losses_are_the_cpus(engine: str, name: str, tiny: bool, device: str, figure: Figure) -> None:
    if engine == "detectron2":
        pytest.importorskip("detectron2", reason="needs Detectron2")
    arch = "resnet18-w8" if tiny else ("resnet50" if name == "coco" else "resnet18")
    with forked(0, "detector"):
        detector = build_detector(build(arch), 5, task(engine, name, tiny)).train()
    expected, found = (losses(detector, where, "float32", tiny) for where in ("cpu", device))
    for part, value in expected.items():
        far = abs(found[part] - value) / max(abs(value), 1e-6)
        figure(f"{part}: difference over the loss", far, at_most=1e-2)
    half = losses(detector, device, "bfloat16", tiny)
    far = abs(sum(half.values()) - sum(expected.values())) / sum(expected.values())
    figure("in bfloat16, all parts together: difference over the loss", far, at_most=0.2)
