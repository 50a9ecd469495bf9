"""Projection heads: the MLP behind the pooled features, and a residual head behind an earlier stage."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1


def mlp_head(dim: int, out: int, bn: bool) -> nn.Sequential:
    """Linear - (BN) - ReLU - Linear, hidden width that of the input (MoCo v2, arXiv:2003.04297).

    Args:
        dim: Width of the pooled features.
        out: Width of the embedding.
        bn: Batch norm after the first layer, as in SimCLR; MoCo v2 has none.
    """
    norm = [nn.BatchNorm1d(dim)] if bn else []
    return nn.Sequential(nn.Linear(dim, dim, bias=not bn), *norm, nn.ReLU(), nn.Linear(dim, out))


class StageHead(nn.Module):
    """Residual blocks with stride, pooling and an MLP: an earlier stage's own way to the embedding.

    The first block brings channels and map size to those of the last stage, so that the extra loss does not
    force semantics into features that still have to be local. Evidence: the authors' follow-up branch
    `mhead`, which puts two bottlenecks of stride 2 on stage 3 (haohang96/moco_group_ShuffleBN @6d4f100);
    we take two basic blocks, and further strided ones below stage 3.
    """

    def __init__(self, channels: int, last: int, stages_below: int, out: int, bn: bool) -> None:
        """Build it.

        Args:
            channels: Of the stage's map.
            last: Channels of the last stage's map.
            stages_below: How many halvings lie between the stage's map and the last one's.
            out: Width of the embedding.
            bn: As for `mlp_head`.
        """
        super().__init__()
        blocks: list[nn.Module] = []
        for _ in range(stages_below):
            width = min(2 * channels, last)
            shortcut = nn.Sequential(conv1x1(channels, width, stride=2), nn.BatchNorm2d(width))
            blocks.append(BasicBlock(channels, width, stride=2, downsample=shortcut))
            channels = width
        blocks.append(BasicBlock(channels, channels))
        self.blocks = nn.Sequential(*blocks)
        self.mlp = mlp_head(channels, out, bn)

    def forward(self, feature_map: Tensor) -> Tensor:
        """[N, C, H, W] to [N, out]."""
        return self.mlp(self.blocks(feature_map).mean((2, 3)))


def halvings(from_side: int, to_side: int) -> int:
    """How often a map's side is halved between two stages."""
    return round(math.log2(from_side / to_side))
