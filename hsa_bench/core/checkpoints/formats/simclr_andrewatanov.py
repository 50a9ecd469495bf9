"""SimCLR by AndrewAtanov (AndrewAtanov/simclr-pytorch, train.py:235-248, models/ssl.py:37,271).

Recognised by `convnet.` and `projection.` in `state_dict`. Drops the projection. Its pictures run from 0 to
1 and are not normalised; for CIFAR it has a 3x3 stem.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, split, state_in, take, unwrapped
from hsa_bench.core.models.preprocess import UNNORMALISED

BRANCHES = {"convnet": "convnet."}


def matches(payload: Payload) -> bool:
    """Whether convnet and projection are there."""
    return has(_state(payload), "convnet.conv1.", "projection.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the convnet."""
    return replace(take(_state(payload), BRANCHES, branch), card=UNNORMALISED)


def _state(payload: Payload) -> dict[str, Tensor]:
    state = state_in(payload, "state_dict")
    return unwrapped(split(state, "model.", ())[0]) if has(state, "model.") else state
