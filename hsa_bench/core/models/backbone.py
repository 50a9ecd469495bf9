"""A backbone with everything a task needs to know of it: module, card, identity, origin."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hsa_bench.core.models.network_print import network_print
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
    side: int = 0
    """Of the pictures that it was tried on, px; 0: any will do."""
    behaviour: str = ""
    """What it does beside its tensors, as a digest, where no name of an architecture fixes that."""

    @property
    def id(self) -> BackboneId:
        """What of it enters the key of a result."""
        return BackboneId(
            arch=self.arch, weights=self.weights, card=self.card.as_dict(), behaviour=self.behaviour
        )

    @cached_property
    def print(self) -> str:
        """Its features of a few fixed pictures, as text, computed when asked for; see `network_print`."""
        return network_print(self.module, self.side)

    @property
    def trunk(self) -> Trunk | None:
        """The module as one with stages, or None where it has none."""
        return cast(Trunk, self.module) if has_stages(self.module) else None


def has_stages(module: nn.Module) -> bool:
    """Whether a module has a method `stages` and states their channels; a child of that name is none."""
    method = getattr(type(module), "stages", vars(module).get("stages"))
    dims = getattr(module, "stage_dims", None)
    return callable(method) and isinstance(dims, list | tuple) and all(isinstance(d, int) for d in dims)


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
