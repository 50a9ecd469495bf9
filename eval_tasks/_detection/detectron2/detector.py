"""Faster and Mask R-CNN of Detectron2, with MoCo's heads (facebookresearch/moco, detection/train_net.py)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from eval_tasks._detection.detectron2.config import ROI_HEADS, detectron2_config
from eval_tasks._detection.detectron2_trunks import depth
from eval_tasks._detection.engine import Detections, Detector, Size, Target
from eval_tasks._detection.settings import DetectionTask
from hsa_bench.core.checkpoints.detectron2_names import to_detectron2, to_torchvision

PLACES = {"c4": {"": "backbone.", "res5.": "roi_heads.res5."}, "fpn": {"": "backbone.bottom_up."}}
"""Where the trunk's tensors stand in the whole network, by the beginnings of their names."""

LOSSES = {
    "loss_rpn_cls": "loss_objectness",
    "loss_rpn_loc": "loss_proposal_box",
    "loss_cls": "loss_class",
    "loss_box_reg": "loss_box",
    "loss_mask": "loss_mask",
}
"""The parts of the loss, by Detectron2's names."""


class Detectron2Detector(Detector):
    """Detectron2's network behind our interface."""

    def __init__(self, network: nn.Module, head: str) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def losses(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        from detectron2.utils.events import EventStorage

        inputs = [
            {"image": image, "instances": _instances(target, (image.shape[1], image.shape[2]))}
            for image, target in zip(images, targets, strict=True)
        ]
        with _quiet(), EventStorage():  # its losses write statistics into one
            return {LOSSES[name]: value for name, value in self.network(inputs).items()}

    def detect(self, images: list[Tensor], sizes: list[Size]) -> list[Detections]:
        inputs = [
            {"image": image, "height": height, "width": width}
            for image, (height, width) in zip(images, sizes, strict=True)
        ]
        with _quiet():
            every = [one["instances"] for one in self.network(inputs)]
        return [
            Detections(
                boxes=one.pred_boxes.tensor,
                labels=one.pred_classes,
                scores=one.scores,
                masks=one.pred_masks if one.has("pred_masks") else None,
            )
            for one in every
        ]

    def trunk(self) -> dict[str, Tensor]:
        """The trunk's tensors under torchvision's names."""
        here = {}
        for name, tensor in self.network.state_dict().items():
            for start, place in PLACES[self.head].items():
                own = start + name.removeprefix(place)
                if name.startswith(place) and own.startswith(("stem.", "res")):
                    here[own] = tensor
        return to_torchvision({name: t for name, t in here.items() if not name.startswith("res5.norm.")})


def detectron2_detector(trunk: nn.Module, classes: int, task: DetectionTask) -> Detectron2Detector:
    """A detector with a trunk's weights.

    Args:
        trunk: Its tensors are copied. Heads draw from torch's global generator.
        classes: Kinds of objects, background not counted.
        task: Its settings.

    Raises:
        ValueError: Detectron2 cannot hold the trunk; the message says why.
    """
    layers = depth(trunk)
    with _quiet():
        from detectron2.modeling import build_model

        _register_heads()
        detector = Detectron2Detector(build_model(detectron2_config(task, layers, classes)), task.head)
    _fill(detector, trunk.state_dict())
    return detector


def _fill(detector: Detectron2Detector, state: Mapping[str, Tensor]) -> None:
    """Copy every tensor of a trunk to its place, and refuse if one is left over or one is not reached."""
    there = detector.trunk()
    own = {name: tensor for name, tensor in state.items() if name in there or not _is_count(name)}
    if own.keys() != there.keys():
        raise RuntimeError(f"the trunk does not fill Detectron2's: {sorted(own.keys() ^ there.keys())[:4]}")
    places = to_detectron2(own)
    for name, tensor in to_detectron2(there).items():
        if tensor.shape != places[name].shape:
            raise RuntimeError(f"{name}: {tuple(places[name].shape)} does not fit {tuple(tensor.shape)}")
        tensor.copy_(places[name])


def _is_count(name: str) -> bool:
    """Batches seen, which a frozen batch norm does not have and nothing depends on."""
    return name.endswith("num_batches_tracked")


def _instances(target: Target, size: Size) -> Any:
    from detectron2.structures import BitMasks, Boxes, Instances

    objects = Instances(size)
    objects.gt_boxes = Boxes(target["boxes"])
    objects.gt_classes = target["labels"]
    if "masks" in target:
        objects.gt_masks = BitMasks(target["masks"].bool())
    return objects


def _register_heads() -> None:
    """Heads over the third stage whose fourth is followed by a further batch norm, once a process."""
    from detectron2.layers import get_norm
    from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, Res5ROIHeads

    if ROI_HEADS in ROI_HEADS_REGISTRY:
        return

    class WithExtraNorm(Res5ROIHeads):
        @classmethod
        def _build_res5_block(cls, cfg: Any) -> tuple[nn.Sequential, int]:
            stage, dim = super()._build_res5_block(cfg)
            stage.add_module("norm", get_norm(cfg.MODEL.RESNETS.NORM, dim))
            return stage, dim

    WithExtraNorm.__name__ = ROI_HEADS
    ROI_HEADS_REGISTRY.register(WithExtraNorm)


@contextmanager
def _quiet() -> Iterator[None]:
    """Detectron2 calls torch in ways that newer versions warn of; nothing a user can mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(meshgrid|pkg_resources|torch.cuda.amp|deprecated).*")
        yield
