"""A made set of pictures whose classes overlap: patterns under noise."""

from __future__ import annotations

import numpy as np

from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import ArrayImages

CLASSES = 6


def coloured(train: int, test: int, side: int) -> Classification:
    """Three colours by two directions of stripes."""
    return Classification("patterns", _split(train, side, 0), _split(test, side, 1), side, side)


def _split(count: int, side: int, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    grounds = np.array([[150, 110, 110], [110, 150, 110], [110, 110, 150]])[labels % 3]
    places = np.arange(side)
    waves = 40 * np.sin(places / 2)
    stripes = np.where((labels < 3)[:, None, None], waves[None, :, None], waves[None, None, :])
    noise = rng.normal(0, 45, (count, side, side, 3))
    pixels = grounds[:, None, None] + stripes[..., None] + noise
    return ImageSet(
        images=ArrayImages(pixels.clip(0, 255).astype(np.uint8)),
        labels=labels.astype(np.int64),
        classes=tuple("abcdef"),
        examples=tuple(f"{seed}/{i}.png" for i in range(count)),
    )
