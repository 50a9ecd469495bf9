"""What a detector says of each region: class, box and mask (He et al. 2017, arXiv:1703.06870)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import RoIHeads

from eval_tasks._detection.engine import Size, Target
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.torchvision.proposals import precise
from eval_tasks._detection.torchvision.region_masks import mask_loss

OBJECT_IOU = 0.5

Maps = Mapping[str, Tensor]


@dataclass(frozen=True)
class ResizedDetections:
    """An image's detections in px of its resized self, as the network sees it."""

    boxes: Tensor
    """[n, 4]."""
    labels: Tensor
    """[n], from 1."""
    scores: Tensor
    masks: Tensor | None
    """Probabilities inside each box, [n, M, M]."""


class RegionHeads(RoIHeads):
    """torchvision's matching, drawing and suppression around heads of our own.

    Class 0 is the background, as in torchvision; Detectron2 has it last.
    """

    def __init__(self, parts: RegionParts, task: DetectionTask) -> None:
        super().__init__(
            parts.regions,
            parts.head,
            parts.predictor,
            fg_iou_thresh=OBJECT_IOU,
            bg_iou_thresh=OBJECT_IOU,
            batch_size_per_image=task.roi_batch,
            positive_fraction=task.roi_positive,
            bbox_reg_weights=None,
            score_thresh=task.score_threshold,
            nms_thresh=task.nms,
            detections_per_img=task.detections,
            mask_roi_pool=parts.mask_regions,
            mask_head=parts.mask_head,
        )

    def losses(self, maps: Maps, proposals: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """The parts of the loss; labels of the targets count from 1."""
        boxes, matched, labels, wanted = self.select_training_samples(proposals, targets)
        regions = self.box_roi_pool(maps, boxes)
        logits, offsets = map(precise, self.box_predictor(self.box_head(regions)))
        label = torch.cat(labels)
        positive = torch.nonzero(label > 0)[:, 0]
        own = offsets.view(len(label), -1, 4)[positive, label[positive]]
        aim = torch.cat(list(wanted))[positive]
        losses = {
            "loss_class": F.cross_entropy(logits, label),
            "loss_box": F.l1_loss(own, aim, reduction="sum") / max(1, len(label)),
        }
        if self.mask_head is not None:
            inside = [torch.nonzero(one > 0)[:, 0] for one in labels]
            found = [one[i] for one, i in zip(boxes, inside, strict=True)]
            objects = [one[i] for one, i in zip(matched, inside, strict=True)]
            cut = regions[positive] if self.mask_roi_pool is None else self.mask_roi_pool(maps, found)
            masks = [target["masks"] for target in targets]
            logits = precise(self.mask_head(cut))
            losses["loss_mask"] = mask_loss(logits, found, masks, objects, label[positive] - 1)
        return losses

    def detect(self, maps: Maps, proposals: list[Tensor], sizes: list[Size]) -> list[ResizedDetections]:
        """The best regions of each image."""
        logits, offsets = self.box_predictor(self.box_head(self.box_roi_pool(maps, proposals)))
        boxes, scores, labels = self.postprocess_detections(logits, offsets, proposals, sizes)
        masks = self._masks(maps, boxes, labels)
        return [ResizedDetections(*one) for one in zip(boxes, labels, scores, masks, strict=True)]

    def has_mask(self) -> bool:
        """Whether the base class should ask targets for masks."""
        return self.mask_head is not None

    def _masks(self, maps: Maps, boxes: list[Tensor], labels: list[Tensor]) -> Sequence[Tensor | None]:
        if self.mask_head is None:
            return [None] * len(boxes)
        cut = (self.mask_roi_pool or self.box_roi_pool)(maps, boxes)
        logits = self.mask_head(cut)  # [R, classes, M, M]
        own = logits[torch.arange(len(logits), device=logits.device), torch.cat(labels) - 1]
        return own.sigmoid().split([len(one) for one in boxes])


@dataclass(frozen=True)
class RegionParts:
    """The networks of the heads."""

    regions: nn.Module
    """Maps and boxes to what stands in each box."""
    head: nn.Module
    """That to a vector each."""
    predictor: nn.Module
    """Vectors to logits of classes and offsets of boxes."""
    mask_head: nn.Module | None
    """What stands in each box to logits of its mask, a channel for each class of objects."""
    mask_regions: nn.Module | None = None
    """As `regions`, for masks; None where these are shared."""
