"""A learning-rate grid in one pass: two heads a rate, chosen on held-out training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass as settings_dataclass
from torch import Tensor
from torch.nn.functional import cross_entropy

from eval_tasks._classifier import Heads, stepped
from eval_tasks._scored import scored
from eval_tasks._words import listed
from hsa_bench.core.data import ImageSet, Labels, label_subset
from hsa_bench.core.features import FeatureSet
from hsa_bench.core.metrics import topk
from hsa_bench.core.seed import generator
from hsa_bench.core.task import SETTINGS, ClassificationTask, Outcome

INIT_STD = 0.01
"""Of the weights at the start; biases are zero, as in moco main_lincls.py."""


@settings_dataclass(frozen=True, kw_only=True, config=SETTINGS)
class GridTask(ClassificationTask):
    """Settings that the linear evaluators share. Defaults are MoCo's (main_lincls.py:57,79,87,92)."""

    main_metric: ClassVar[str] = "top1"
    frozen: ClassVar[bool] = True

    lrs: tuple[PositiveFloat, ...] = Field(
        default=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0), min_length=1
    )
    """Learning rates, all trained in one pass: the range that published recipes span (0.001 DINO, 0.3 SwAV,
    30 MoCo), as the right one goes with the scale of the features. Not scaled with the batch."""
    held_out: float = Field(default=0.1, gt=0, le=0.5)
    """Share of each class of train on which the rate is chosen."""
    epochs: PositiveInt = 100
    batch: PositiveInt = 256
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 0.0
    milestones: tuple[float, ...] = (0.6, 0.8)
    """Shares of the epochs after which the rate drops."""
    gamma: PositiveFloat = 0.1
    """What the rate is multiplied by then."""

    @property
    def grid_in_words(self) -> str:
        """How the rate is chosen, for the protocol."""
        return (
            f"Learning rates {listed(self.lrs)} are trained in one pass, each with two heads (weights from "
            f"N(0, {INIT_STD}), zero bias): one learns from all of train, its twin leaves out a fixed "
            f"class-balanced {self.held_out * 100:g} %, on which the twins choose the rate after the last "
            "epoch; the number is the first head's, at that rate, on test."
        )

    def factor(self, epoch: int) -> float:
        """Of the schedule in an epoch, counted from 0."""
        return stepped(epoch, self.epochs, self.milestones, self.gamma)

    def grid(self, train: FeatureSet, seed: int, device: str) -> Grid:
        """Heads before the first step, all from the same draw."""
        weight = torch.empty(train.classes, train.features.shape[1])
        weight.normal_(0, INIT_STD, generator=generator(seed, "head"))
        start = torch.cat([weight, torch.zeros(train.classes, 1)], dim=1)  # [C, D+1]
        rates = torch.tensor(self.lrs * 2)
        heads = Heads(
            weight=start.repeat(len(rates), 1, 1).to(device),
            rates=rates.to(device),
            decays=torch.full_like(rates, self.weight_decay).to(device),
            momentum=self.momentum,
        )
        return Grid(self.lrs, heads, held_out_rows(train.labels.numpy(), self.held_out), train)


@dataclass(frozen=True)
class Choice:
    """The rate that held-out images chose, and what they said of the others."""

    head: int
    """Index of the rate, and of its head A."""
    effective: dict[str, Any]
    """For the result: the rate, held-out accuracy per rate in percent, rates that diverged."""


@dataclass(frozen=True)
class Grid:
    """Two heads a rate: A learns from all of train, B from all but the held-out images."""

    lrs: tuple[float, ...]
    heads: Heads
    """[2G]: the A of every rate, then the B of every rate."""
    held_out: Tensor
    """Which training images the B heads never learn from, bool [N]."""
    train: FeatureSet
    """Centre-crop features of train, [N, D], on which the rate is chosen."""

    def step(self, features: Tensor, labels: Tensor, index: Tensor, factor: float) -> Tensor:
        """One step of all heads; `index` holds rows of train, [B]. Returns the loss of the A heads, [G]."""
        device, rates = self.heads.weight.device, len(self.lrs)
        seen_by_b = ~self.held_out[index]
        keep = torch.stack([torch.ones_like(seen_by_b), seen_by_b], dim=1).repeat_interleave(rates, dim=1)
        loss = self.heads.step(features, labels.to(device), keep.to(device), factor)
        return loss[:rates].cpu()

    def choose(self) -> Choice:
        """The rate whose B head is right most often on the held-out images; ties go to the lower loss.

        Raises:
            ValueError: Every rate diverged.
        """
        rates = len(self.lrs)
        finite = self.heads.finite().cpu().view(2, rates).all(0)
        features, labels = self.train.features[self.held_out], self.train.labels[self.held_out]
        logits = self.heads.logits(features.to(self.heads.weight.device))[:, rates:].cpu()  # [M, G, C]
        right, merit = {}, {}
        for g in range(rates):
            if finite[g] and torch.isfinite(logits[:, g]).all():
                right[g] = topk(logits[:, g], labels, 1)
                merit[g] = (right[g], -float(cross_entropy(logits[:, g], labels)))
        if not merit:
            raise ValueError(f"every head diverged at learning rates {list(self.lrs)}; add lower ones")
        best = max(merit, key=lambda g: merit[g])
        effective = {
            "lr": self.lrs[best],
            "held_out_top1": {f"{self.lrs[g]:g}": round(right[g], 4) for g in right},
            "held_out_images": len(labels),
            "diverged": [lr for g, lr in enumerate(self.lrs) if g not in right],
        }
        return Choice(best, effective)

    def outcome(self, test: ImageSet, features: FeatureSet, losses: list[Tensor], per_epoch: int) -> Outcome:
        """The number: head A of the chosen rate, after the last epoch, on test.

        Args:
            test: The test images.
            features: Their centre-crop features.
            losses: What `step` gave, in order; averaged per epoch into the training curve.
            per_epoch: Steps of an epoch.
        """
        choice = self.choose()
        logits = self.heads.logits(features.features.to(self.heads.weight.device))[:, choice.head]
        loss = torch.stack(losses)[:, choice.head].view(-1, per_epoch).mean(1)  # [epochs]
        return scored(test, logits, choice.effective, curves={"train_loss": loss.tolist()})


def held_out_rows(labels: Labels, share: float) -> Tensor:
    """A fixed class-balanced part of train, the same for every seed and backbone, as bool [N].

    A class with a single image keeps it for training.

    Raises:
        ValueError: No class has an image to spare.
    """
    rows = np.zeros(len(labels), dtype=bool)
    rows[label_subset(labels, share, seed=0)] = True
    rows &= np.bincount(labels)[labels] > 1
    if not rows.any():
        raise ValueError("no class has two training images, so none can be held out to choose the rate by")
    return torch.from_numpy(rows)
