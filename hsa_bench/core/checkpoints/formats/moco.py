"""MoCo v1 and v2, and PCL, which saves the same (facebookresearch/moco, main_moco.py:389-396).

Recognised by `encoder_q.` in `state_dict` and `arch` beside it. Keeps the query encoder, or the key encoder
by `--branch key`; drops the other, its head (`fc`: linear in v1, an MLP in v2) and the queue. Cannot know
MoCo from PCL, nor the preprocessing: both use ImageNet's mean and deviation.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

BRANCHES = {"query": "encoder_q.", "key": "encoder_k."}


def matches(payload: Payload) -> bool:
    """Whether there are a query and a key encoder, and the architecture's name, as MoCo writes it."""
    state = state_in(payload, "state_dict")
    return "arch" in payload and has(state, *BRANCHES.values()) and "queue_index" not in state


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one encoder, without its head."""
    return take(state_in(payload, "state_dict"), BRANCHES, branch, drop=("fc.",))
