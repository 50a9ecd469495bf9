"""The small networks of R-CNN's heads, initialised as in Detectron2."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads

from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.torchvision.region_heads import RegionParts
from eval_tasks._detection.torchvision.region_maps import RegionMaps

C4_SIDE, BOX_SIDE, MASK_SIDE = 14, 7, 14
"""Cells along each side of a region: for C4, and for boxes and masks under FPN."""


class Predictor(nn.Module):
    """A vector to logits of the classes, background first, and an offset for each of them."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(dim, classes + 1)
        self.bbox_pred = nn.Linear(dim, 4 * (classes + 1))
        for layer, std in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[R, dim] to [R, 1 + classes] and [R, 4 (1 + classes)]."""
        return self.cls_score(x), self.bbox_pred(x)


class MeanOverCells(nn.Module):
    """A region to the mean of its cells."""

    def forward(self, x: Tensor) -> Tensor:
        """[R, C, h, w] to [R, C]."""
        return x.mean((2, 3))


class FourthStage(nn.Module):
    """C4: regions of the third stage through the fourth, shared by boxes and masks (arXiv:1512.03385, A)."""

    def __init__(self, cut: RegionMaps, stage: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.cut = cut
        self.stage = stage
        self.norm = norm
        """A further one after the stage, as MoCo has it (arXiv:1911.05722, sec. 4.2)."""

    def forward(self, maps: Mapping[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Maps and boxes to [R, C, 7, 7]."""
        x = self.stage(self.cut(maps, boxes))
        return x if self.norm is None else self.norm(x)


def c4_parts(
    stage: nn.Module, dim: int, norm: nn.Module | None, stride: int, classes: int, task: DetectionTask
) -> RegionParts:
    """Heads over the third stage.

    Args:
        stage: The trunk's fourth, becomes part of the heads.
        dim: Its width.
        norm: Follows it, or None.
        stride: Of the third stage, px.
        classes: Kinds of objects, background not counted.
        task: Settings.
    """
    cut = RegionMaps({"c4": stride}, C4_SIDE, task.roi_samples)
    return RegionParts(
        regions=FourthStage(cut, stage, norm),
        head=MeanOverCells(),
        predictor=Predictor(dim, classes),
        mask_head=_mask_head(dim, 0, classes, task) if task.masks else None,
    )


def pyramid_parts(strides: Mapping[str, int], classes: int, task: DetectionTask) -> RegionParts:
    """Heads over a pyramid whose maps have those strides, fine to coarse."""
    head = TwoMLPHead(task.pyramid_dim * BOX_SIDE**2, task.box_dim)
    for layer in (head.fc6, head.fc7):
        nn.init.kaiming_uniform_(layer.weight, a=1)
        nn.init.zeros_(layer.bias)
    return RegionParts(
        regions=RegionMaps(strides, BOX_SIDE, task.roi_samples),
        head=head,
        predictor=Predictor(task.box_dim, classes),
        mask_head=_mask_head(task.pyramid_dim, task.mask_layers, classes, task) if task.masks else None,
        mask_regions=RegionMaps(strides, MASK_SIDE, task.roi_samples) if task.masks else None,
    )


def _mask_head(channels: int, layers: int, classes: int, task: DetectionTask) -> nn.Sequential:
    convolutions = MaskRCNNHeads(channels, [task.mask_dim] * layers, dilation=1)
    enlarge = nn.ConvTranspose2d(task.mask_dim if layers else channels, task.mask_dim, 2, 2)
    predict = nn.Conv2d(task.mask_dim, classes, 1)
    nn.init.kaiming_normal_(enlarge.weight, mode="fan_out", nonlinearity="relu")
    nn.init.normal_(predict.weight, std=0.001)
    for layer in (enlarge, predict):
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    parts = OrderedDict(convolutions=convolutions, enlarge=enlarge, relu=nn.ReLU(), predict=predict)
    return nn.Sequential(parts)
