"""The authors' own pretraining of HSA / CsMl (haohang96/CSML, main_moco.py:459).

Recognised as MoCo's, without `arch`. Keeps the query encoder, or the key encoder by `--branch key`; drops
heads and queue. Cannot know the preprocessing: its code uses ImageNet's mean and deviation.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.formats.moco import BRANCHES
from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

__all__ = ["BRANCHES", "convert", "matches"]


def matches(payload: Payload) -> bool:
    """Whether there are MoCo's encoders in a file that names no architecture."""
    state = state_in(payload, "state_dict")
    return "arch" not in payload and has(state, *BRANCHES.values()) and "queue_index" not in state


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one encoder, without its head."""
    return take(state_in(payload, "state_dict"), BRANCHES, branch, drop=("fc.",))
