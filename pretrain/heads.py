"""Projection heads: the MLP behind the pooled features, and a residual head behind an earlier stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1


@dataclass(frozen=True)
class Projection:
    """Form of the MLPs."""

    out: int
    """Width of the embedding."""
    layers: int = 2
    """MoCo v2 has two (arXiv:2003.04297), SimCLR's code three (run.py:206 @383d414)."""
    bn: Literal["none", "hidden", "all"] = "none"
    """Batch norm nowhere (MoCo v2), after the hidden layers, or after all of them (SimCLR's code)."""


def mlp_head(dim: int, form: Projection) -> nn.Sequential:
    """Linear - (BN) - ReLU - … - Linear - (BN), hidden width that of the input.

    Behind the last layer a batch norm has no offset, and the layer no bias (google-research/simclr
    model_util.py:157-166 @383d414).

    Args:
        dim: Width of the pooled features.
        form: Width of the embedding, layers, batch norm.
    """
    layers: list[nn.Module] = []
    for _ in range(form.layers - 1):
        layers.append(nn.Linear(dim, dim, bias=form.bn == "none"))
        if form.bn != "none":
            layers.append(nn.BatchNorm1d(dim))
        layers.append(nn.ReLU())
    layers.append(nn.Linear(dim, form.out, bias=form.bn != "all"))
    if form.bn == "all":
        last = nn.BatchNorm1d(form.out)
        last.bias.requires_grad_(False)
        layers.append(last)
    return nn.Sequential(*layers)


class StageHead(nn.Module):
    """Residual blocks with stride, pooling and an MLP: an earlier stage's own way to the embedding.

    The first block brings channels and map size to those of the last stage, so that the extra loss does not
    force semantics into features that still have to be local. Evidence: the authors' follow-up branch
    `mhead`, which puts two bottlenecks, the first of stride 2, on a ResNet-50's stage 3
    (haohang96/moco_group_ShuffleBN @6d4f100). We take the backbone's own kind of block, and a further
    strided one for each stage below. As there, every convolution starts from a normal distribution of
    standard deviation sqrt(2 / (side^2 x channels out)), as a ResNet's own do.
    """

    def __init__(
        self,
        channels: int,
        last: int,
        stages_below: int,
        block: type[BasicBlock | Bottleneck],
        form: Projection,
    ) -> None:
        """Build it.

        Args:
            channels: Of the stage's map.
            last: Channels of the last stage's map.
            stages_below: How many halvings lie between the stage's map and the last one's.
            block: Kind of residual block.
            form: Of the MLP.
        """
        super().__init__()
        blocks: list[nn.Module] = []
        for _ in range(stages_below):
            width = min(2 * channels, last)
            shortcut = nn.Sequential(conv1x1(channels, width, stride=2), nn.BatchNorm2d(width))
            blocks.append(block(channels, width // block.expansion, stride=2, downsample=shortcut))
            channels = width
        blocks.append(block(channels, channels // block.expansion))
        self.blocks = nn.Sequential(*blocks)
        for layer in self.blocks.modules():
            if isinstance(layer, nn.Conv2d):  # a block by itself has torch's default, 0.2 to 0.8 of this
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        self.mlp = mlp_head(channels, form)

    def forward(self, feature_map: Tensor) -> Tensor:
        """[N, C, H, W] to [N, out]."""
        return self.mlp(self.blocks(feature_map).mean((2, 3)))


def halvings(from_side: int, to_side: int) -> int:
    """How often a map's side is halved between two stages."""
    return round(math.log2(from_side / to_side))
