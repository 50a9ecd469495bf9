"""Run under torchrun: train, and leave the first process's weights and curves. Arguments: FOLDER CASE…."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import patch

import torch

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.models.batch_norm import GroupedBatchNorm
from hsa_bench.core.processes import gathered_lists, rank, world
from pretrain.encoder import Encoder
from pretrain.export import finish
from pretrain.loop import Training
from pretrain.monitor import pixels
from pretrain.settings import Settings
from pretrain.start import open_start
from tests.support.training import digits_training

# In double precision, so that rounding does not hide a difference of substance.
SHARED = Settings(
    epochs=2,
    batch=16,
    queue=32,
    augment="digits",
    head_bn="hidden",
    k=3,
    refresh=1,
    warmup=0.5,
    knn_every=2,
    precision="64-true",
    bn_groups=4,
)
ARCH = "resnet18-w8-cifar"
CASES = {
    "moco": replace(SHARED, method="moco"),
    "moco-one-part-for-both": replace(SHARED, method="moco", bn_groups=1),
    "moco-symmetric": replace(SHARED, method="moco", symmetric=True, queue=48),
    "simclr": replace(
        SHARED, method="simclr", head_bn="all", optimiser="lars", lr_warmup=0.5, schedule="step"
    ),
    "hsa": replace(SHARED, method="hsa", levels=(2, 3), crops=(24,)),
    "hsa-joined": replace(SHARED, method="hsa", levels=(2, 3), crops=(24,), mutual=True),
    "hsa-one-part-joined": replace(SHARED, method="hsa", bn_groups=1),
    "simclr-joined": replace(SHARED, method="simclr", head_bn="all"),
    "started": replace(SHARED, method="hsa", refresh=2),
    "hsa-without-neighbours": replace(SHARED, method="hsa", neighbours=False, accumulate=2, bn_groups=2),
}


def train(case: str, folder: Path) -> Training:
    ctx = Context(data_root=folder, cache=folder)
    training = _started(ctx) if case == "started" else digits_training(CASES[case], ctx, ARCH, 48)
    if case.endswith("joined") and world() > 1:
        join_passes(training)
    # One picture's pixels are left for the second search that mutual neighbours take: none for one process.
    with patch.object(pixels, "ASKED", 47 if case == "hsa-joined" else pixels.ASKED):
        training.run(folder / "resume")
    return training


def _started(ctx: Context) -> Training:
    """HSA from the whole state that MoCo, which these processes train first, leaves in a file."""
    folder = ctx.cache
    before = digits_training(replace(CASES["moco"], keep_state=True), ctx, ARCH, 48)
    finish(before, "digits", folder / "first.pth", folder / "first.resume")
    gathered_lists([rank()])  # so that the first process has written the file
    given = {**asdict(CASES["started"]), "start_from": str(folder / "first.state.pth")}
    begin = open_start(given, BackboneRequest(label="x", arch=ARCH))
    return Training(Settings(**begin.settings), begin.backbone, before.images, before.view, 0, ctx)


def join_passes(training: Training) -> None:
    """Let it compute as it does on a GPU: several batches in one pass, all parts of batch norm at once."""
    for module in training.method.modules():
        if isinstance(module, Encoder):
            module.joined = True
        elif isinstance(module, GroupedBatchNorm):
            module.at_once = True


if __name__ == "__main__":
    into = Path(sys.argv[1])
    torch.set_num_threads(1)
    for case in sys.argv[2:]:
        done = train(case, into / case)
        if rank() == 0:
            torch.save(done.method.state_dict(), into / case / "weights.pth")
            (into / case / "curves.json").write_text(json.dumps(done.progress.curves))
