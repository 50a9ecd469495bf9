"""How a learning rate falls: in steps, or along a cosine by epoch or by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Shape = Literal["step", "cosine-by-epoch", "cosine-by-step"]


def stepped(now: int, total: int, milestones: Sequence[float], gamma: float) -> float:
    """Factor on the learning rate: gamma for every milestone that has passed.

    Args:
        now: Epochs (or steps) that are over.
        total: Epochs (or steps) there will be.
        milestones: Shares of `total` after which the rate drops.
        gamma: What it is multiplied by then.
    """
    return gamma ** sum(now >= round(share * total) for share in milestones)


def cosine(now: int, total: int) -> float:
    """Factor on the learning rate: half a cosine from 1 down to 0, which it reaches after the end."""
    return 0.5 * (1 + math.cos(math.pi * now / total))


@dataclass(frozen=True)
class Schedule:
    """A shape laid over epochs and steps."""

    shape: Shape
    milestones: tuple[float, ...]
    """Shares of the training after which a stepped rate drops."""
    gamma: float
    """What it is multiplied by then."""

    def factor(self, step: int, steps: int, per_epoch: int) -> float:
        """On the initial rate, of one step.

        Args:
            step: From 0.
            steps: In all.
            per_epoch: In an epoch; rates that follow epochs stay the same during one.
        """
        if self.shape == "cosine-by-step":
            return cosine(step, steps)
        epoch, epochs = step // per_epoch, -(-steps // per_epoch)
        if self.shape == "cosine-by-epoch":
            return cosine(epoch, epochs)
        return stepped(epoch, epochs, self.milestones, self.gamma)

    @property
    def words(self) -> str:
        """For the protocol."""
        if self.shape != "step":
            return f"a {self.shape.replace('-', ' ')} to zero"
        if not self.milestones:
            return "at a constant rate"
        shares = " and ".join(f"{share * 100:g} %" for share in self.milestones)
        return f"rate x{self.gamma:g} after {shares} of the training"
