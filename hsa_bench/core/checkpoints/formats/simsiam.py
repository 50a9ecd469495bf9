"""SimSiam (facebookresearch/simsiam, main_simsiam.py).

Recognised by `encoder.` and `predictor.` in `state_dict`, with `arch` beside it. Keeps the encoder; drops
its projector (`encoder.fc`) and the predictor. Cannot know the preprocessing: its code uses ImageNet's.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take

BRANCHES = {"encoder": "encoder."}


def matches(payload: Payload) -> bool:
    """Whether there are an encoder and a predictor, and the architecture's name."""
    state = state_in(payload, "state_dict")
    return "arch" in payload and has(state, "encoder.conv1.", "encoder.fc.", "predictor.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the encoder, without its projector."""
    return take(state_in(payload, "state_dict"), BRANCHES, branch, drop=("fc.",))
