"""MoCo v1 and v2 training checkpoints (facebookresearch/moco, main_moco.py:389-396).

Recognised by `module.encoder_q.` keys in `state_dict`. Keeps the query encoder; drops its head (`fc`: linear
in v1, an MLP in v2), the key encoder and the queue. Cannot know the preprocessing: MoCo's own is assumed.
"""

from __future__ import annotations

from hsa_bench.core.converted import Converted, Payload, split, unwrapped

PREFIX = "encoder_q."


def matches(payload: Payload) -> bool:
    """Whether there is a query encoder of a ResNet."""
    state = payload.get("state_dict")
    return isinstance(state, dict) and any(
        key.removeprefix("module.").startswith(PREFIX + "conv1.") for key in state
    )


def convert(payload: Payload) -> Converted:
    """Take the query encoder, without its head."""
    trunk, dropped = split(unwrapped(payload["state_dict"]), PREFIX, drop=("fc.",))
    return Converted(state=trunk, dropped=dropped, branch="query")
