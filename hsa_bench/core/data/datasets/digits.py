"""scikit-learn's handwritten digits as 32x32 colour pictures on coloured grounds.

Plain digits are too easy to compare backbones with: raw pixels are 98 % right. So every digit gets a
colour, a ground, a size, a place and a turn of its own, fixed by its index. Colours differ much, so that raw
pixels are half wrong, and augmentation takes them away. Size, place and turn differ little: they are what an
untrained network groups by, and a short pretraining does not unlearn them. How much, was chosen on training
digits by what pixels and MoCo v2 make of them: docs/results/demo-trials.md.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hsa_bench.core.data.image_set import Classification, DatasetSpec, ImageSet
from hsa_bench.core.data.images import ArrayImages

SIDE = 32
TEST = 500
"""The test split: the last digits of scikit-learn's file."""
SMALLEST, LARGEST = 24, 28
"""Width of a digit's square, px; its place is anywhere that the square fits."""
TURN = 10.0
"""Largest turn either way, degrees."""


def glyph(pixels: NDArray[np.float64], side: int, turn: float) -> NDArray[np.float64]:
    """One digit enlarged and turned.

    Args:
        pixels: As scikit-learn gives it, [8, 8] in 0 .. 16.
        side: Width and height wanted, px.
        turn: Degrees, counter-clockwise.

    Returns:
        Coverage in [0, 1], [side, side].
    """
    small = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
    large = small.resize((side, side), Image.Resampling.BICUBIC).rotate(turn, Image.Resampling.BILINEAR)
    return np.asarray(large, dtype=np.float64) / 255


def paint(pixels: NDArray[np.float64], index: int) -> NDArray[np.uint8]:
    """The picture of digit `index`: lighter than its ground, whatever colour that has."""
    rng = np.random.default_rng([2012, 2733, index])
    side = int(rng.integers(SMALLEST, LARGEST + 1))
    cover = glyph(pixels, side, float(rng.uniform(-TURN, TURN)))
    top, left = rng.integers(0, SIDE - side + 1, size=2)
    ground = rng.uniform(0, 80) + rng.uniform(-80, 80, size=3)
    ground -= min(0.0, ground.min())
    ink = ground + rng.uniform(90, 125) + rng.uniform(-10, 10, size=3)
    slope = np.linspace(-1, 1, SIDE)[:, None, None] * rng.uniform(-5, 5, size=3)
    canvas = np.zeros((SIDE, SIDE, 1))
    canvas[top : top + side, left : left + side, 0] = cover
    picture = canvas * ink + (1 - canvas) * (ground + slope) + rng.normal(0, 3, size=(SIDE, SIDE, 3))
    return picture.clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def load(root: Path) -> Classification:
    """Render both splits; nothing is read from the data root."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = np.stack([paint(pixels, i) for i, pixels in enumerate(digits.images)])
    whole = ImageSet(
        images=ArrayImages(pictures),
        labels=digits.target.astype(np.int64),
        classes=tuple("0123456789"),
        examples=tuple(map(str, range(len(pictures)))),
    )
    first_test = len(whole) - TEST
    return Classification(
        name="digits",
        train=whole.subset(range(first_test)),
        test=whole.subset(range(first_test, len(whole))),
        image_size=SIDE,
        resize=SIDE,
    )


DATASET = DatasetSpec(
    name="digits", load=load, note="1,297 + 500 handwritten digits, ships with scikit-learn"
)
