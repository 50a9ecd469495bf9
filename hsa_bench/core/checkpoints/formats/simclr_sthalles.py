"""SimCLR by sthalles (sthalles/SimCLR, simclr.py:102-108).

Recognised by `backbone.fc.0` in `state_dict`, with `arch` beside it; what else its code saves tells it from
others' files. Drops the head `backbone.fc`. Its
pictures run from 0 to 1 and are not normalised; its ResNets have the 7x7 stem, whatever the picture's size.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import Ambiguous, Converted, Payload, Reading, has, state_in, take
from hsa_bench.core.models.preprocess import UNNORMALISED

BRANCHES = {"backbone": "backbone."}
SAVED = {"epoch", "arch", "state_dict", "optimizer"}


def matches(payload: Payload) -> bool:
    """Whether the head sits in the place of the classifier."""
    return "arch" in payload and has(state_in(payload, "state_dict"), "backbone.conv1.", "backbone.fc.0.")


def ambiguity(payload: Payload) -> Ambiguous | None:
    """Tell whether the file has more than its code saves: perhaps someone else's, with ImageNet's mean."""
    state = state_in(payload, "state_dict")
    head = {key for key in state if key.startswith("backbone.fc.")}
    known = {f"backbone.fc.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")}
    first = state.get("backbone.fc.0.weight")
    square = first is not None and first.ndim == 2 and first.shape[0] == first.shape[1]
    whole = set(payload) == SAVED and all(key.startswith("backbone.") for key in state)
    if whole and head == known and square:
        return None
    return Ambiguous(
        "a `backbone.` whose classifier is a head, saved with more or less than SimCLR by sthalles saves",
        (
            Reading("--format simclr-sthalles", "pixels in [0, 1], not normalised"),
            Reading("--format prefix --branch state_dict.backbone", "ImageNet's mean and deviation"),
        ),
        frozenset({"mean", "std"}),
    )


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the backbone, without its head."""
    return replace(take(state_in(payload, "state_dict"), BRANCHES, branch), card=UNNORMALISED)
