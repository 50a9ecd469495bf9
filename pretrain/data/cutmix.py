"""CutMix of anchor and neighbour: a box for each part of the batch, at the same place (arXiv:1905.04899)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hsa_bench.core.processes import rank, world
from pretrain.data.to_device import to_device


@dataclass(frozen=True)
class Mixture:
    """Mixed pictures and how much of each is the anchor's."""

    pictures: Tensor
    """[N, 3, H, W]."""
    shares: Tensor
    """Of the anchor, [N], in [0, 1], from the pasted area; never below float32, as the loss."""


@dataclass(frozen=True)
class Box:
    """Rows and columns that are pasted, px."""

    rows: slice
    columns: slice

    @property
    def area(self) -> int:
        """Pixels that are pasted."""
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)


def cutmix(anchor: Tensor, other: Tensor, alpha: float, parts: int = 1) -> Mixture:
    """Paste a random box of `other` into `anchor`, one for each of some equal parts of the global batch.

    HSA's code draws in each GPU's process (haohang96/CSML main_moco.py:105-135 @be34e84), so a batch has as
    many boxes and shares as GPUs, and so as batch norms. Parts are consecutive samples of the batch of all
    processes, in their order, and all processes draw all boxes: neither their number nor the device changes
    a pixel.

    Draws from torch's global CPU generator, which the loop seeds alike on all processes.

    Args:
        anchor: This process's part of the batch, [N, 3, H, W].
        other: The same of what is pasted, [N, 3, H, W].
        alpha: Of Beta(alpha, alpha), which draws the anchor's share; HSA's code uses 2.
        parts: Of the batch; batch and processes are cut by them, or they by processes.
    """
    height, width = anchor.shape[2:]
    boxes = [_drawn(height, width, alpha) for _ in range(parts)]
    own, all_of_them = len(anchor), len(anchor) * world()
    part_of = [(rank() * own + i) * parts // all_of_them for i in range(own)]
    mixed = anchor.clone()
    for part in sorted({*part_of}):
        box, first = boxes[part], part_of.index(part)
        place = (slice(first, first + part_of.count(part)), slice(None), box.rows, box.columns)
        mixed[place] = other[place]
    precision = torch.promote_types(anchor.dtype, torch.float32)
    shares = torch.tensor([1 - boxes[part].area / (height * width) for part in part_of], dtype=precision)
    return Mixture(mixed, to_device(shares, anchor.device))


def _drawn(height: int, width: int, alpha: float) -> Box:
    """Draw a share, which gives the box its size, and the box's centre; what is beyond the edge is lost."""
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    cut = math.sqrt(1 - share)
    y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    half_y, half_x = int(height * cut) // 2, int(width * cut) // 2
    return Box(
        slice(max(y - half_y, 0), min(y + half_y, height)), slice(max(x - half_x, 0), min(x + half_x, width))
    )
