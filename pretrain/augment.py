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

Augmentation = Literal["moco-v2", "moco-v2-cifar", "simclr", "simclr-cifar", "digits"]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def moco_v2(size: int, card: Preprocess, share: float = 1.0) -> Transform:
    """MoCo v2's "aug+" (facebookresearch/moco main_moco.py:263-280 @132aea9), which HSA uses too.

    The blur's kernel is a tenth of the side, as in SimCLR; MoCo's PIL blur has an unbounded one.

    Args:
        size: Side of the crop, px.
        card: What the weights expect.
        share: Scales the range of the crop's area, for small crops.
    """
    return v2.Compose([*_coloured(size, (0.2 * share, share), 0.4, 0.1), *_finish(size, card)])


def moco_v2_cifar(size: int, card: Preprocess, share: float = 1.0) -> Transform:
    """MoCo v2's on small pictures, without blur: our choice, after SimCLR's CIFAR-10 flags."""
    return v2.Compose([*_coloured(size, (0.2 * share, share), 0.4, 0.1), *_finish(0, card)])


def simclr(size: int, card: Preprocess, share: float = 1.0) -> Transform:
    """SimCLR's, at colour strength 1 (arXiv:2002.05709, appendix A)."""
    return v2.Compose([*_coloured(size, (0.08 * share, share), 0.8, 0.2), *_finish(size, card)])


def simclr_cifar(size: int, card: Preprocess, share: float = 1.0) -> Transform:
    """SimCLR's for CIFAR-10: strength 0.5, no blur (google-research/simclr README.md:78-86 @383d414)."""
    return v2.Compose([*_coloured(size, (0.08 * share, share), 0.4, 0.1), *_finish(0, card)])


def _coloured(size: int, area: tuple[float, float], jitter: float, hue: float) -> list[torch.nn.Module]:
    return [
        v2.RandomResizedCrop(size, scale=area),
        v2.RandomApply([v2.ColorJitter(jitter, jitter, jitter, hue)], p=0.8),
        v2.RandomGrayscale(p=0.2),
    ]


def _finish(blurred: int, card: Preprocess) -> list[torch.nn.Module]:
    """Blur where a size is given, flip, normalise."""
    blur = [v2.RandomApply([v2.GaussianBlur(_kernel(blurred), sigma=(0.1, 2.0))], p=0.5)] if blurred else []
    return [*blur, v2.RandomHorizontalFlip(), Normalise(card)]


class Digits:
    """Ours, for small digits: mild crops, strong changes of light, nearly always grey; no flips, no blur.

    A mirrored digit is another sign, and half of it is none; its colours mean nothing, and left in they are
    all that is learnt. In PIL and NumPy, as torchvision's calls cost several times as much at 32 px.
    """

    smallest = 0.5
    """Least share of the picture's area that a crop covers."""
    ratio = 4 / 3
    """Most that a crop is wider than high, or higher than wide."""
    jitter = 0.6
    """Brightness, contrast and saturation are multiplied by 1 ± this, in four of five views."""
    grey = 0.9
    """Share of views without colour."""

    def __init__(self, size: int, card: Preprocess, share: float = 1.0) -> None:
        self.area = (self.smallest * share, share)
        self.size = (size, size)
        self.normalise = Normalise(card)

    def __call__(self, picture: Image.Image) -> Tensor:
        draw = torch.rand(9).tolist()
        box = self._box(picture.size, draw[:4])
        x = np.asarray(picture.resize(self.size, Image.Resampling.BILINEAR, box), dtype=np.float32)
        jitter = self.jitter if draw[4] < 0.8 else 0.0
        brightness, contrast, saturation = (1 + jitter * (2 * u - 1) for u in draw[5:8])
        x = x * brightness  # [H, W, 3] in 0 … 255
        grey = x @ LUMA  # [H, W]
        if draw[8] < self.grey:
            saturation = 0.0
        x = saturation * x + (1 - saturation) * grey[..., None]
        x = contrast * x + (1 - contrast) * grey.mean()
        return self.normalise(x.clip(0, 255))

    def _box(self, size: tuple[int, int], draw: list[float]) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of a crop, px."""
        area = self.area[0] + (self.area[1] - self.area[0]) * draw[0]
        stretch = self.ratio ** (draw[1] - 0.5)
        width = size[0] * min(1.0, math.sqrt(area) * stretch)
        height = size[1] * min(1.0, math.sqrt(area) / stretch)
        left, top = (size[0] - width) * draw[2], (size[1] - height) * draw[3]
        return left, top, left + width, top + height


AUGMENTATIONS: dict[str, Callable[[int, Preprocess, float], Transform]] = {
    "moco-v2": moco_v2,
    "moco-v2-cifar": moco_v2_cifar,
    "simclr": simclr,
    "simclr-cifar": simclr_cifar,
    "digits": Digits,
}


def _kernel(size: int) -> int:
    return max(3, size // 10 // 2 * 2 + 1)
