"""The training loop of a detector: seeded, with its schedule as a pure function."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torchvision.models.detection import MaskRCNN

from eval_tasks._detection.samples import Draws, TrainingSamples, training_batches, with_objects
from eval_tasks._detection.settings import DetectionTask
from hsa_bench.core.card import Preprocess
from hsa_bench.core.data_error import DataError
from hsa_bench.core.detection_data import DetectionSplit
from hsa_bench.core.seed import derive, forked
from hsa_bench.core.task import Context


def train(
    model: MaskRCNN, split: DetectionSplit, card: Preprocess, task: DetectionTask, seed: int, ctx: Context
) -> list[float]:
    """Fine-tune a detector in place.

    What is drawn in iteration i depends on (seed, i) alone.

    Returns:
        Loss of each iteration.

    Raises:
        FloatingPointError: The loss is NaN or infinite; the message names the iteration.
    """
    model.to(ctx.device, memory_format=torch.channels_last).train()  # a tenth faster on CPU
    model.transform.min_size = task.train_sizes
    rows = with_objects(split)
    if not rows:
        raise DataError(f"{split.annotation_file}: no image has an object to learn")
    samples = TrainingSamples(split, card, task.flip, derive(seed, "samples"))
    draws = Draws(rows, task.iterations * task.batch, derive(seed, "draws"))
    optimiser = _optimiser(model, task)
    losses: list[float] = []
    started = time.perf_counter()
    for i, batch in enumerate(training_batches(samples, draws, task.batch, ctx.workers)):
        for group in optimiser.param_groups:
            group["lr"] = task.lr * rate(i, task)
        images = [image.to(ctx.device) for image, _ in batch]
        targets = [{key: value.to(ctx.device) for key, value in target.items()} for _, target in batch]
        with forked(seed, "iteration", i):  # sizes, anchors and proposals are drawn from the global generator
            parts = model(images, targets)
        loss = torch.stack(list(parts.values())).sum()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss is {losses[-1]} in iteration {i}; lower lr or set clip")
        optimiser.zero_grad()
        loss.backward()
        if task.clip:
            nn.utils.clip_grad_norm_(model.parameters(), task.clip)
        optimiser.step()
        speed = (i + 1) / (time.perf_counter() - started)
        ctx.progress(f"detector: loss {losses[-1]:.2f}, {speed:.1f} it/s", i + 1, task.iterations)
    if task.precise_batches and task.norm == "batch":
        count = min(task.precise_batches * task.batch, len(rows))
        with forked(seed, "precise"), torch.no_grad():
            inputs = _inputs(model, samples, Draws(rows, count, derive(seed, "precise")), task, ctx)
            update_bn(inputs, model.backbone)
    return losses


def rate(iteration: int, task: DetectionTask) -> float:
    """The learning rate of an iteration, counted from 0, as a share of `lr`."""
    if iteration < task.warmup:
        return 0.001 + 0.999 * iteration / task.warmup
    if task.schedule == "steps":
        return task.decay ** sum(iteration >= share * task.iterations for share in task.decay_at)
    done = (iteration - task.warmup) / max(1, task.iterations - task.warmup)
    return 0.5 * (1 + math.cos(math.pi * done))


def _optimiser(model: nn.Module, task: DetectionTask) -> torch.optim.Optimizer:
    norms = {
        id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters(recurse=False)
    }
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) not in norms], "weight_decay": task.weight_decay},
        {"params": [p for p in trained if id(p) in norms], "weight_decay": task.norm_weight_decay},
    ]
    if task.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=task.lr, betas=(task.momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=task.lr, momentum=task.momentum)


def _inputs(
    model: MaskRCNN, samples: TrainingSamples, draws: Draws, task: DetectionTask, ctx: Context
) -> Iterator[Tensor]:
    """Batches as the pyramid sees them in training, each [B, 3, H, W]."""
    for batch in training_batches(samples, draws, min(task.batch, len(draws)), ctx.workers):
        resized, _ = model.transform([image.to(ctx.device) for image, _ in batch])
        yield resized.tensors
