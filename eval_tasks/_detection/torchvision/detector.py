"""Faster and Mask R-CNN of torchvision's parts, put together to compute what Detectron2 computes."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from eval_tasks._detection.engine import Detections, Detector, Size, Target
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.torchvision import proposals
from eval_tasks._detection.torchvision.head_parts import c4_parts, pyramid_parts
from eval_tasks._detection.torchvision.proposals import Proposals
from eval_tasks._detection.torchvision.region_heads import RegionHeads, ResizedDetections
from eval_tasks._detection.torchvision.region_masks import pasted
from eval_tasks._detection.torchvision.trunk_maps import COARSEST, Pyramid, UpToThirdStage, strides
from hsa_bench.core.models.batch_norm import group_batch_norm


class TorchvisionDetector(Detector):
    """A body that makes maps, proposals from them, and heads over the proposals."""

    def __init__(
        self, body: nn.Module, rpn: Proposals, heads: RegionHeads, divisor: int, frozen: bool
    ) -> None:
        super().__init__()
        self.body = body
        self.rpn = rpn
        self.heads = heads
        self.divisor = divisor
        """Padded images are multiples of this, px."""
        self.frozen = frozen
        """Whether batch norm stays as it was pretrained."""

    def losses(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        batch = _padded(images, self.divisor)
        maps = self.body(batch.tensors)
        from_1 = [{**target, "labels": target["labels"] + 1} for target in targets]  # 0 is the background
        regions, losses = self.rpn(batch, maps, from_1)
        return {
            "loss_objectness": losses["loss_objectness"],
            "loss_proposal_box": losses["loss_rpn_box_reg"],
            **self.heads.losses(maps, regions, from_1),
        }

    def detect(self, images: list[Tensor], sizes: list[Size]) -> list[Detections]:
        batch = _padded(images, self.divisor)
        maps = self.body(batch.tensors)
        regions, _ = self.rpn(batch, maps)
        every = self.heads.detect(maps, regions, batch.image_sizes)
        return [_in_original(*one) for one in zip(every, batch.image_sizes, sizes, strict=True)]

    def train(self, mode: bool = True) -> TorchvisionDetector:
        """Frozen batch norm keeps its statistics in training too."""
        super().train(mode)
        if self.frozen:
            for norm in _norms(self):
                norm.eval()
        return self


def torchvision_detector(trunk: nn.Module, classes: int, task: DetectionTask) -> TorchvisionDetector:
    """A detector over a trunk.

    Args:
        trunk: Becomes part of it; hand in a copy. Heads draw from torch's global generator.
        classes: Kinds of objects, background not counted.
        task: Its settings.
    """
    trunk.requires_grad_(True)
    trained = task.norm == "batch"
    if not trained:
        for norm in _norms(trunk):
            norm.requires_grad_(False)
    body: nn.Module
    if task.head == "c4":
        fourth, dim = trunk.get_submodule("layer4"), int(trunk.dim)  # type: ignore[arg-type]  # a trunk's
        stride = strides(trunk)[2]
        body = UpToThirdStage(trunk)
        parts = c4_parts(fourth, dim, nn.BatchNorm2d(dim) if trained else None, stride, classes, task)
        rpn = Proposals(dim // 2, [stride], task)
        divisor = 1
    else:
        body = Pyramid(trunk, task)
        maps = {name: stride for name, stride in body.strides.items() if name != COARSEST}
        parts = pyramid_parts(maps, classes, task)
        rpn = Proposals(task.pyramid_dim, list(body.strides.values()), task)
        divisor = max(maps.values())
    proposals.initialise(rpn)
    detector = TorchvisionDetector(body, rpn, RegionHeads(parts, task), divisor, frozen=not trained)
    group_batch_norm(detector, groups=1)  # over all processes; alone it is the ordinary layer
    return detector


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def _padded(images: list[Tensor], divisor: int) -> ImageList:
    """One batch, each image at its top left corner; the rest is 0, the mean colour."""
    height, width = (-(-max(image.shape[i] for image in images) // divisor) * divisor for i in (1, 2))
    batch = images[0].new_zeros(len(images), 3, height, width)
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return ImageList(batch, [(image.shape[1], image.shape[2]) for image in images])


def _in_original(resized: ResizedDetections, seen: Size, original: Size) -> Detections:
    height, width = original
    scale = resized.boxes.new_tensor([width / seen[1], height / seen[0]] * 2)
    boxes = resized.boxes * scale
    boxes = boxes.clamp(boxes.new_zeros(4), boxes.new_tensor([width, height] * 2))
    real = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)
    masks = None if resized.masks is None else pasted(resized.masks[real], boxes[real], original)
    return Detections(boxes[real], resized.labels[real] - 1, resized.scores[real], masks)
