"""A backbone with everything a task needs to know of it: module, card, identity, origin."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import BackboneId, Source

Hashes = NDArray[np.int64]
"""Of pictures, one 64-bit number each; see `image_hashes`."""


class Trunk(Protocol):
    """A module that turns images into features and can show its stages."""

    dim: int
    stage_dims: tuple[int, ...]

    def stages(self, x: Tensor) -> list[Tensor]:
        """Feature maps of the stages, each [B, C, H, W], shallow to deep."""
        ...


@dataclass(frozen=True)
class Backbone:
    """A pretrained (or control) trunk under evaluation."""

    label: str
    arch: str
    module: nn.Module
    """[B, 3, H, W] to [B, dim]; in eval mode."""
    dim: int
    card: Preprocess
    weights: str
    """`weights_hash(module)` when it was loaded."""
    source: Source
    seen: Hashes | None = None
    """Hashes of the pictures it was pretrained on, sorted int64 [N], where its file has them."""

    @property
    def id(self) -> BackboneId:
        """What of it enters the key of a result."""
        return BackboneId(arch=self.arch, weights=self.weights, card=self.card.as_dict())

    @property
    def trunk(self) -> Trunk | None:
        """The module as one with stages, or None where it has none."""
        return cast(Trunk, self.module) if hasattr(self.module, "stages") else None


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all parameters and buffers.

    Less the counters of batch norms with a fixed momentum: they change no number, and some formats leave
    them out.
    """
    total = hashlib.sha256()
    idle = {
        f"{name}.num_batches_tracked" if name else "num_batches_tracked"
        for name, part in module.named_modules()
        if getattr(part, "momentum", None) is not None
    }
    for name, tensor in sorted(module.state_dict().items()):
        if name in idle:
            continue
        host = tensor.detach().cpu().contiguous()
        total.update(f"{name}:{host.dtype}:{tuple(host.shape)};".encode())
        total.update(host.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def assert_unchanged(backbone: Backbone) -> None:
    """Refuse a number from a frozen task that moved the trunk, batch-norm statistics included."""
    if weights_hash(backbone.module) != backbone.weights:
        raise RuntimeError(f"{backbone.label}: a frozen task changed the trunk; its number is not valid")
