"""A grid of learning rates and weight decays in one pass: two heads a point, chosen on held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from eval_tasks._linear.heads import Heads
from eval_tasks._shared.outcome import score_test_images, training_loss
from hsa_bench.core.data.image_set import Classification, Labels, label_subset
from hsa_bench.core.features.accuracy import ranks
from hsa_bench.core.features.extract import FeatureSet
from hsa_bench.core.results.curve import Sweep
from hsa_bench.core.results.metric import Metric, percent
from hsa_bench.core.runs.task import Outcome


@dataclass(frozen=True)
class Point:
    """One setting of the grid."""

    lr: float
    weight_decay: float

    def __str__(self) -> str:
        return f"lr {self.lr:g}, wd {self.weight_decay:g}"


@dataclass(frozen=True)
class Choice:
    """The setting that held-out images chose, and what they said of the others."""

    head: int
    """Index of the setting, and of its head A."""
    effective: dict[str, Any]
    """For the result: the setting, how many images chose it, settings that diverged."""
    sweeps: tuple[Sweep, ...]
    """Held-out accuracy of every setting; none without held-out images."""


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
    """Classes of the training images, [N], on the heads' device."""
    held_out: Tensor
    """Which training images the B heads never learn from, bool [N], on the heads' device."""
    judge: FeatureSet
    """Centre-crop features of the held-out images, on which the setting is chosen."""
    losses: list[Tensor] = field(default_factory=list)
    """Mean loss of the A heads over each epoch, [G] each."""
    _summed: Tensor | None = None

    def step(self, features: Tensor, index: Tensor, factor: float) -> None:
        """Step all heads on features [B, D] of training images `index`, [B], without any wait."""
        index = index.to(self.labels.device, non_blocking=True)
        seen_by_b = ~self.held_out[index]
        kinds = torch.stack([torch.ones_like(seen_by_b), seen_by_b], dim=1)  # [B, 2]
        keep = kinds.repeat_interleave(len(self.points), dim=1)
        loss = self.heads.step(features, self.labels[index], keep, factor)[: len(self.points)]
        self._summed = loss if self._summed is None else self._summed + loss

    def end_epoch(self, steps: int) -> None:
        """Close an epoch of so many steps."""
        assert self._summed is not None
        self.losses.append(self._summed / steps)
        self._summed = None

    def judged(self, images: FeatureSet, heads: slice) -> Judged:
        """Accuracy and loss of some heads."""
        right, loss = (torch.zeros((), device=self.heads.weight.device) for _ in range(2))
        for part, logits in self.heads.logits_in_parts(images.features, heads):
            scores, labels = logits.transpose(0, 1), images.labels[part].to(logits.device)  # [G, B, C]
            bad = ~torch.isfinite(scores).all(2).all(1)
            hits = torch.stack([(ranks(one, labels) < 1).double().sum() for one in scores])
            right = right + hits.masked_fill(bad, torch.nan)
            summed = [cross_entropy(one.double(), labels, reduction="sum") for one in scores]
            loss = loss + torch.stack(summed)
        count = len(images.labels)
        return Judged((right / count * 100).cpu(), (loss / count).cpu())

    def choose(self) -> Choice:
        """The setting whose B head is right most often on the held-out images; ties go to the lower loss.

        Raises:
            ValueError: Every setting diverged.
        """
        count, images = len(self.points), len(self.judge.labels)
        finite = self.heads.finite().cpu().view(2, count)
        if images:
            judged = self.judged(self.judge, slice(count, None))
            good = [g for g in range(count) if finite[:, g].all() and torch.isfinite(judged.top1[g])]
            merit = {g: (float(judged.top1[g]), -float(judged.loss[g])) for g in good}
        else:  # no class has an image to spare: the first that has not diverged
            good = [g for g in range(count) if finite[0, g]]
            merit = dict.fromkeys(good, (0.0, 0.0))
        if not good:
            raise ValueError(
                f"every head diverged, at {'; '.join(map(str, self.points))}; add lower learning rates"
            )
        best = max(good, key=lambda g: merit[g])
        effective = {
            "lr": self.points[best].lr,
            "weight_decay": self.points[best].weight_decay,
            "held_out_images": images,
            "diverged": [str(point) for g, point in enumerate(self.points) if g not in good],
        }
        judged_points = tuple(
            (self.points[g].lr, self.points[g].weight_decay, round(merit[g][0], 4)) for g in good if images
        )
        return Choice(best, effective, (_sweep(judged_points, self.points[best]),) if images else ())

    def _course(self, head: int) -> list[float]:
        """Return the mean loss of an A head in each epoch."""
        return torch.stack(self.losses)[:, head].tolist() if self.losses else []

    def outcome(
        self,
        data: Classification,
        features: FeatureSet,
        further: tuple[Metric, ...] = (),
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
        logits = torch.cat([x[:, 0] for _, x in self.heads.logits_in_parts(features.features, chosen)])
        every = self.judged(features, slice(len(self.points))).top1
        return score_test_images(
            data,
            logits,
            {**choice.effective, **(effective or {})},
            (training_loss(self._course(choice.head), "epoch"),),
            (*further, percent("oracle", float(every[torch.isfinite(every)].max()), "oracle top-1")),
            choice.sweeps,
        )


def _sweep(points: tuple[tuple[float, ...], ...], best: Point) -> Sweep:
    """Describe the accuracies that the setting was chosen by."""
    return Sweep(
        name="held_out_top1",
        title="held-out top-1",
        unit="%",
        meaning="on the training images that were kept back to choose it, at the chosen weight decay",
        settings=("learning rate", "weight decay"),
        points=points,
        own=(best.lr, best.weight_decay),
        chosen=True,
    )


def held_out_rows(labels: Labels, share: float) -> Tensor:
    """A fixed class-balanced part of train, the same for every seed and backbone, as bool [N].

    A class with a single image keeps it for training; there may be none to hold out.
    """
    rows = np.zeros(len(labels), dtype=bool)
    rows[label_subset(labels, share, seed=0)] = True
    rows &= np.bincount(labels)[labels] > 1
    return torch.from_numpy(rows)
