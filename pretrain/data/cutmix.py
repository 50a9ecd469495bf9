"""CutMix of anchor and neighbour: one box a batch, pasted at the same place (Yun 2019, arXiv:1905.04899)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """Mixed pictures and how much of them is the anchor's."""

    pictures: Tensor
    """[N, 3, H, W]."""
    share: float
    """Of the anchor, in [0, 1], from the pasted area."""


def cutmix(anchor: Tensor, other: Tensor, alpha: float) -> Mixture:
    """Paste one random box of `other` into `anchor`.

    Draws from torch's global generator, as layers do; the loop seeds it for each step.

    Args:
        anchor: [N, 3, H, W].
        other: [N, 3, H, W].
        alpha: Of Beta(alpha, alpha), which draws the anchor's share; HSA's code uses 2.
    """
    height, width = anchor.shape[2:]
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    cut = math.sqrt(1 - share)
    centre_y, centre_x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    half_y, half_x = int(height * cut) // 2, int(width * cut) // 2
    top, bottom = max(centre_y - half_y, 0), min(centre_y + half_y, height)
    left, right = max(centre_x - half_x, 0), min(centre_x + half_x, width)
    mixed = anchor.clone()
    mixed[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
    return Mixture(mixed, 1 - (bottom - top) * (right - left) / (height * width))
