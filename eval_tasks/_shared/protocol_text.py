"""Pieces of protocol prose that several evaluators share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eval_tasks._shared.frozen import FrozenTask
from hsa_bench.core.runs.task import ClassificationTask


def centre_crop(task: ClassificationTask) -> str:
    """How images are seen when features are compared or accuracies taken."""
    if not (task.image_size and task.resize):  # not resolved yet
        return "Centre crop at the data set's own size"
    how = task.view.interpolation
    return f"Centre crop of {task.image_size} px after resizing the shorter side to {task.resize} px ({how})"


def random_crop(smallest: float, flip: bool, interpolation: str = "bilinear") -> str:
    """How images are seen while a classifier is trained."""
    mirror = "horizontal flip" if flip else "no flip"
    return f"random resized crop (area {smallest:g} to 1, ratio 3/4 to 4/3, {interpolation}) and {mirror}"


def trunk(task: FrozenTask) -> str:
    """How a frozen trunk computes."""
    reference = "" if task.precision == "float32" else "; references: float32"
    return f"the frozen trunk (eval mode, {task.precision}{reference})"


def listed(values: Sequence[float]) -> str:
    """Numbers of a grid, in their order."""
    return ", ".join(f"{v:g}" for v in values)


def departures_in_words(departures: Mapping[str, object]) -> str:
    """Return a sentence on settings that are not the recipe's, a space before it; empty without any."""
    settings = ", ".join(f"{name} {value}" for name, value in departures.items())
    return f" Not as in the recipe: {settings}." if departures else ""
