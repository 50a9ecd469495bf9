"""A step of MoCo v2 in images a second, beside lightly's own on the same tensors where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.views import View
from pretrain.loop import Training
from pretrain.precision import computing
from pretrain.settings import Precision, Settings
from tools.device.measure import Bench, Measurement
from tools.device.row import Row
from tools.device.speed.lightly_moco import LightlyMoCo
from tools.device.speed.photographs import in_memory

BATCH = 256
STEPS = 20
FORMATS: dict[Precision, str] = {"32-true": "float32", "bf16-mixed": "bfloat16"}
Step = Callable[[], object]


def moco(bench: Bench, arch: str, side: int) -> list[Row]:
    """Ours in float32 and in bfloat16, and lightly's in the same."""
    batch, side = bench.size(BATCH, 4), bench.size(side, 32)
    views = [torch.randn(batch, 3, side, side, device=bench.device) for _ in range(2)]
    rows = []
    for precision, words in FORMATS.items():
        with computing(precision, torch.device(bench.device)):  # as a training does
            ours = _speed(_ours(bench, arch, views, precision), batch, bench)
        rows.append(Row(f"ours, {words}", ours, "images/s"))
        if importlib.util.find_spec("lightly"):
            peer = _speed(_lightlys(bench, arch, views, precision), batch, bench)
            rows.append(Row(f"lightly's, {words}", peer, "images/s"))
            rows.append(Row(f"ours over lightly's, {words}", ours / peer, relation="at least", aim=1.0))
    return rows


def _speed(step: Step, batch: int, bench: Bench) -> float:
    def several() -> None:
        for _ in range(bench.size(STEPS, 1)):
            step()

    return bench.size(STEPS, 1) * batch / bench.seconds(several)


def _ours(bench: Bench, arch: str, views: list[Tensor], precision: Precision) -> Step:
    """A step of the training loop on views that are on the device."""
    batch, side = len(views[0]), views[0].shape[-1]
    settings = Settings(method="moco", batch=batch, queue=16 * batch, epochs=10, knn_every=0)
    backbone = open_backbone(BackboneRequest(label="x", arch="resnet18-w8-s2" if bench.tiny else arch))
    images = in_memory(17 * batch, side)
    ctx = Context(data_root=Path(), cache=bench.scratch, device=bench.device)
    work = Training(replace(settings, precision=precision), backbone, images, View(side, side), 0, ctx)
    work.counting = False
    work.method.begin(5)
    return lambda: work._step(5, 1, iter([views]))


def _lightlys(bench: Bench, arch: str, views: list[Tensor], precision: Precision) -> Step:
    """A step of lightly's on the same views."""
    resnet = torchvision.models.resnet18() if bench.tiny else getattr(torchvision.models, arch)()
    peer = LightlyMoCo(resnet, 16 * len(views[0]), bench.device, precision == "bf16-mixed")
    return lambda: peer.step(*views)


MEASUREMENTS = (
    Measurement("a step of MoCo v2, ResNet-18, 32 px", 60, partial(moco, arch="resnet18", side=32)),
    Measurement("a step of MoCo v2, ResNet-50, 224 px", 120, partial(moco, arch="resnet50", side=224)),
)
