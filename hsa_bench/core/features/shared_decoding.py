"""Pictures that image sets have in common are decoded in one go, and dealt out in each one's batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import Images
from hsa_bench.core.data.loading import pinned
from hsa_bench.core.data.views import centre_view
from hsa_bench.core.features import extraction
from hsa_bench.core.features.decode_ahead import decoded
from hsa_bench.core.features.extraction import Extraction, cut_into_batches, pieces
from hsa_bench.core.models.preprocess import Preprocess

Rows = NDArray[np.int64]


@dataclass
class Share:
    """What one image set takes of a shared decoding: its batches, cut as they would be without the others."""

    works: list[Extraction]
    rows: Rows
    """Places of the pictures among those held, in the set's order."""
    waiting: deque[tuple[int, int]]
    """Piece and length of every batch to come."""
    needed: NDArray[np.bool_] | None = None
    """Which pictures it takes of those held; None: all that are decoded."""
    crops: list[Tensor] = field(default_factory=list)
    """Pictures of the next batch so far."""

    def cut(self, rows: Rows, pictures: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Take its pictures of the next ones, uint8 [B, H, W, 3]; yield batches that are whole, by piece."""
        if self.needed is not None and not (mine := self.needed[rows]).all():
            pictures = pictures[torch.from_numpy(mine)]
        if len(pictures):
            self.crops.append(pictures)
        while self.waiting and sum(map(len, self.crops)) >= self.waiting[0][1]:
            i, length = self.waiting.popleft()
            whole = self.crops[0] if len(self.crops) == 1 else torch.cat(self.crops)
            self.crops = [whole[length:]] if len(whole) > length else []
            yield i, whole[:length]


@dataclass
class SharedDecoding:
    """Pictures that are decoded in one go, for all image sets that are of them."""

    images: Images
    shares: list[Share]
    rows: Rows
    """Which are decoded, in this order."""
    decoded: int = 0

    def flow(self, ctx: Context) -> Iterator[list[tuple[int, Tensor, list[Extraction]]]]:
        """Decode a batch at a time; yield those that are whole with it, each with its piece and takers."""
        view = centre_view(self.shares[0].works[0].wanted.view, Preprocess())  # only the crop is used
        size = extraction.BATCH
        stream = decoded(
            _all_of(self.images), self.rows.tolist(), view, ctx.workers, pinned(ctx.device), size
        )
        for low, pictures in zip(range(0, len(self.rows), size), stream, strict=True):
            self.decoded += len(pictures)
            yield [
                (i, batch, [work for work in share.works if i in work.missing])
                for share in self.shares
                for i, batch in share.cut(self.rows[low : low + size], pictures)
            ]

    @property
    def works(self) -> list[Extraction]:
        """All that it feeds."""
        return [work for share in self.shares for work in share.works]


def shared_decodings(extractions: Sequence[Extraction]) -> Iterator[SharedDecoding]:
    """Bring together what can be decoded together: sets of the same pictures, in their order, seen alike."""
    sets: dict[tuple[str, str], list[Extraction]] = {}
    for work in extractions:
        if work.missing:
            sets.setdefault((work.wanted.images.fingerprint(), work.wanted.seen), []).append(work)
    of: dict[tuple[str, ...], list[Share]] = {}
    for (fingerprint, seen), works in sets.items():
        share = _share(works)
        ordered = bool((np.diff(share.rows) > 0).all())
        held = works[0].wanted.images.images.digest()
        of.setdefault((held, seen) if ordered else (held, seen, fingerprint), []).append(share)
    for shares in of.values():
        images = shares[0].works[0].wanted.images.images
        if len(shares) == 1:
            yield SharedDecoding(images, shares, shares[0].rows)
            continue
        for share in shares:
            share.needed = np.zeros(len(images), np.bool_)
            share.needed[share.rows] = True
        yield SharedDecoding(images, shares, np.unique(np.concatenate([share.rows for share in shares])))


def _share(works: list[Extraction]) -> Share:
    images = works[0].wanted.images
    whole = np.arange(len(images)) if images.indices is None else np.asarray(images.indices, np.int64)
    missing = sorted({i for work in works for i in work.missing})
    todo = [(i, pieces(images)[i]) for i in missing]
    cuts = [(i, len(batch)) for i, piece in todo for batch in cut_into_batches(piece)]
    return Share(works, np.concatenate([whole[piece.start : piece.stop] for _, piece in todo]), deque(cuts))


def _all_of(images: Images) -> ImageSet:
    """All pictures held, as a set of no labels."""
    count = len(images)
    return ImageSet(images, np.zeros(count, np.int64), ("any",), ("",) * count)
