"""SimCLR by Spijkervet (Spijkervet/SimCLR, model.py:38-42).

`encoder.` and `projector.` at the top and nothing else; many write that, with ImageNet's mean, so it has to
be asked for (`--format simclr-spijkervet`) or given its card. Drops the projector. Its pictures run from 0
to 1 and are not normalised.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import Ambiguous, Converted, Payload, Reading, has, state_in, take
from hsa_bench.core.models.preprocess import UNNORMALISED

BRANCHES = {"encoder": "encoder."}


def matches(payload: Payload) -> bool:
    """Whether encoder and projector are all there is."""
    state = state_in(payload, "")
    return has(state, "encoder.conv1.", "projector.") and all(
        key.startswith(("encoder.", "projector.")) for key in state
    )


def ambiguity(payload: Payload) -> Ambiguous:
    """Always: nothing in the file tells it from anyone's encoder and projector."""
    return Ambiguous(
        "an `encoder.` and a `projector.` alone",
        (
            Reading(
                "--format simclr-spijkervet", "pixels in [0, 1], not normalised, as SimCLR by Spijkervet"
            ),
            Reading("--format prefix --branch encoder", "ImageNet's mean and deviation"),
        ),
        frozenset({"mean", "std"}),
    )


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the encoder."""
    return replace(take(state_in(payload, ""), BRANCHES, branch), card=UNNORMALISED)
