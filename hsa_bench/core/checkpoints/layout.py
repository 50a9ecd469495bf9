"""What a format makes of a file: the trunk's tensors under torchvision's (ResNet) or timm's (ViT) names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsa_bench.core.checkpoints.reading.safe_read import Payload
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import Budget

__all__ = [
    "CLASSIFIERS",
    "Ambiguous",
    "Converted",
    "Payload",
    "Reading",
    "branch_of",
    "from_lightning",
    "from_sequential",
    "has",
    "split",
    "state_in",
    "take",
    "tensors",
    "unwrapped",
    "without_compile",
]

WRAPPERS = ("module.", "_orig_mod.", "_forward_module.", "_fsdp_wrapped_module.")
"""Prefixes that DistributedDataParallel, torch.compile, Fabric and FSDP put before names."""

AVERAGED = "n_averaged"
"""What torch's AveragedModel counts beside the network, which it puts under `module.`."""

CLASSIFIERS = ("fc.", "head.", "heads.", "classifier.", "head_dist.")
"""Classifiers on top of a trunk, dropped by rule."""

LIGHTNING = ("pytorch-lightning_version", "global_step")
"""Top-level entries of a file that Lightning's trainer wrote."""


@dataclass(frozen=True)
class Converted:
    """A trunk, ready to be matched tensor by tensor."""

    state: dict[str, Tensor]
    """Trunk tensors by torchvision's or timm's names."""
    dropped: tuple[str, ...] = ()
    """Keys of the file that are no part of the trunk, by the format's rule."""
    branch: str = ""
    """Which network of the file it is."""
    arch: Any = ""
    """Architecture where file or format state it, unchecked; otherwise it is inferred from shapes."""
    card: Preprocess = field(default_factory=Preprocess)
    card_stated: bool = False
    """Whether the card stands in the file or beside it; else it is the format's, and taken for granted."""
    assumed: tuple[str, ...] = ()
    """What the file does not say and was taken for granted, beside the card."""
    budget: Budget | None = None
    image_hashes: Tensor | None = None
    """Of the pictures it was pretrained on, sorted int64, where the file has them."""


@dataclass(frozen=True)
class Reading:
    """One way to read a file that can be read in several."""

    option: str
    """That chooses it: `--format simclr-spijkervet`."""
    meaning: str
    """What is then taken for granted."""


@dataclass(frozen=True)
class Ambiguous:
    """Names that more than one kind of file has, which differ in what no name shows."""

    what: str
    """The names, in words."""
    readings: tuple[Reading, ...]
    decided_by: frozenset[str]
    """Fields of the card, or "arch": where the user gives all of them, the readings differ in nothing."""


def tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a mapping; numpy arrays become tensors, anything else is left."""
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        if isinstance(value, Tensor):
            found[str(key)] = value
        elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub":
            found[str(key)] = torch.as_tensor(np.array(value))  # a copy that torch may own
    return found


def state_in(payload: Mapping[str, Any], *names: str) -> dict[str, Tensor]:
    """Tensors under the first of these entries that holds any, without wrappers' prefixes; else none.

    Args:
        payload: The file.
        names: Of entries; "" is the file's top level.
    """
    for name in names:
        inner = payload.get(name) if name else payload
        if isinstance(inner, Mapping) and (found := tensors(inner)):
            return unwrapped(found)
    return {}


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off wrappers' prefixes: those that all keys share, and torch.compile's wherever they stand.

    Raises:
        ValueError: Two keys would become one.
    """
    result = without_compile(state)
    if result.keys() - {AVERAGED} and all(key.startswith("module.") for key in result if key != AVERAGED):
        result.pop(AVERAGED, None)
    stripped = True
    while stripped:
        stripped = False
        for wrapper in WRAPPERS:
            if result and all(key.startswith(wrapper) for key in result):
                result = {key.removeprefix(wrapper): value for key, value in result.items()}
                stripped = True
    return result


def without_compile(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off torch.compile's prefix, wherever it stands.

    Raises:
        ValueError: Two keys would become one.
    """
    result = {re.sub(r"(^|\.)_orig_mod\.", r"\1", key): value for key, value in state.items()}
    if len(result) < len(state):
        raise ValueError("holds tensors both with and without torch.compile's `_orig_mod.`")
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
        if not key.startswith(prefix) or name.startswith(drop or ("\0",)):
            dropped.append(key)
        else:
            kept[name] = value
    return unwrapped(kept), tuple(dropped)


def take(
    state: Mapping[str, Tensor],
    branches: Mapping[str, str],
    branch: str,
    drop: tuple[str, ...] = CLASSIFIERS,
) -> Converted:
    """One network of a file that holds several.

    Args:
        state: Flat tensors.
        branches: Prefixes by the name of the branch; the first whose tensors are there is the default.
        branch: The one asked for, or empty.
        drop: As for `split`.

    Raises:
        ValueError: There is no such branch in the file.
    """
    name = branch_of(state, branches, branch)
    trunk, dropped = split(state, branches[name], drop)
    return Converted(trunk, dropped, name)


def branch_of(state: Mapping[str, Tensor], branches: Mapping[str, str], branch: str) -> str:
    """Name of the branch to take: the one asked for, or the first that is there.

    Raises:
        ValueError: It is not there.
    """
    there = [name for name, prefix in branches.items() if any(key.startswith(prefix) for key in state)]
    if branch and branch not in there:
        raise ValueError(f"--branch {branch}: not in this file, which has {', '.join(there) or 'none'}")
    if not there:
        raise ValueError(f"none of {', '.join(branches.values())} is in the file")
    return branch or there[0]


def from_lightning(payload: Mapping[str, Any]) -> bool:
    """Whether Lightning's trainer wrote the file."""
    return any(name in payload for name in LIGHTNING) and isinstance(payload.get("state_dict"), Mapping)


def has(state: Mapping[str, Tensor], *prefixes: str) -> bool:
    """Whether each prefix begins some key."""
    return all(any(key.startswith(prefix) for key in state) for prefix in prefixes)


def from_sequential(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Torchvision's names for a ResNet whose children were put in a row: `nn.Sequential(*children)`.

    The first two are `conv1` and `bn1`, the last four with tensors are the stages.
    """
    places = sorted({int(key.split(".")[0]) for key in state if key.split(".")[0].isdigit()})
    if len(places) != 6:
        raise ValueError(f"{len(places)} numbered children hold tensors; a ResNet's are 6")
    names = dict(zip(map(str, places), ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"), strict=True))
    renamed = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        renamed[f"{names.get(first, first)}.{rest}" if rest else key] = value
    return renamed
