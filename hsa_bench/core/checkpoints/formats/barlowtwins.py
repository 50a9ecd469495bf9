"""Barlow Twins' training checkpoints (facebookresearch/barlowtwins, main.py:145-152).

Recognised by `backbone.`, `projector.` and the norm `bn.` in `model`. Drops the last two. The published
ResNet has the trunk alone: format `torchvision`.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

BRANCHES = {"backbone": "backbone."}


def matches(payload: Payload) -> bool:
    """Whether backbone, projector and the norm of the loss are there."""
    return has(state_in(payload, "model"), "backbone.", "projector.", "bn.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the backbone."""
    return take(state_in(payload, "model"), BRANCHES, branch)
