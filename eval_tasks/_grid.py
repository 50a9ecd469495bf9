"""A grid of learning rates and weight decays in one pass: two heads a point, chosen on held-out images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass as settings_dataclass
from torch import Tensor
from torch.nn.functional import cross_entropy

from eval_tasks._classifier import Heads
from eval_tasks._frozen import FrozenTask
from eval_tasks._schedule import Schedule, Shape
from eval_tasks._scored import scored
from eval_tasks._words import listed
from hsa_bench.core.data import Classification, Labels, label_subset
from hsa_bench.core.features import FeatureSet
from hsa_bench.core.metrics import ranks
from hsa_bench.core.seed import generator
from hsa_bench.core.task import SETTINGS, Outcome


@dataclass(frozen=True)
class Point:
    """One setting of the grid."""

    lr: float
    weight_decay: float

    def __str__(self) -> str:
        return f"lr {self.lr:g}, wd {self.weight_decay:g}"


@settings_dataclass(frozen=True, kw_only=True, config=SETTINGS)
class GridTask(FrozenTask):
    """Settings that the linear evaluators share. Defaults are MoCo's (main_lincls.py:57,79,87,92)."""

    lrs: tuple[PositiveFloat, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    """Learning rates of the grid, as they are, whatever the batch: the range that published recipes span
    (0.001 DINO, 0.3 SwAV, 30 MoCo), as the right one goes with the scale of the features."""
    weight_decays: tuple[NonNegativeFloat, ...] = (0.0, 1e-6, 5e-4)
    """Weight decays of the grid: those of published recipes (MoCo; SimCLR, SwAV; VISSL)."""
    held_out: float = Field(default=0.1, gt=0, le=0.5)
    """Share of each class of train on which the setting is chosen."""
    epochs: PositiveInt = 100
    batch: PositiveInt = 256
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    schedule: Shape = "step"
    milestones: tuple[float, ...] = (0.6, 0.8)
    """Shares of the epochs after which a stepped rate drops."""
    gamma: PositiveFloat = 0.1
    """What it is multiplied by then."""
    init_std: NonNegativeFloat = 0.01
    """Of the weights at the start; biases are zero."""

    @property
    def points(self) -> tuple[Point, ...]:
        """Every setting that is trained."""
        return tuple(Point(lr, decay) for lr in self.lrs for decay in self.weight_decays)

    @property
    def fall(self) -> Schedule:
        """How the rates fall."""
        return Schedule(self.schedule, self.milestones, self.gamma)

    @property
    def grid_in_words(self) -> str:
        """How the setting is chosen, for the protocol."""
        grid = f"Learning rates {listed(self.lrs)} with weight decays {listed(self.weight_decays)}"
        return (
            f"{grid if self.lrs and self.weight_decays else 'One setting'}, trained in one pass. Each has "
            f"two heads (weights from N(0, {self.init_std:g}), zero bias): A learns from all of train, B "
            f"leaves out a fixed class-balanced {self.held_out * 100:g} %, on which the B heads choose the "
            "setting after the last epoch; top1 is the A head's at that setting, on test; oracle is the best "
            "A head's, chosen on test itself."
        )

    def grid(
        self, train: Sequence[int] | Labels, dim: int, judge: FeatureSet, seed: int, device: str
    ) -> Grid:
        """Heads before the first step, all from the same draw.

        Args:
            train: Labels of the training images.
            dim: Length of a feature.
            judge: Centre-crop features of the held-out training images.
            seed: Draws the weights.
            device: Where the heads are.
        """
        points = self.points
        weight = torch.empty(judge.classes, dim)
        weight.normal_(0, self.init_std, generator=generator(seed, "head"))
        rates, decays = (
            torch.tensor([getattr(point, name) for point in points] * 2, device=device)
            for name in ("lr", "weight_decay")
        )
        heads = Heads(
            weight=weight.repeat(len(rates), 1, 1).to(device),
            bias=torch.zeros(len(rates), judge.classes, device=device),
            rates=rates,
            decays=decays,
            momentum=self.momentum,
            nesterov=self.nesterov,
            trust=self.trust_coefficient,
        )
        labels = np.asarray(train)
        return Grid(points, heads, torch.from_numpy(labels), held_out_rows(labels, self.held_out), judge)

    @property
    def trust_coefficient(self) -> float:
        """LARC's, where a recipe has it."""
        return 0.0


@dataclass(frozen=True)
class Choice:
    """The setting that held-out images chose, and what they said of the others."""

    head: int
    """Index of the setting, and of its head A."""
    effective: dict[str, Any]
    """For the result: the setting, held-out accuracy per setting in percent, settings that diverged."""


@dataclass(frozen=True)
class Judged:
    """What all heads of one kind make of some images."""

    top1: Tensor
    """Percent, [G]; NaN where a score is not a number."""
    loss: Tensor
    """Mean cross-entropy, nats, [G]."""


@dataclass
class Grid:
    """Two heads a setting: A learns from all of train, B from all but the held-out images."""

    points: tuple[Point, ...]
    heads: Heads
    """[2G]: the A of every setting, then the B of every setting."""
    labels: Tensor
    """Of the training images, [N]."""
    held_out: Tensor
    """Which training images the B heads never learn from, bool [N]."""
    judge: FeatureSet
    """Centre-crop features of the held-out images, on which the setting is chosen."""
    losses: list[Tensor] = field(default_factory=list)
    """Mean loss of the A heads over each epoch, [G] each."""
    _summed: Tensor | None = None

    def step(self, features: Tensor, index: Tensor, factor: float) -> None:
        """One step of all heads on features [B, D] of the training images `index`, [B]."""
        device = self.heads.weight.device
        seen_by_b = ~self.held_out[index]
        kinds = torch.stack([torch.ones_like(seen_by_b), seen_by_b], dim=1).to(device)  # [B, 2]
        keep = kinds.repeat_interleave(len(self.points), dim=1)
        loss = self.heads.step(features, self.labels[index].to(device), keep, factor)[: len(self.points)]
        self._summed = loss if self._summed is None else self._summed + loss

    def end_epoch(self, steps: int) -> None:
        """Close an epoch of so many steps."""
        assert self._summed is not None
        self.losses.append(self._summed.cpu() / steps)
        self._summed = None

    def judged(self, images: FeatureSet, heads: slice) -> Judged:
        """Accuracy and loss of some heads."""
        right, loss = torch.zeros(()), torch.zeros(())
        for part, logits in self.heads.logits_in_parts(images.features, heads):
            scores, labels = logits.transpose(0, 1), images.labels[part].to(logits.device)  # [G, B, C]
            bad = ~torch.isfinite(scores).all(2).all(1)
            hits = torch.stack([(ranks(one, labels) < 1).double().sum() for one in scores])
            right = right + hits.masked_fill(bad, torch.nan).cpu()
            summed = [cross_entropy(one.double(), labels, reduction="sum") for one in scores]
            loss = loss + torch.stack(summed).cpu()
        return Judged(right / len(images.labels) * 100, loss / len(images.labels))

    def choose(self) -> Choice:
        """The setting whose B head is right most often on the held-out images; ties go to the lower loss.

        Raises:
            ValueError: Every setting diverged.
        """
        count = len(self.points)
        finite = self.heads.finite().cpu().view(2, count).all(0)
        if not len(self.judge.labels):
            return self._first(finite[:count])
        judged = self.judged(self.judge, slice(count, None))
        good = [g for g in range(count) if finite[g] and torch.isfinite(judged.top1[g])]
        if not good:
            raise ValueError(
                f"every head diverged, at {'; '.join(map(str, self.points))}; add lower learning rates"
            )
        best = max(good, key=lambda g: (float(judged.top1[g]), -float(judged.loss[g])))
        effective = {
            "lr": self.points[best].lr,
            "weight_decay": self.points[best].weight_decay,
            "held_out_top1": {str(self.points[g]): round(float(judged.top1[g]), 4) for g in good},
            "held_out_images": len(self.judge.labels),
            "diverged": [str(point) for g, point in enumerate(self.points) if g not in good],
        }
        return Choice(best, effective)

    def _first(self, finite: Tensor) -> Choice:
        """The first setting that has not diverged, where no class has an image to spare."""
        good = finite.nonzero()[:, 0].tolist()
        if not good:
            raise ValueError(
                f"every head diverged, at {'; '.join(map(str, self.points))}; add lower learning rates"
            )
        point = self.points[good[0]]
        diverged = [str(point) for g, point in enumerate(self.points) if g not in good]
        return Choice(
            good[0],
            {
                "lr": point.lr,
                "weight_decay": point.weight_decay,
                "held_out_top1": {},
                "held_out_images": 0,
                "diverged": diverged,
            },
        )

    def outcome(
        self,
        data: Classification,
        features: FeatureSet,
        further: Mapping[str, float] | None = None,
        effective: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """The number: head A of the chosen setting, after the last epoch, on test.

        Args:
            data: With the test images.
            features: Their centre-crop features.
            further: Metrics beside top-1, top-5 and oracle.
            effective: What else was decided on the way.
        """
        choice = self.choose()
        chosen = slice(choice.head, choice.head + 1)
        logits = torch.cat([x[:, 0].cpu() for _, x in self.heads.logits_in_parts(features.features, chosen)])
        every = self.judged(features, slice(len(self.points))).top1
        return scored(
            data,
            logits,
            {**choice.effective, **(effective or {})},
            curves={"train_loss": [float(loss[choice.head]) for loss in self.losses]},
            further={**(further or {}), "oracle": float(every[torch.isfinite(every)].max())},
        )


def held_out_rows(labels: Labels, share: float) -> Tensor:
    """A fixed class-balanced part of train, the same for every seed and backbone, as bool [N].

    A class with a single image keeps it for training; there may be none to hold out.
    """
    rows = np.zeros(len(labels), dtype=bool)
    rows[label_subset(labels, share, seed=0)] = True
    rows &= np.bincount(labels)[labels] > 1
    return torch.from_numpy(rows)
