"""Ours against a plain loop of the published algorithm (arXiv:1911.05722, alg. 1; v2's head)."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import Normalise, View
from hsa_bench.core.models.architectures import build
from hsa_bench.core.seed import forked
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.batches import ContrastiveViews, OwnParts, batches
from pretrain.loop import Training
from pretrain.settings import Settings

ARCH = "resnet18-w8-s2"
SETTINGS = Settings(
    method="moco",
    batch=16,
    bn_groups=4,
    queue=48,
    ema=0.99,
    augment="digits",
    knn_every=0,
    precision="64-true",
)


class Plain(nn.Module):
    """f: an ordinary network with ordinary batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = build(ARCH)
        self.mlp = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 128))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.mlp(self.trunk(x)), dim=1)

    def on_devices(self, x: Tensor, devices: int) -> Tensor:
        """As several devices do it: each has its part of the batch, and its own batch-norm statistics."""
        return torch.cat([self(part) for part in x.chunk(devices)])


def load(plain: Plain, ours: nn.Module) -> Plain:
    state = {name.replace("heads.0.", "mlp."): value for name, value in ours.state_dict().items()}
    plain.double().load_state_dict(copy.deepcopy(state))
    return plain.train()


@pytest.mark.parametrize("symmetric", [False, True], ids=["one direction", "both"])
@pytest.mark.parametrize("epochs", [3, pytest.param(60, marks=pytest.mark.long)])
def test_up_to_300_steps_have_the_losses_of_a_plain_loop(
    epochs: int, symmetric: bool, ctx: Context, tmp_path: Path
) -> None:
    images = open_dataset("digits", Path()).limited(80).train
    backbone = open_backbone(BackboneRequest(label="x", arch=ARCH))
    settings = replace(SETTINGS, epochs=epochs, symmetric=symmetric)
    ours = Training(settings, backbone, images, View(32, 32), 3, ctx)

    f_q, f_k = load(Plain(), ours.method.encoder), load(Plain(), ours.method.encoder)
    queue = ours.method.queue.keys.clone()  # [C, K]
    momentum = [torch.zeros_like(p) for p in f_q.parameters()]
    views = ContrastiveViews(images, AUGMENTATIONS["digits"](32, 1.0), None, (), 3)
    loader = batches(views, OwnParts(80, 16, 1, 3, range(epochs)), 0, False)
    losses, start = [], 0
    for step, (pixels, _) in enumerate(loader):
        x_1, x_2 = (Normalise(backbone.card).batch(view).double() for view in pixels)
        queries = [f_q.on_devices(x, 4) for x in ((x_1, x_2) if symmetric else (x_1,))]
        keys = []
        with torch.no_grad(), forked(3, "step", step // 5, step % 5):
            for x in (x_2, x_1) if symmetric else (x_2,):
                shuffle = torch.randperm(16)
                keys.append(f_k.on_devices(x[shuffle], 4)[shuffle.argsort()])
        each = []
        for q, k in zip(queries, keys, strict=True):
            logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue], dim=1) / 0.2
            each.append(F.cross_entropy(logits, torch.zeros(16, dtype=torch.long)))
        loss = torch.stack(each).sum() / len(each)
        loss.backward()
        rate = 0.03 * 0.5 * (1 + math.cos(math.pi * (step // 5) / epochs))
        with torch.no_grad():
            for p, p_k, v in zip(f_q.parameters(), f_k.parameters(), momentum, strict=True):
                assert p.grad is not None
                v.mul_(0.9).add_(p.grad + 1e-4 * p)
                p.sub_(rate * v)
                p.grad = None
                p_k.mul_(0.99).add_(0.01 * p)
        for k in reversed(keys):  # the demo: torch.cat([k1, k2])
            queue[:, start : start + 16] = k.T
            start = (start + 16) % 48
        losses.append(float(loss.detach()))

    ours.run(tmp_path / "resume")
    found = ours.progress.curves["loss"]  # a mean of five float32 each
    expected = torch.tensor(losses, dtype=torch.float64).view(epochs, 5).mean(1).tolist()
    assert len(losses) == 5 * epochs
    assert ours.progress.views == epochs * (4 if symmetric else 2)
    assert found == pytest.approx(expected, rel=1e-7 if epochs == 3 else 1e-5)
    torch.testing.assert_close(ours.method.queue.keys, queue, rtol=1e-6, atol=1e-6)
