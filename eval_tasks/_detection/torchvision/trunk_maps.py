"""A trunk as the body of a detector: its third stage (C4), or a pyramid over its stages (FPN)."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from eval_tasks._detection.settings import DetectionTask
from hsa_bench.core.models.backbone import Trunk

COARSEST = "pool"
"""Name of the last stage subsampled, as torchvision calls it."""


class UpToThirdStage(nn.Module):
    """Everything below the fourth stage of a ResNet; the stage itself goes to the heads."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.below = nn.Sequential(OrderedDict(c for c in trunk.named_children() if c[0] != "layer4"))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[B, 3, H, W] to the map "c4" of stride 16."""
        return {"c4": self.below(x)}


class Pyramid(nn.Module):
    """A trunk under a feature pyramid (Lin et al. 2017, arXiv:1612.03144)."""

    def __init__(self, trunk: nn.Module, task: DetectionTask) -> None:
        super().__init__()
        self.trunk = trunk
        self.stages = task.stages
        every = strides(trunk)
        chosen = [every[stage - 1] for stage in task.stages]
        self.strides = dict(zip([*map(str, task.stages), COARSEST], [*chosen, 2 * chosen[-1]], strict=True))
        self.fpn = FeaturePyramidNetwork(
            [cast(Trunk, trunk).stage_dims[stage - 1] for stage in task.stages],
            task.pyramid_dim,
            extra_blocks=LastLevelMaxPool(),
            norm_layer=nn.BatchNorm2d if task.norm == "batch" else None,
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[B, 3, H, W] to maps, fine to coarse, under the stages' numbers and "pool"."""
        maps = cast(Trunk, self.trunk).stages(x)
        return self.fpn(OrderedDict((str(stage), maps[stage - 1]) for stage in self.stages))


def strides(trunk: nn.Module) -> list[int]:
    """Pixels between neighbours of each stage: 4 to 32, or 1 to 8 with a stem for small images."""
    side = 64
    was = trunk.training
    with torch.no_grad():
        maps = cast(Trunk, trunk.eval()).stages(torch.zeros(1, 3, side, side))
    trunk.train(was)
    return [side // one.shape[-1] for one in maps]
