"""SimCLR by AndrewAtanov (AndrewAtanov/simclr-pytorch, train.py:235-248, models/ssl.py:37,271).

Recognised by `convnet.` and `projection.` in `state_dict`; `hparams` and `iter` beside it tell it from
others' files. Drops the projection. Its pictures run from 0 to
1 and are not normalised; for CIFAR it has a 3x3 stem.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from hsa_bench.core.checkpoints.layout import (
    Ambiguous,
    Converted,
    Payload,
    Reading,
    has,
    split,
    state_in,
    take,
    unwrapped,
)
from hsa_bench.core.models.preprocess import UNNORMALISED

BRANCHES = {"convnet": "convnet."}


def matches(payload: Payload) -> bool:
    """Whether convnet and projection are there."""
    return has(_state(payload), "convnet.conv1.", "projection.")


def ambiguity(payload: Payload) -> Ambiguous | None:
    """Tell whether its code's record of training is missing; it may be anyone's, with ImageNet's mean."""
    if {"hparams", "iter"} <= set(payload):
        return None
    return Ambiguous(
        "a `convnet.` and a `projection.`, without the `hparams` of SimCLR by AndrewAtanov",
        (
            Reading("--format simclr-andrewatanov", "pixels in [0, 1], not normalised"),
            Reading("--format prefix --branch state_dict.convnet", "ImageNet's mean and deviation"),
        ),
        frozenset({"mean", "std"}),
    )


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the convnet."""
    return replace(take(_state(payload), BRANCHES, branch), card=UNNORMALISED)


def _state(payload: Payload) -> dict[str, Tensor]:
    state = state_in(payload, "state_dict")
    return unwrapped(split(state, "model.", ())[0]) if has(state, "model.") else state
