"""Augmentations of the papers, one constructor each, from torchvision's transforms v2 on pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from hsa_bench.core.card import Preprocess
from hsa_bench.core.views import Normalise, Transform

Augmentation = Literal["moco-v2", "simclr", "digits"]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def moco_v2(size: int, card: Preprocess) -> Transform:
    """MoCo v2's "aug+" (facebookresearch/moco main_moco.py:263-280 @132aea9), which HSA uses too.

    The blur's kernel is a tenth of the side, as in SimCLR; MoCo's PIL blur has an unbounded one.
    """
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.2, 1.0)),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomApply([v2.GaussianBlur(_kernel(size), sigma=(0.1, 2.0))], p=0.5),
            v2.RandomHorizontalFlip(),
            Normalise(card),
        ]
    )


def simclr(size: int, card: Preprocess) -> Transform:
    """SimCLR's, at colour strength 1 (arXiv:2002.05709, appendix A)."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.08, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomApply([v2.GaussianBlur(_kernel(size), sigma=(0.1, 2.0))], p=0.5),
            Normalise(card),
        ]
    )


class Digits:
    """Ours, for small digits: shift, zoom, turn and mild colours; no flips, and nothing cut off.

    A mirrored digit is another sign, and half of it is none. What moves in from outside has the colour of
    the picture's corners. In PIL and NumPy, as torchvision's calls cost five times as much at 32 px.
    """

    shift = 0.15
    """Largest shift, as a share of the side."""
    zoom = (0.8, 1.4)
    turn = 20.0
    """Largest turn, degrees."""
    jitter = 0.4
    """Brightness, contrast and saturation are multiplied by 1 ± this."""
    grey = 0.2
    """Share of views without colour."""

    def __init__(self, size: int, card: Preprocess) -> None:
        self.size = size
        self.normalise = Normalise(card)

    def __call__(self, picture: Image.Image) -> Tensor:
        draw = (torch.rand(8) * 2 - 1).tolist()
        x = np.asarray(self._moved(picture, draw[:4]), dtype=np.float32)  # [H, W, 3] in 0 … 255
        brightness, contrast, saturation = (1 + self.jitter * u for u in draw[4:7])
        x = x * brightness
        grey = x @ LUMA  # [H, W]
        if draw[7] < 2 * self.grey - 1:
            saturation = 0.0
        x = saturation * x + (1 - saturation) * grey[..., None]
        x = contrast * x + (1 - contrast) * grey.mean()
        return self.normalise(x.clip(0, 255))

    def _moved(self, picture: Image.Image, draw: list[float]) -> Image.Image:
        """Turn and zoom about the centre, then shift."""
        side = picture.width
        low, high = self.zoom
        zoom = low * (high / low) ** ((draw[0] + 1) / 2)
        angle = math.radians(self.turn * draw[1])
        cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
        middle = side / 2
        x0, y0 = (middle + self.shift * side * u for u in draw[2:4])
        scale = side / self.size
        inverse = (
            cos * scale, sin * scale, x0 - (cos + sin) * middle,
            -sin * scale, cos * scale, y0 - (cos - sin) * middle,
        )  # fmt: skip
        corners = [
            picture.getpixel(at) for at in ((0, 0), (side - 1, 0), (0, side - 1), (side - 1, side - 1))
        ]
        ground = tuple(sum(channel) // 4 for channel in zip(*corners, strict=True))
        size = (self.size, self.size)
        return picture.transform(
            size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR, fillcolor=ground
        )


AUGMENTATIONS: dict[str, Callable[[int, Preprocess], Transform]] = {
    "moco-v2": moco_v2,
    "simclr": simclr,
    "digits": Digits,
}


def _kernel(size: int) -> int:
    return max(3, size // 10 // 2 * 2 + 1)
