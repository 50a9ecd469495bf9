"""Settings of a linear evaluator that trains a grid of rates and decays, and the heads they start from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from eval_tasks._linear.grid import Grid, Point, held_out_rows
from eval_tasks._linear.heads import Heads
from eval_tasks._shared.frozen import FrozenTask
from eval_tasks._shared.protocol_text import listed
from eval_tasks._shared.schedule import Schedule, Shape
from hsa_bench.core.data.image_set import Labels
from hsa_bench.core.features.extract import FeatureSet
from hsa_bench.core.input.bounds import Decay, Deviation, Rate
from hsa_bench.core.runs.task import SETTINGS
from hsa_bench.core.seed import generator


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class GridTask(FrozenTask):
    """Settings that the linear evaluators share. Defaults are MoCo's (main_lincls.py:57,79,87,92)."""

    lrs: tuple[Rate, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    """Learning rates of the grid, as they are, whatever the batch: the range that published recipes span
    (0.001 DINO, 0.3 SwAV, 30 MoCo), as the right one goes with the scale of the features."""
    weight_decays: tuple[Decay, ...] = (0.0, 1e-6, 5e-4)
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
    init_std: Deviation = 0.01
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
        held_out = held_out_rows(labels, self.held_out).to(device)
        return Grid(points, heads, torch.from_numpy(labels).to(device), held_out, judge)

    @property
    def trust_coefficient(self) -> float:
        """LARC's, where a recipe has it."""
        return 0.0
