"""What an epoch of each row costs: the mean of two by the training loop, mining and a look among them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.cores import own_cores
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import eval_view
from pretrain.loop import Training
from pretrain.settings import Settings
from tools.device.from_scratch.rows import FEW, Fields, rows, settings_of
from tools.device.measure import Bench, Measurement
from tools.device.piece import Call
from tools.device.row import Row

TWO = 2
"""Epochs: as many as share a mining."""
NEEDS = 90.0
KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "an epoch of moco": ("moco", {}),
    "an epoch of simclr": ("simclr", {}),
    "an epoch of hsa in its warm-up": ("hsa", {"warmup": 0.9}),
    "an epoch of hsa after it": ("hsa", {"warmup": 0}),
}
"""By part: the row, and what its measured epochs have otherwise."""


def measurements(call: Call) -> list[Measurement]:
    """List one for each kind of epoch."""
    return [Measurement(part, NEEDS, partial(_cost, call=call, part=part)) for part in KINDS]


def workers(call: Call) -> int:
    """Count loader processes."""
    return max(1, own_cores() - 1) if call.on_gpu else 0


def _cost(bench: Bench, call: Call, part: str) -> list[Row]:
    row, otherwise = KINDS[part]
    training = _training(bench.scratch, call, rows(call), row, otherwise)
    training.run(bench.scratch / "training.resume", lambda progress: progress.epoch >= TWO)
    spent = training.progress
    rate = TWO * training.steps * training.settings.batch / spent.seconds
    return [
        Row("seconds", spent.seconds / TWO, "s"),
        Row("TFLOP", spent.flops / TWO / 1e12),
        Row("pictures a second", rate),
    ]


def _training(scratch: Path, call: Call, fields: Fields, row: str, otherwise: Mapping[str, Any]) -> Training:
    settings = Settings(**{**settings_of(fields, row), "knn_every": TWO, **otherwise})
    data = open_dataset(fields["dataset"], call.data).limited(FEW if call.tiny else None)
    backbone = open_backbone(BackboneRequest(label=row, arch=fields["pretrain"]["arch"]))
    ctx = Context(data_root=call.data, cache=scratch, device=call.device, workers=workers(call))
    return Training(settings, backbone, data.train, eval_view(data), 0, ctx)
