"""What stands beside backbones: the usual baselines, and the controls by name. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence

USUAL = ("moco", "simclr")

RANDOM = "random"
"""Name of the untrained twin; where a run has several architectures, the first word of its names."""
PIXELS = "pixels"
"""Name of the picture itself, as a row and as an architecture."""


def is_untrained(label: str) -> bool:
    """Whether a row is an untrained twin, by its name."""
    return label.partition(" ")[0] == RANDOM


def is_control(label: str) -> bool:
    """Whether a name is kept for a control."""
    return is_untrained(label) or label == PIXELS


def usual_baselines(backbones: Sequence[str], controls: Sequence[str]) -> tuple[str, ...]:
    """Moco and simclr where they are; else the first of several backbones, or the control of a single one.

    Args:
        backbones: Labels of what is measured, the controls left out, in the report's order.
        controls: Labels of the controls.
    """
    if len(backbones) > 1:
        return tuple(label for label in USUAL if label in backbones) or (backbones[0],)
    return tuple([*controls, *backbones][:1])
