"""Trunks anywhere in a file, found by their shapes: for generic formats, and for naming the nearest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hsa_bench.core.checkpoints.layout import CLASSIFIERS, Converted, split, tensors, unwrapped
from hsa_bench.core.models.infer_arch import inferred

FIRST = ("conv1.weight", "patch_embed.proj.weight")
"""First tensor of a ResNet by torchvision's names, of a ViT by timm's."""


def flat(payload: Mapping[str, Any], depth: int = 4) -> dict[str, Tensor]:
    """All tensors of a nested file, by their path: `state_dict.model.conv1.weight`; deeper ones are left."""
    found = tensors(payload)
    if depth > 0:
        for name, inner in payload.items():
            if isinstance(inner, Mapping):
                found |= {f"{name}.{key}": value for key, value in flat(inner, depth - 1).items()}
    return found


def find_trunks(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Architectures of the ResNets and ViTs in there, by the prefix of their keys."""
    starts = [key.removesuffix(first) for first in FIRST for key in state if key.endswith(first)]
    prefixes = [p for p in dict.fromkeys(starts) if not p or p.endswith(".")]
    found = {prefix: inferred(split(state, prefix, CLASSIFIERS)[0]) for prefix in prefixes}
    return {prefix: arch for prefix, arch in found.items() if arch}


def at_prefix(state: Mapping[str, Tensor], prefix: str) -> Converted:
    """The trunk under a prefix; where none is given, the only one there is.

    Raises:
        ValueError: There is none, or several to choose from.
    """
    if not prefix:
        trunks = find_trunks(state)
        if len(trunks) != 1:
            there = ", ".join(f"{p or 'the top'} ({a})" for p, a in trunks.items()) or "none"
            raise ValueError(
                f"{len(trunks)} trunks by torchvision's or timm's names are in it: {there}; --branch PREFIX"
            )
        prefix = next(iter(trunks))
    prefix = prefix if prefix.endswith(".") else f"{prefix}."
    prefix = "" if prefix == "." else prefix
    trunk, dropped = split(state, prefix, CLASSIFIERS)
    if not trunk:
        raise ValueError(f"--branch {prefix}: nothing stands under it")
    return Converted(unwrapped(trunk), dropped, prefix.rstrip("."))
