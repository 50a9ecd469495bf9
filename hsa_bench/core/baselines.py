"""What backbones are compared with where nobody said. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence

USUAL = ("moco", "simclr")


def usual_baselines(backbones: Sequence[str], controls: Sequence[str]) -> tuple[str, ...]:
    """Moco and simclr where they are; else the first of several backbones, or the control of a single one.

    Args:
        backbones: Labels of what is measured, the controls left out, in the report's order.
        controls: Labels of the controls.
    """
    if len(backbones) > 1:
        return tuple(label for label in USUAL if label in backbones) or (backbones[0],)
    return tuple([*controls, *backbones][:1])
