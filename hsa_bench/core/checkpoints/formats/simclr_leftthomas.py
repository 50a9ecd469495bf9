"""SimCLR by leftthomas (leftthomas/SimCLR, model.py, main.py:138), whose ResNet is a row of its children.

Recognised by `f.0` and `g.` at the top; a 3x3 stem and the head's layers tell it from others' files. Drops
the head `g`. Made for CIFAR-10: CIFAR's mean with the deviation 0.2023, 0.1994, 0.2010 (utils.py:30).
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import (
    Ambiguous,
    Converted,
    Payload,
    Reading,
    from_sequential,
    has,
    state_in,
    take,
)
from hsa_bench.core.checkpoints.match import COUNTER
from hsa_bench.core.models.preprocess import Preprocess

BRANCHES = {"f": "f."}
HEAD = {"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "3.weight", "3.bias"}
CARD = Preprocess(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))


def matches(payload: Payload) -> bool:
    """Whether `f` is a row of layers, and there is a head `g`."""
    return has(state_in(payload, ""), "f.0.weight", "f.3.0.conv1.", "g.")


def ambiguity(payload: Payload) -> Ambiguous | None:
    """Tell whether stem or head are not as in its code: then it may be anyone's, with ImageNet's mean."""
    state = state_in(payload, "")
    head = {key.removeprefix("g.") for key in state if key.startswith("g.") and not key.endswith(COUNTER)}
    alone = all(key.startswith(("f.", "g.")) for key in state)
    if alone and head == HEAD and state["f.0.weight"].shape[-1] == 3:
        return None
    return Ambiguous(
        "layers in a row under `f.` and a head `g.`, unlike those of SimCLR by leftthomas",
        (
            Reading("--format simclr-leftthomas", "CIFAR's mean and deviation"),
            Reading("--card mean=0.485,0.456,0.406 --card std=0.229,0.224,0.225", "ImageNet's"),
        ),
        frozenset({"mean", "std"}),
    )


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the row as a ResNet."""
    found = take(state_in(payload, ""), BRANCHES, branch, drop=("fc.",))
    return replace(found, state=from_sequential(found.state), card=CARD)
