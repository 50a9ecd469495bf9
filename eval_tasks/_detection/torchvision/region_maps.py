"""Regions cut out of feature maps: RoIAlign (He et al. 2017, arXiv:1703.06870) with aligned pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

CANONICAL_SIDE, CANONICAL_LEVEL = 224, 4
"""A region of this side, px, belongs to the map of stride 2 ** level (arXiv:1612.03144, eq. 1)."""


class RegionMaps(nn.Module):
    """Each region from the map of its size.

    torchvision's own pooling reads half a pixel off (`aligned=False`), Detectron2's does not.
    """

    def __init__(self, strides: Mapping[str, int], side: int, samples: int) -> None:
        """Regions of side x side cells.

        Args:
            strides: Of the maps to read, fine to coarse, by their names.
            side: Cells along each side.
            samples: Points along each side of a cell; 0 by the region's size.
        """
        super().__init__()
        self.strides = dict(strides)
        self.side = side
        self.samples = samples

    def forward(self, maps: Mapping[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Cut out the boxes of each image, px: [n, 4] each to [all n, C, side, side]."""
        images = [torch.full_like(one[:, :1], i) for i, one in enumerate(boxes)]
        regions = torch.cat([torch.cat(images), torch.cat(list(boxes))], dim=1)  # [n, 5]
        if len(self.strides) == 1:
            ((name, stride),) = self.strides.items()
            return self._cut(maps[name], regions, stride)
        levels = [int(math.log2(stride)) for stride in self.strides.values()]
        sides = ((regions[:, 3] - regions[:, 1]) * (regions[:, 4] - regions[:, 2])).sqrt()
        level = torch.floor(CANONICAL_LEVEL + torch.log2(sides / CANONICAL_SIDE + 1e-8))
        level = level.clamp(levels[0], levels[-1])
        own = [torch.nonzero(level == one)[:, 0] for one in levels]
        cut = [
            self._cut(maps[name], regions[here], stride)
            for (name, stride), here in zip(self.strides.items(), own, strict=True)
        ]
        return torch.cat(cut)[torch.cat(own).argsort()]  # back in the order of the boxes

    def _cut(self, one: Tensor, regions: Tensor, stride: int) -> Tensor:
        return roi_align(one, regions, self.side, 1 / stride, self.samples, aligned=True)
