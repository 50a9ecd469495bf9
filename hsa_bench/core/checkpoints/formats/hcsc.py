"""HCSC (gyfastas/HCSC, pretrain.py:364, hcsc/hcsc.py:48-65).

Recognised as MoCo's, with a `queue_index`. Keeps the query encoder, or the key encoder by `--branch key`;
drops heads and queue. Cannot know the preprocessing: ImageNet's mean and deviation, as its kNN and linear
evaluations have; its semi-supervised one has 0.228 for red (`--card std=0.228,0.224,0.225`).
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.formats.moco import BRANCHES
from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

__all__ = ["BRANCHES", "convert", "matches"]


def matches(payload: Payload) -> bool:
    """Whether it is MoCo's layout with the numbers of the queue's entries."""
    state = state_in(payload, "state_dict")
    return has(state, *BRANCHES.values()) and "queue_index" in state


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one encoder, without its head."""
    return take(state_in(payload, "state_dict"), BRANCHES, branch, drop=("fc.",))
