"""Hashes of pictures' pixels, to see whether one set holds pictures of another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import cast

import numpy as np
from torch.utils.data import DataLoader, Dataset

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import Images
from hsa_bench.core.models.backbone import Hashes


def image_hashes(images: ImageSet | Images, ctx: Context) -> Hashes:
    """Hashes of all pictures, sorted, [N]: 64 bits of BLAKE2b over size and RGB bytes.

    Equal pixels have equal hashes, whatever the file's format.
    """
    loader = DataLoader(
        cast(Dataset[int], _Hashed(images)), batch_size=256, num_workers=ctx.workers, collate_fn=np.array
    )
    parts = list(ctx.track(loader, "hashing pictures", len(loader)))
    return np.sort(np.concatenate(parts).astype(np.int64))


def shared(one: Hashes, other: Hashes) -> int:
    """How many pictures of `one` are in `other` too."""
    return int(np.isin(one, other).sum())


@dataclass(frozen=True)
class _Hashed(Dataset[int]):
    images: ImageSet | Images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> int:
        images = self.images
        picture = images.picture(index) if isinstance(images, ImageSet) else images[index]
        digest = hashlib.blake2b(repr(picture.size).encode() + picture.tobytes(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)
