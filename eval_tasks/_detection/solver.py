"""The published schedules of detection transfer, and how they scale with the batch (MoCo, issue 11)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

BATCH = 16
"""Images an iteration of every published schedule."""

RATE = 0.02
"""Learning rate of every published schedule."""

Published = Literal["24k", "1x", "2x"]


@dataclass(frozen=True)
class Schedule:
    """A schedule for 16 images an iteration."""

    iterations: int
    warmup: int
    """Iterations over which the learning rate rises linearly from a thousandth."""
    decay_at: tuple[int, int]
    """Iterations after which it falls to a tenth and a hundredth."""


SCHEDULES: dict[Published, Schedule] = {
    "24k": Schedule(24_000, 100, (18_000, 22_000)),
    "1x": Schedule(90_000, 1000, (60_000, 80_000)),
    "2x": Schedule(180_000, 1000, (120_000, 160_000)),
}
"""facebookresearch/moco@132aea9, detection/configs; 1x is Detectron2's."""


@dataclass(frozen=True)
class Solver:
    """A schedule with every number in force."""

    lr: float
    iterations: int
    warmup: int
    decay_at: tuple[int, ...]
    shape: Literal["steps", "cosine"] = "steps"
    """Course of the learning rate after the warm-up."""
    decay: float = 0.1
    """Factor at each of `decay_at`, for steps."""


def scaled(
    published: Published,
    batch: int,
    lr: float | None = None,
    iterations: int | None = None,
    warmup: int | None = None,
    decay_at: tuple[int, ...] | None = None,
) -> Solver:
    """The published schedule at another batch; what is given stays as given.

    With N images instead of 16 the learning rate is 0.02 x N / 16 and there are 16 / N times as many
    iterations, so that each image is seen as often (facebookresearch/moco, issue 11). Warm-up and decay
    stand at the same shares of the iterations.
    """
    full = SCHEDULES[published]
    count = iterations if iterations is not None else math.ceil(full.iterations * BATCH / batch)
    share = count / full.iterations
    return Solver(
        lr=lr if lr is not None else RATE * batch / BATCH,
        iterations=count,
        warmup=warmup if warmup is not None else round(full.warmup * share),
        decay_at=decay_at if decay_at is not None else tuple(round(at * share) for at in full.decay_at),
    )


def rate(iteration: int, solver: Solver) -> float:
    """Return the learning rate of an iteration, counted from 0, as a share of the solver's `lr`.

    During warm-up a factor on the step schedule, as in Detectron2's `WarmupMultiStepLR`.
    """
    ramp = min(1.0, 0.001 + 0.999 * iteration / solver.warmup) if solver.warmup else 1.0
    if solver.shape == "steps":
        return ramp * solver.decay ** sum(iteration >= at for at in solver.decay_at)
    if iteration < solver.warmup:
        return ramp
    done = (iteration - solver.warmup) / max(1, solver.iterations - solver.warmup)
    return 0.5 * (1 + math.cos(math.pi * done))
