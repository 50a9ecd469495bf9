"""A detector's training iteration: ours against Detectron2's with the same weights and images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from eval_tasks._detection.detectron2.detector import detectron2_detector
from eval_tasks._detection.engine import Detector, Engine
from eval_tasks._detection.torchvision.detector import TorchvisionDetector, torchvision_detector
from eval_tasks._detection.training import optimiser_of
from eval_tasks.coco import TASKS
from hsa_bench.core.models.architectures import build
from tests.benchmarks.ratios import ratios
from tests.golden.detection_case import under_detectron2s_names

pytest.importorskip("detectron2", reason="needs Detectron2")

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.filterwarnings("ignore"),  # the peer's
]

FEW: dict[str, Any] = {"rpn_candidates": (1000, 500), "proposals": (300, 200)}
CASES = {"r18_fpn": ("coco-fpn-1x", "resnet18", 64), "r50_c4": ("coco", "resnet50", 32)}


def iteration(engine: Engine, case: str, memory: torch.memory_format) -> Callable[[], None]:
    """Forward, backward and step on two images of 256 x 320 px."""
    name, arch, regions = CASES[case]
    plain = next(task for task in TASKS if task.name == name)
    task = replace(plain, engine="torchvision", roi_batch=regions, **FEW)
    torch.manual_seed(0)
    detector: Detector = torchvision_detector(build(arch), 20, task)
    if engine == "detectron2":
        there = detectron2_detector(build(arch), 20, replace(task, engine=engine))
        state = under_detectron2s_names(cast(TorchvisionDetector, detector), task.head)
        there.network.load_state_dict(state)
        detector = there
    detector.to(memory_format=memory).train()
    optimiser: torch.optim.Optimizer = torch.optim.SGD(
        detector.parameters(), lr=1e-4, momentum=0.9
    )  # Detectron2's
    if engine == "torchvision":
        optimiser = optimiser_of(detector, replace(task, lr=1e-4))
    g = torch.Generator().manual_seed(0)
    images = [torch.randn(3, 256, 320, generator=g) for _ in range(2)]
    low = torch.randint(0, 100, (2, 6, 2), generator=g).float()
    boxes = torch.cat([low, low + 90], dim=2)
    masks = torch.zeros(2, 6, 256, 320, dtype=torch.uint8)
    for own, corners in zip(masks.flatten(0, 1), boxes.flatten(0, 1).int().tolist(), strict=True):
        own[corners[1] : corners[3], corners[0] : corners[2]] = 1
    labels = torch.arange(6)
    targets = [{"boxes": b, "labels": labels, "masks": m} for b, m in zip(boxes, masks, strict=True)]

    def run() -> None:
        optimiser.zero_grad()
        torch.stack(list(detector.losses(images, targets).values())).sum().backward()
        optimiser.step()

    return run


@pytest.mark.parametrize("case", CASES)
def test_an_iteration_is_at_least_as_fast_as_detectron2s(benchmark: BenchmarkFixture, case: str) -> None:
    """Peer: Detectron2 as it comes; beside it, Detectron2 in the memory format in which we run both."""
    found = ratios(
        benchmark,
        {
            "detectron2": iteration("detectron2", case, torch.contiguous_format),
            "ours": iteration("torchvision", case, torch.channels_last),
            "detectron2, channels last": iteration("detectron2", case, torch.channels_last),
        },
        rounds=7,
    )

    assert found["ours"] <= 1.0
