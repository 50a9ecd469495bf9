"""Anchors at every place of every map (Ren et al. 2015, arXiv:1506.01497), where Detectron2 puts them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList


class Anchors(nn.Module):
    """Boxes of some sizes and shapes around every place.

    torchvision's own are rounded to pixels and spaced by the ratio of image to map, which is not the stride
    where an image is no multiple of it.
    """

    def __init__(
        self, sizes: Sequence[Sequence[float]], ratios: Sequence[float], strides: Sequence[int]
    ) -> None:
        """Anchors for maps of those strides.

        Args:
            sizes: Of the anchors on each map, px: square roots of their areas.
            ratios: Height by width.
            strides: Pixels between neighbours on each map.
        """
        super().__init__()
        self.cells = [_cell(own, ratios) for own in sizes]
        self.strides = tuple(strides)

    def num_anchors_per_location(self) -> list[int]:
        """Anchors at a place of each map."""
        return [len(cell) for cell in self.cells]

    def forward(self, images: ImageList, maps: list[Tensor]) -> list[Tensor]:
        """The anchors of each image, [n, 4]: by map, row, column, size, ratio."""
        grids = [
            _grid(cell, stride, one) for cell, stride, one in zip(self.cells, self.strides, maps, strict=True)
        ]
        return [torch.cat(grids)] * len(images.image_sizes)


def _cell(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Anchors around the origin, [sizes x ratios, 4]."""
    shapes = [(size / ratio**0.5, size * ratio**0.5) for size in sizes for ratio in ratios]
    return torch.tensor([(-w / 2, -h / 2, w / 2, h / 2) for w, h in shapes])


def _grid(cell: Tensor, stride: int, one: Tensor) -> Tensor:
    rows, columns = (torch.arange(n, device=one.device) * stride for n in one.shape[-2:])
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)  # [H W, 1, 4]
    return (places + cell.to(one.device)).reshape(-1, 4)
