"""solo-learn, new and old spelling (vturrisi/solo-learn, methods/base.py:643, main_linear.py:74-84).

Recognised by Lightning's record, `backbone.` (old: `encoder.`) and the online `classifier.`. Keeps it, or
by `--branch momentum` the average; drops projectors, predictors, prototypes, queues. A 3x3 stem is padded
by 2 (`-cifar-pad2`), which no shape shows and its code does. The data set's mean and deviation are assumed
to be ImageNet's, or CIFAR's where `args.json` beside the file names it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hsa_bench.core.checkpoints.layout import (
    Ambiguous,
    Converted,
    Payload,
    Reading,
    from_lightning,
    has,
    state_in,
    take,
)
from hsa_bench.core.models.infer_arch import inferred
from hsa_bench.core.models.preprocess import CIFAR, IMAGENET

BRANCHES = {
    "backbone": "backbone.",
    "encoder": "encoder.",
    "momentum": "momentum_backbone.",
    "momentum_encoder": "momentum_encoder.",
}


def matches(payload: Payload) -> bool:
    """Whether Lightning wrote a backbone with an online classifier."""
    state = state_in(payload, "state_dict")
    trained = any(has(state, BRANCHES[name]) for name in ("backbone", "encoder"))
    return from_lightning(payload) and trained and has(state, "classifier.")


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take one backbone."""
    state = state_in(payload, "state_dict")
    if branch == "momentum" and not has(state, BRANCHES[branch]):
        branch = "momentum_encoder"
    found = take(state, BRANCHES, branch)
    arch = inferred(found.state)
    arch = f"{arch}-pad2" if arch.endswith("-cifar") else arch
    cifar = "cifar" in str(_dataset(payload)).lower()
    return replace(
        found,
        arch=arch,
        card=CIFAR if cifar else IMAGENET,
        card_stated=bool(_dataset(payload)),
        branch="momentum" if found.branch.startswith("momentum") else "online",
    )


def ambiguity(payload: Payload) -> Ambiguous | None:
    """A 3x3 stem in anyone's Lightning module with a classifier on its backbone: padded by 1, or by 2?"""
    state = state_in(payload, "state_dict")
    told = (
        payload.told("args.json") or has(state, "momentum_projector.") or has(state, "momentum_classifier.")
    )
    stems = [k for k in ("backbone.conv1.weight", "encoder.conv1.weight") if k in state]
    if told or not any(state[key].shape[-1] == 3 for key in stems):
        return None
    return Ambiguous(
        "a Lightning module with a backbone of 3x3 stem and a `classifier.`, without solo-learn's args.json",
        (
            Reading("--format sololearn", "solo-learn's stem, padded by 2"),
            Reading(
                f"--format lightning --branch {stems[0].partition('.')[0]}", "a stem padded by 1, as usual"
            ),
        ),
        frozenset({"arch"}),
    )


def _dataset(payload: Payload) -> Any:
    settings = payload.told("args.json") or {}
    data = settings.get("data")
    return data.get("dataset", "") if isinstance(data, dict) else settings.get("dataset", "")
