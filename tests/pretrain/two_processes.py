"""Run under torchrun: train, and leave the first process's weights and curves. Arguments: FOLDER CASE…."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from hsa_bench.core.context import Context
from hsa_bench.core.models.batch_norm import GroupedBatchNorm
from hsa_bench.core.processes import rank, world
from pretrain.encoder import Encoder
from pretrain.loop import Training
from pretrain.settings import Settings
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
    "hsa-without-neighbours": replace(SHARED, method="hsa", neighbours=False, accumulate=2, bn_groups=2),
}


def train(case: str, folder: Path) -> Training:
    ctx = Context(data_root=folder, cache=folder)
    training = digits_training(CASES[case], ctx, "resnet18-w8-cifar", 48)
    if case.endswith("joined") and world() > 1:
        join_passes(training)
    training.run(folder / "resume")
    return training


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
