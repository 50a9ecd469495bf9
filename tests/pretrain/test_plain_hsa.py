"""Ours against a plain loop of HSA's formulas (haohang96/CSML @be34e84), with levels and without.

Mining, boxes, shuffled keys, the three losses, queues, SGD and the momentum encoder are written out; each GPU
of theirs is a part of the batch, with batch norm and a box of its own.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import Normalise, View
from hsa_bench.core.models.architectures import build
from hsa_bench.core.seed import forked
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.batches import ContrastiveViews, OwnParts, batches
from pretrain.encoder import Encoder
from pretrain.loop import Training
from pretrain.settings import Settings

ARCH = "resnet18-w8-s2"
COUNT, BATCH, GPUS, QUEUE, NEAREST, TAU, SEED = 48, 16, 2, 32, 3, 0.2, 3
STEPS = COUNT // BATCH
SETTINGS = Settings(
    method="hsa",
    epochs=2,
    batch=BATCH,
    bn_groups=GPUS,
    queue=QUEUE,
    ema=0.99,
    k=NEAREST,
    refresh=1,
    warmup=0.5,
    augment="digits",
    knn_every=0,
    precision="64-true",
)


def ordinary(ours: Encoder, levels: tuple[int, ...]) -> Encoder:
    """The same network and weights, with ordinary batch norm."""
    plain = Encoder(build(ARCH), levels, SETTINGS.projection).double()
    plain.load_state_dict(copy.deepcopy(ours.state_dict()))
    return plain.train()


def on_gpus(net: Encoder, x: Tensor) -> list[Tensor]:
    """Each GPU has its part of the batch and its own batch norm; running statistics are their mean."""
    found, running = [], []
    for part in x.chunk(GPUS):
        its_own = {name: buffer.clone() for name, buffer in net.named_buffers()}
        found.append(functional_call(net, its_own, (part,)))
        running.append(its_own)
    for name, buffer in net.named_buffers():
        buffer.copy_(torch.stack([one[name].double() for one in running]).mean(0))
    return [torch.cat(level) for level in zip(*found, strict=True)]


def shuffled(net: Encoder, x: Tensor) -> list[Tensor]:
    """Keys, computed in a random order."""
    order = torch.randperm(len(x))
    with torch.no_grad():
        return [keys[order.argsort()] for keys in on_gpus(net, x[order])]


def mined(net: Encoder, images: ImageSet, normalise: Normalise) -> np.ndarray:
    """Each picture's nearest others, by the key encoder's pooled features in evaluation mode."""
    shown = torch.stack([torch.from_numpy(np.array(images.picture(i))) for i in range(COUNT)])
    net.eval()
    with torch.no_grad():
        features = F.normalize(net.trunk(normalise.batch(shown).double()), dim=1)
    net.train()
    return (features @ features.T).fill_diagonal_(-1).topk(NEAREST, dim=1).indices.numpy()


def cutmix(q: Tensor, p_q: Tensor) -> tuple[Tensor, Tensor]:
    """A GPU after the other draws; return the mixtures and each one's share."""
    mixed, shares = [], []
    for own, other in zip(q.chunk(GPUS), p_q.chunk(GPUS), strict=True):
        side = own.shape[-1]
        half = int(side * math.sqrt(1 - float(torch.distributions.Beta(2.0, 2.0).sample()))) // 2
        y, x = int(torch.randint(side, ())), int(torch.randint(side, ()))
        inside = torch.zeros(side, side, dtype=torch.bool)
        inside[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = True
        mixed.append(torch.where(inside, other, own))
        shares += [1 - float(inside.double().mean())] * len(own)
    return torch.cat(mixed), torch.tensor(shares, dtype=torch.float64)


def each(u: Tensor, v: Tensor, queue: Tensor) -> Tensor:
    """-log exp(u v / tau) / (exp(u v / tau) + sum exp(u n / tau)), of each query."""
    positive, negatives = ((u * v).sum(1) / TAU).exp(), (u @ queue / TAU).exp().sum(1)
    return -(positive / (positive + negatives)).log()


@pytest.mark.parametrize("levels", [(), (3,)], ids=["one level", "two levels"])
def test_two_epochs_have_the_losses_of_a_plain_loop(
    levels: tuple[int, ...], ctx: Context, tmp_path: Path
) -> None:
    images = open_dataset("digits", Path()).limited(COUNT).train
    backbone = open_backbone(BackboneRequest(label="x", arch=ARCH))
    settings, view = replace(SETTINGS, levels=levels), View(32, 32)
    ours = Training(settings, backbone, images, view, SEED, ctx, counting=False)
    f_q, f_k = (ordinary(ours.method.encoder, levels) for _ in range(2))
    queues = [queue.keys.clone() for queue in ours.method.queues]  # [C, K] each
    momentum = [torch.zeros_like(p) for p in f_q.parameters()]
    normalise, losses = Normalise(backbone.card), []

    for epoch in range(2):
        a, b = [(1.0, 0.0), (0.5, 0.5)][epoch]
        table = mined(f_k, images, normalise)
        views = ContrastiveViews(images, AUGMENTATIONS["digits"](32, 1.0), table, (), SEED)
        loader = batches(views, OwnParts(COUNT, BATCH, 1, SEED, range(epoch, epoch + 1)), 0, False)
        for step, (pixels, _) in enumerate(loader):
            x_q, x_k, x_pq, x_pk = (normalise.batch(view).double() for view in pixels)
            with forked(SEED, "step", epoch, step):
                x_m, share = cutmix(x_q, x_pq)
                q, p_q, m = (on_gpus(f_q, x) for x in (x_q, x_pq, x_m))
                k, p_k = shuffled(f_k, x_k), shuffled(f_k, x_pk)
            loss = torch.zeros(())
            for i, queue in enumerate(queues):
                l_q = a * each(q[i], k[i], queue) + b * each(q[i], p_k[i], queue)
                l_p = a * each(p_q[i], p_k[i], queue) + b * each(p_q[i], k[i], queue)
                l_mix = share * each(m[i], k[i], queue) + (1 - share) * each(m[i], p_k[i], queue)
                loss = loss + ((l_q + l_p + l_mix) / 3).mean()
            loss.backward()
            rate = 0.03 * 0.5 * (1 + math.cos(math.pi * epoch / 2))
            with torch.no_grad():
                for p, p_key, v in zip(f_q.parameters(), f_k.parameters(), momentum, strict=True):
                    assert p.grad is not None
                    v.mul_(0.9).add_(p.grad + 1e-4 * p)
                    p.sub_(rate * v)
                    p.grad = None
                    p_key.mul_(0.99).add_(0.01 * p)
            start = (epoch * STEPS + step) * BATCH % QUEUE
            queues = [
                torch.cat([queue[:, :start], keys.T, queue[:, start + BATCH :]], dim=1)
                for queue, keys in zip(queues, k, strict=True)
            ]
            losses.append(float(loss.detach()))

    ours.run(tmp_path / "resume")
    assert len(losses) == 2 * STEPS
    expected = torch.tensor(losses, dtype=torch.float64).view(2, STEPS).mean(1).tolist()
    assert ours.progress.curves["loss"] == pytest.approx(expected, rel=1e-6)
