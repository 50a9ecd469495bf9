"""A pretraining on a few digits, ready to run."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View
from pretrain.loop import Training
from pretrain.settings import Settings


def digits_training(settings: Settings, ctx: Context, arch: str, count: int) -> Training:
    """Prepare the training of a random network on the first `count` digits, at 32 px, seed 0."""
    images = open_dataset("digits", Path()).limited(count).train
    backbone = open_backbone(BackboneRequest(label="x", arch=arch))
    return Training(settings, backbone, images, View(32, 32), 0, ctx)
