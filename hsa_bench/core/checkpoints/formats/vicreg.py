"""VICReg's training checkpoints (facebookresearch/vicreg, main_vicreg.py:154-164).

Recognised by `backbone.` and `projector.` in `model`, without Barlow Twins' `bn.`. Drops the projector. The
published ResNet has the trunk alone: format `torchvision`.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

BRANCHES = {"backbone": "backbone."}


def matches(payload: Payload) -> bool:
    """Whether backbone and projector are there, and no norm of Barlow Twins' loss."""
    state = state_in(payload, "model")
    return has(state, "backbone.", "projector.") and not has(state, "bn.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the backbone."""
    return take(state_in(payload, "model"), BRANCHES, branch)
