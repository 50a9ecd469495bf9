"""Mask R-CNN (He et al. 2017, arXiv:1703.06870) on a pyramid (arXiv:1612.03144) over a trunk's stages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from eval_tasks._detection.settings import DetectionTask
from hsa_bench.core.backbone import Trunk


class Pyramid(nn.Module):
    """A trunk with a feature pyramid over its stages."""

    def __init__(self, trunk: nn.Module, stages: Sequence[int], dim: int, trained_norm: bool) -> None:
        super().__init__()
        self.trunk = trunk.requires_grad_(True)
        self.stages = tuple(stages)
        self.trained_norm = trained_norm
        self.out_channels = dim
        self.fpn = FeaturePyramidNetwork(
            [cast(Trunk, trunk).stage_dims[stage - 1] for stage in stages],
            dim,
            extra_blocks=LastLevelMaxPool(),
            norm_layer=nn.BatchNorm2d if trained_norm else None,
        )
        if not trained_norm:
            for norm in self._trunk_norms():
                norm.requires_grad_(False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[B, 3, H, W] to maps of `out_channels`, fine to coarse, under the stages' numbers and "pool"."""
        maps = cast(Trunk, self.trunk).stages(x)
        return self.fpn(OrderedDict((str(stage), maps[stage - 1]) for stage in self.stages))

    def train(self, mode: bool = True) -> Pyramid:
        """Frozen batch norm keeps its statistics in training too."""
        super().train(mode)
        if not self.trained_norm:
            for norm in self._trunk_norms():
                norm.eval()
        return self

    def _trunk_norms(self) -> list[nn.Module]:
        return [m for m in self.trunk.modules() if isinstance(m, nn.BatchNorm2d)]


def mask_rcnn(trunk: nn.Module, classes: int, task: DetectionTask) -> MaskRCNN:
    """The whole detector; it takes images that are normalised already.

    Args:
        trunk: Becomes part of the detector; hand in a copy. Heads draw from torch's global generator.
        classes: Kinds of objects, background not counted.
        task: Its settings.
    """
    pyramid = Pyramid(trunk, task.stages, task.pyramid_dim, task.norm == "batch")
    levels = [str(stage) for stage in task.stages]
    return MaskRCNN(
        pyramid,
        min_size=list(task.train_sizes),
        max_size=task.max_size,
        image_mean=[0.0, 0.0, 0.0],
        image_std=[1.0, 1.0, 1.0],
        size_divisible=_coarsest_stride(trunk),
        rpn_anchor_generator=AnchorGenerator(
            sizes=tuple((size,) for size in task.anchor_sizes),
            aspect_ratios=(task.anchor_ratios,) * len(task.anchor_sizes),
        ),
        rpn_pre_nms_top_n_train=task.rpn_candidates[0],
        rpn_pre_nms_top_n_test=task.rpn_candidates[1],
        rpn_post_nms_top_n_train=task.proposals[0],
        rpn_post_nms_top_n_test=task.proposals[1],
        rpn_batch_size_per_image=task.rpn_batch,
        box_roi_pool=MultiScaleRoIAlign(levels, output_size=7, sampling_ratio=task.roi_samples),
        box_head=TwoMLPHead(task.pyramid_dim * 7 * 7, task.box_dim),
        box_predictor=FastRCNNPredictor(task.box_dim, classes + 1),
        box_score_thresh=task.score_threshold,
        box_nms_thresh=task.nms,
        box_detections_per_img=task.detections,
        box_batch_size_per_image=task.roi_batch,
        box_positive_fraction=task.roi_positive,
        mask_roi_pool=MultiScaleRoIAlign(levels, output_size=14, sampling_ratio=task.roi_samples),
        mask_head=MaskRCNNHeads(task.pyramid_dim, (task.mask_dim,) * task.mask_layers, 1),
        mask_predictor=MaskRCNNPredictor(task.mask_dim, task.mask_dim, classes + 1),
    )


def _coarsest_stride(trunk: nn.Module) -> int:
    """Pixels between neighbours of the last stage: 32, or 8 with a stem for small images."""
    side = 64
    was = trunk.training
    with torch.no_grad():
        last = cast(Trunk, trunk.eval()).stages(torch.zeros(1, 3, side, side))[-1]
    trunk.train(was)
    return side // last.shape[-1]
