"""SimCLR by Spijkervet (Spijkervet/SimCLR, model.py:38-42).

Recognised by `encoder.` and `projector.` at the top. Drops the projector. Its pictures run from 0 to 1 and
are not normalised.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import Converted, Payload, has, state_in, take
from hsa_bench.core.models.preprocess import UNNORMALISED

BRANCHES = {"encoder": "encoder."}


def matches(payload: Payload) -> bool:
    """Whether encoder and projector are all there is."""
    state = state_in(payload, "")
    return has(state, "encoder.conv1.", "projector.") and all(
        key.startswith(("encoder.", "projector.")) for key in state
    )


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the encoder."""
    return replace(take(state_in(payload, ""), BRANCHES, branch), card=UNNORMALISED)
