"""One trunk's features of one image set, piece by piece, on their way to their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.features import decode_ahead
from hsa_bench.core.features.kept import KeptFeatures, is_whole, write_piece
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.processes import rank, world

BATCH = decode_ahead.BATCH
"""Images that pass through a trunk at once."""

PIECE = 4 * BATCH
"""Images between two writes: what a kill can cost, and what several processes share out."""

IN_MEMORY = 2**30
"""Bytes of float32 features that are kept as they are where `storage` is "auto", and half of what is mapped
from disk."""


@dataclass
class Extraction:
    """One trunk's features of one image set in one number format, on their way to their files."""

    backbone: Backbone
    wanted: Wanted
    files: Mapping[str, KeptFeatures]
    """By layer, those that are to be made."""
    computed: dict[int, list[dict[str, Tensor]]] = field(default_factory=dict)
    """By piece: its batches until it is whole."""

    def begin(self) -> None:
        """Say what is going to be made."""
        for kept in self.files.values():
            kept.begin()

    @cached_property
    def missing(self) -> dict[int, dict[str, Path]]:
        """By piece that this process makes: the files of the layers that lack it."""
        found = {}
        for i, piece in enumerate(pieces(self.wanted.images)):
            files = {name: _piece(kept, piece) for name, kept in self.files.items()}
            lacking = {name: file for name, file in files.items() if not is_whole(file, len(piece))}
            if lacking and i % world() == rank():
                found[i] = lacking
        return found

    def take(self, i: int, features: Mapping[str, Tensor]) -> None:
        """Keep one more batch of a piece, and write it with the last.

        Raises:
            ValueError: They are NaN or infinite, or float16 does not hold them.
        """
        parts = self.computed.setdefault(i, [])
        parts.append({name: features[name] for name in self.missing[i]})
        if sum(len(next(iter(part.values()))) for part in parts) < len(pieces(self.wanted.images)[i]):
            return
        for name, file in self.missing[i].items():
            whole = torch.cat([part[name] for part in parts])
            kept = whole.half() if self._in_half(whole) else whole
            self._check(name, kept)
            write_piece(file, kept.numpy())
        del self.computed[i]

    def join(self) -> None:
        """Write the files from their pieces, which go."""
        for kept in self.files.values():
            kept.join(_piece(kept, piece) for piece in pieces(self.wanted.images))

    def _check(self, layer: str, kept: Tensor) -> None:
        """Refuse what is no number, or none any more in half precision."""
        if not torch.isfinite(kept).all():
            half = kept.dtype == torch.half
            remedy = "; they may exceed float16: --set TASK.storage=float32" if half else ""
            label = self.backbone.label
            raise ValueError(f"{f'{label}, {layer}' if layer else label}: NaN or infinite features{remedy}")

    def _in_half(self, part: Tensor) -> bool:
        large = len(self.wanted.images) * part.shape[1] * 4 > IN_MEMORY
        return self.wanted.storage == "float16" or (self.wanted.storage == "auto" and large)


def pieces(images: ImageSet) -> list[range]:
    """Cut an image set into the rows between two writes."""
    count = len(images)
    return [range(low, min(low + PIECE, count)) for low in range(0, count, PIECE)]


def cut_into_batches(piece: range) -> list[range]:
    """Cut a piece into the rows that pass through a trunk at once."""
    return [piece[low : low + BATCH] for low in range(0, len(piece), BATCH)]


def _piece(kept: KeptFeatures, piece: range) -> Path:
    return kept.pieces / f"{piece.start:09}.npy"
