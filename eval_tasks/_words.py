"""Pieces of protocol prose that several evaluators share."""

from __future__ import annotations

from collections.abc import Sequence

from hsa_bench.core.task import ClassificationTask


def centre_crop(task: ClassificationTask) -> str:
    """How images are seen when features are compared or accuracies taken."""
    if not task.image_size:  # not resolved yet
        return "Centre crop at the data set's own size"
    return (
        f"Centre crop of {task.image_size} px after resizing the shorter side to {task.resize} px (bilinear)"
    )


def random_crop(smallest: float, flip: bool) -> str:
    """How images are seen while a classifier is trained."""
    mirror = "horizontal flip" if flip else "no flip"
    return f"random resized crop (area {smallest:g} to 1, ratio 3/4 to 4/3) and {mirror}"


def drops(milestones: Sequence[float], gamma: float, unit: str) -> str:
    """How a stepped learning rate falls."""
    if not milestones:
        return "constant rate"
    shares = " and ".join(f"{m * 100:g} %" for m in milestones)
    return f"rate x{gamma:g} after {shares} of the {unit}"


def listed(values: Sequence[float]) -> str:
    """Numbers of a grid, in their order."""
    return ", ".join(f"{v:g}" for v in values)
