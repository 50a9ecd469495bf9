"""How many epochs fit: all rows are shortened together; MoCo v2 goes on until it has cost as much as HSA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WARMUP = 0.25
"""Share of the epochs in which neighbours have no weight, as in the file of the rows."""
STEP, LEAST, MOST = 4, 8, 200
"""Epochs are a multiple, so that the warm-up is a quarter; the least with two epochs of it; as published."""


@dataclass(frozen=True)
class Cost:
    """Of an epoch."""

    seconds: float
    flops: float


@dataclass(frozen=True)
class Costs:
    """Of an epoch of each kind."""

    moco: Cost
    simclr: Cost
    warming: Cost
    """Of either HSA row while it warms up."""
    hsa: Cost
    """Of either HSA row afterwards."""

    def epochs(self, common: int) -> dict[str, int]:
        """Return the epochs of each row, by its name."""
        warming = max(1, round(WARMUP * common))
        flops = warming * self.warming.flops + (common - warming) * self.hsa.flops
        equal = dict.fromkeys(("moco", "simclr", "hsa-views", "hsa"), common)
        return {**equal, "moco-longer": round(flops / self.moco.flops)}

    def seconds(self, common: int) -> dict[str, float]:
        """Return what each row takes."""
        epochs, warming = self.epochs(common), max(1, round(WARMUP * common))
        hsa = warming * self.warming.seconds + (common - warming) * self.hsa.seconds
        return {
            "moco": common * self.moco.seconds,
            "simclr": common * self.simclr.seconds,
            "hsa-views": hsa,
            "hsa": hsa,
            "moco-longer": epochs["moco-longer"] * self.moco.seconds,
        }


def fitted(costs: Costs, seconds: float, most: int = MOST) -> int:
    """Return the most common epochs that take no longer than so many seconds in all.

    Raises:
        ValueError: Not even the least do; it says how many seconds these need.
    """
    for common in range(most, 0, -STEP):
        if common >= min(LEAST, most) and sum(costs.seconds(common).values()) <= seconds:
            return common
    least = sum(costs.seconds(LEAST).values())
    raise ValueError(f"{LEAST} epochs of all rows need {least:.0f} s, and {max(0.0, seconds):.0f} s are left")


def cost_of(figures: Mapping[str, float]) -> Cost:
    """Return what was measured of an epoch."""
    return Cost(figures["seconds"], figures["TFLOP"] * 1e12)
