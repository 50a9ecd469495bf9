"""Region proposals (Ren et al. 2015, arXiv:1506.01497) with the losses of Detectron2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.torchvision.anchors import Anchors

OBJECT_IOU, BACKGROUND_IOU, NMS = 0.7, 0.3, 0.7
"""Overlap from which an anchor is an object, below which background, and that proposals may have."""


class PreciseHead(RPNHead):
    """torchvision's head, whose logits and offsets are never below float32.

    Eight bits of an offset or of an anchor would move a box by pixels; Detectron2 decodes in float32 too.
    """

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, offsets = super().forward(x)
        return [*map(precise, logits)], [*map(precise, offsets)]


def precise(x: Tensor) -> Tensor:
    """Convert to float32 what has fewer bits; leave the rest."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Proposals(RegionProposalNetwork):
    """torchvision's network; plain L1 on boxes, and both losses over the anchors that could be drawn."""

    def __init__(self, channels: int, strides: Sequence[int], task: DetectionTask) -> None:
        """A proposal network over maps of those strides, `channels` wide."""
        every = [task.anchor_sizes] if task.head == "c4" else [(size,) for size in task.anchor_sizes]
        anchors = Anchors(every, task.anchor_ratios, strides)
        super().__init__(
            anchors,
            PreciseHead(channels, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=OBJECT_IOU,
            bg_iou_thresh=BACKGROUND_IOU,
            batch_size_per_image=task.rpn_batch,
            positive_fraction=0.5,
            pre_nms_top_n={"training": task.rpn_candidates[0], "testing": task.rpn_candidates[1]},
            post_nms_top_n={"training": task.proposals[0], "testing": task.proposals[1]},
            nms_thresh=NMS,
        )

    def compute_loss(
        self, objectness: Tensor, deltas: Tensor, labels: list[Tensor], wanted: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Loss of objectness and of boxes.

        Args:
            objectness: Logits of all anchors, [N A, 1].
            deltas: Offsets of all anchors, [N A, 4].
            labels: Of each image's anchors, [A]: 1 an object, 0 background, -1 neither.
            wanted: Offsets of each image's anchors to their objects, [A, 4].
        """
        positive, negative = (torch.cat(drawn).bool() for drawn in self.fg_bg_sampler(labels))
        drawable = self.fg_bg_sampler.batch_size_per_image * len(labels)
        drawn = positive | negative
        right = torch.cat(labels)[drawn]
        objects = F.binary_cross_entropy_with_logits(objectness.flatten()[drawn], right, reduction="sum")
        boxes = F.l1_loss(deltas[positive], torch.cat(wanted)[positive], reduction="sum")
        return objects / drawable, boxes / drawable


def initialise(network: nn.Module) -> None:
    """Draw the head's weights as Detectron2 does: normal, std 0.01, no bias."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
