"""Augmentations of the papers, one constructor each, from torchvision's transforms v2 on pictures."""

from __future__ import annotations

from typing import Literal

from torchvision.transforms import v2

from hsa_bench.core.card import Preprocess
from hsa_bench.core.views import Normalise, Transform

Augmentation = Literal["moco-v2", "simclr", "digits"]


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


def digits(size: int, card: Preprocess) -> Transform:
    """Ours, for small digits: mild crops and turns, no flips, strong colours.

    A mirrored digit is another sign, and half of it is none; its colours mean nothing.
    """
    return v2.Compose(
        [
            v2.RandomRotation(20, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomResizedCrop(size, scale=(0.4, 1.0)),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            Normalise(card),
        ]
    )


AUGMENTATIONS = {"moco-v2": moco_v2, "simclr": simclr, "digits": digits}


def _kernel(size: int) -> int:
    return max(3, size // 10 // 2 * 2 + 1)
