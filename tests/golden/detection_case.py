"""One image and two detectors by seed, and the detectors' weights under Detectron2's names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eval_tasks._detection.engine import Detections
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.torchvision.detector import TorchvisionDetector, torchvision_detector
from eval_tasks.coco import TASKS
from hsa_bench.core.checkpoints.detectron2_names import to_detectron2
from hsa_bench.core.models.architectures import build
from hsa_bench.core.seed import forked

CLASSES = 4
SIZE = (120, 154)
"""Of the image, px; no multiple of any stride."""
ORIGINAL = (240, 308)
CASES = {"r18_fpn": ("coco-fpn-1x", "resnet18"), "r50_c4": ("coco", "resnet50")}
FEW: dict[str, Any] = {
    "rpn_candidates": (150, 150),
    "proposals": (40, 40),
    "anchor_sizes": (16, 24, 40, 64, 100),
    "detections": 12,
    "mask_dim": 16,
    "box_dim": 32,
}


def task_of(case: str) -> DetectionTask:
    name, _ = CASES[case]
    return replace(next(task for task in TASKS if task.name == name), engine="torchvision", **FEW)


def image() -> Tensor:
    """Smooth blobs, normalised."""
    g = torch.Generator().manual_seed(1)
    coarse = torch.randn(1, 3, 9, 11, generator=g)
    return nn.functional.interpolate(coarse, SIZE, mode="bicubic", align_corners=True)[0]


def detector(case: str) -> TorchvisionDetector:
    """Weights by seed, batch norm that does something, and heads that say something."""
    with forked(0, "golden", case):
        whole = torchvision_detector(build(CASES[case][1], seed=3), CLASSES, task_of(case))
        with torch.no_grad():
            for norm in whole.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.weight.uniform_(0.5, 1.0)
                    norm.bias.normal_(std=0.1)
                    norm.running_mean.normal_(std=0.1)  # type: ignore[union-attr]
                    norm.running_var.uniform_(0.8, 1.2)  # type: ignore[union-attr]
            whole.train()  # then such statistics that the maps keep their size
            for norm in whole.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.momentum = 0.9
            x = nn.functional.pad(image(), (0, 160 - SIZE[1], 0, 128 - SIZE[0]))[None]
            whole.body(torch.cat([x, x.flip(-1)]))
            for norm in whole.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.momentum = 0.1
            for name, gain in {"rpn.head.cls_logits": 20, "rpn.head.bbox_pred": 4}.items():
                whole.get_submodule(name).weight.mul_(gain)  # type: ignore[operator,union-attr]
            whole.eval()
            _spread(whole)
    return whole.eval()


def _spread(whole: TorchvisionDetector) -> None:
    """Scale the last layers so that classes, boxes and masks differ from region to region."""
    from eval_tasks._detection.torchvision.detector import _padded

    batch = _padded([image()], whole.divisor)
    maps = whole.body(batch.tensors)
    regions, _ = whole.rpn(batch, maps)
    heads = whole.heads
    vectors = heads.box_head(heads.box_roi_pool(maps, regions))
    for layer, size in ((heads.box_predictor.cls_score, 1.5), (heads.box_predictor.bbox_pred, 0.5)):
        layer.weight.mul_(size / (vectors @ layer.weight.T).std(0)[:, None])
        layer.bias.copy_(-(vectors @ layer.weight.T).mean(0))
    assert heads.mask_head is not None
    logits = heads.mask_head((heads.mask_roi_pool or heads.box_roi_pool)(maps, regions))
    predict = heads.mask_head.predict
    predict.weight.mul_(3 / logits.std())
    logits = heads.mask_head((heads.mask_roi_pool or heads.box_roi_pool)(maps, regions))
    predict.bias.sub_(logits.mean((0, 2, 3)))


def under_detectron2s_names(whole: TorchvisionDetector, head: str) -> dict[str, Tensor]:
    """Every tensor of the detector, for Detectron2's network."""
    state = whole.state_dict()
    renamed: dict[str, Tensor] = {}
    trunk = {"c4": "body.below.", "fpn": "body.trunk."}[head]
    place = {"c4": "backbone.", "fpn": "backbone.bottom_up."}[head]
    for name, tensor in state.items():
        if name.startswith(trunk):
            ((own, value),) = to_detectron2({name.removeprefix(trunk): tensor}).items()
            renamed[place + own] = value
        elif name.startswith("heads.box_roi_pool.stage."):
            own = name.replace("heads.box_roi_pool.stage", "layer4")
            renamed["roi_heads." + next(iter(to_detectron2({own: tensor})))] = tensor
        else:
            renamed[_head_name(name)] = _head_tensor(name, tensor)
    return renamed


def _head_name(name: str) -> str:
    def level(found: re.Match[str]) -> str:
        kind = {"inner": "lateral", "layer": "output"}[found[1]]
        return f"backbone.fpn_{kind}{int(found[2]) + 2}" + ("" if found[3] == "0" else ".norm")

    for pattern, new in (
        (r"^body\.fpn\.(inner|layer)_blocks\.(\d)\.(\d)", level),
        (r"^heads\.box_roi_pool\.norm", "roi_heads.res5.norm"),
        (r"^rpn\.head\.conv\.0\.0", "proposal_generator.rpn_head.conv"),
        (r"^rpn\.head\.cls_logits", "proposal_generator.rpn_head.objectness_logits"),
        (r"^rpn\.head\.bbox_pred", "proposal_generator.rpn_head.anchor_deltas"),
        (r"^heads\.box_head\.fc6", "roi_heads.box_head.fc1"),
        (r"^heads\.box_head\.fc7", "roi_heads.box_head.fc2"),
        (
            r"^heads\.mask_head\.convolutions\.(\d)\.0",
            lambda m: f"roi_heads.mask_head.mask_fcn{int(m[1]) + 1}",
        ),
        (r"^heads\.mask_head\.enlarge", "roi_heads.mask_head.deconv"),
        (r"^heads\.mask_head\.predict", "roi_heads.mask_head.predictor"),
        (r"^heads\.box_predictor", "roi_heads.box_predictor"),
    ):
        name = re.sub(pattern, new, name)
    return name


def _head_tensor(name: str, tensor: Tensor) -> Tensor:
    """The background is the first class here and the last one there, and has no box there."""
    if "box_predictor.cls_score" in name:
        return tensor.roll(-1, dims=0)
    return tensor[4:] if "box_predictor.bbox_pred" in name else tensor


def summary(maps: dict[str, Tensor], proposals: Tensor, found: Detections) -> dict[str, NDArray[Any]]:
    """What is kept of a run; maps by their first numbers, mean and size."""
    assert found.masks is not None
    kept = {
        f"map_{name}": torch.cat(
            [one.flatten()[:8], torch.stack([one.mean(), one.abs().mean(), one.std()])]
        ).numpy()
        for name, one in maps.items()
    }
    return {
        **kept,
        "proposals": proposals.numpy(),
        "boxes": found.boxes.numpy(),
        "labels": found.labels.numpy(),
        "scores": found.scores.numpy(),
        "masks": np.packbits(found.masks.numpy(), axis=None),
    }


@torch.no_grad()
def ours(case: str) -> dict[str, NDArray[Any]]:
    """The summary of our own detector of torchvision's parts."""
    from eval_tasks._detection.torchvision.detector import _padded

    whole = detector(case)
    batch = _padded([image()], whole.divisor)
    maps = whole.body(batch.tensors)
    proposals, _ = whole.rpn(batch, maps)
    (found,) = whole.detect([image()], [ORIGINAL])
    return summary(dict(zip(_names(case), maps.values(), strict=True)), proposals[0], found)


def _names(case: str) -> list[str]:
    return ["p2", "p3", "p4", "p5", "p6"] if "fpn" in case else ["res4"]
