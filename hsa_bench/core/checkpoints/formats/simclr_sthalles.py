"""SimCLR by sthalles (sthalles/SimCLR, simclr.py:102-108).

Recognised by `backbone.fc.0` in `state_dict`, with `arch` beside it. Drops the head `backbone.fc`. Its
pictures run from 0 to 1 and are not normalised; its ResNets have the 7x7 stem, whatever the picture's size.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take
from hsa_bench.core.models.preprocess import UNNORMALISED

BRANCHES = {"backbone": "backbone."}


def matches(payload: Payload) -> bool:
    """Whether the head sits in the place of the classifier."""
    return "arch" in payload and has(state_in(payload, "state_dict"), "backbone.conv1.", "backbone.fc.0.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the backbone, without its head."""
    return replace(take(state_in(payload, "state_dict"), BRANCHES, branch), card=UNNORMALISED)
