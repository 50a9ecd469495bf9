"""What a checkpoint format makes of a file: the trunk's tensors under torchvision's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from hsa_bench.core.card import Preprocess
from hsa_bench.core.result import Budget

Payload = Mapping[str, Any]
"""A checkpoint as read: a (possibly nested) dict."""

WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that DistributedDataParallel and torch.compile put before every key."""

CLASSIFIERS = ("fc.", "head.", "heads.", "classifier.")
"""Classifiers on top of a trunk, dropped by rule."""


@dataclass(frozen=True)
class Converted:
    """A trunk, ready to be matched tensor by tensor."""

    state: dict[str, Tensor]
    """Trunk tensors by torchvision's (or timm's) names."""
    dropped: tuple[str, ...]
    """Keys of the file that are no part of the trunk, by the format's rule."""
    branch: str = ""
    """Which network of the file it is."""
    arch: str = ""
    """Architecture if the file states it; otherwise it is inferred from shapes."""
    card: Preprocess = field(default_factory=Preprocess)
    budget: Budget | None = None


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off wrapper prefixes that all keys share."""
    result = dict(state)
    stripped = True
    while stripped:
        stripped = False
        for wrapper in WRAPPERS:
            if result and all(key.startswith(wrapper) for key in result):
                result = {key.removeprefix(wrapper): value for key, value in result.items()}
                stripped = True
    return result


def split(
    state: Mapping[str, Tensor], prefix: str, drop: tuple[str, ...]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Keep what stands under a prefix, without what a rule drops there.

    Args:
        state: Flat tensors.
        prefix: Of the trunk, e.g. "encoder_q.".
        drop: Prefixes below it that are no trunk, e.g. ("fc.",).

    Returns:
        The trunk's tensors without the prefix, and the dropped keys as they stood in the file.
    """
    kept: dict[str, Tensor] = {}
    dropped = []
    for key, value in state.items():
        name = key.removeprefix(prefix)
        if not key.startswith(prefix) or name.startswith(drop):
            dropped.append(key)
        else:
            kept[name] = value
    return kept, tuple(dropped)
