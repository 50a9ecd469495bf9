"""SimCLR by leftthomas (leftthomas/SimCLR, model.py, main.py:138), whose ResNet is a row of its children.

Recognised by `f.0` and `g.` at the top. Drops the head `g`. Made for CIFAR-10: a 3x3 stem, and CIFAR's mean
with the deviation 0.2023, 0.1994, 0.2010 (utils.py:30).
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.checkpoints.layout import Converted, Payload, from_sequential, has, state_in, take
from hsa_bench.core.models.preprocess import Preprocess

BRANCHES = {"f": "f."}
CARD = Preprocess(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))


def matches(payload: Payload) -> bool:
    """Whether `f` is a row of layers, and there is a head `g`."""
    return has(state_in(payload, ""), "f.0.weight", "f.3.0.conv1.", "g.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the row as a ResNet."""
    found = take(state_in(payload, ""), BRANCHES, branch, drop=("fc.",))
    return replace(found, state=from_sequential(found.state), card=CARD)
