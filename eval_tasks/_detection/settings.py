"""Settings of Mask R-CNN fine-tuning; the defaults are MoCo's COCO FPN 1x as far as torchvision has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from hsa_bench.core.task import SETTINGS, Task

Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class DetectionTask(Task):
    """Fine-tuning of the whole trunk under a feature pyramid and Mask R-CNN's heads."""

    iterations: PositiveInt = 90_000
    batch: PositiveInt = 16
    """Images an iteration."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    lr: PositiveFloat = 0.02
    momentum: NonNegativeFloat = 0.9
    """Of SGD; AdamW takes it for its first beta."""
    weight_decay: NonNegativeFloat = 1e-4
    norm_weight_decay: NonNegativeFloat = 0.0
    """Of the parameters of batch norm."""
    warmup: NonNegativeInt = 1000
    """Iterations over which the learning rate rises linearly from a thousandth."""
    schedule: Literal["steps", "cosine"] = "steps"
    decay_at: tuple[Share, ...] = (2 / 3, 8 / 9)
    """Shares of the iterations after which `steps` multiplies the learning rate by `decay`."""
    decay: Share = 0.1
    clip: NonNegativeFloat = 0.0
    """Largest norm of the gradient; 0 for no limit."""

    flip: bool = True
    """Whether every second training image is mirrored; not so for digits."""
    train_sizes: tuple[PositiveInt, ...] = (640, 672, 704, 736, 768, 800)
    """Shorter side of a training image, px; one is drawn for each image."""
    test_size: PositiveInt = 800
    """Shorter side of a test image, px."""
    max_size: PositiveInt = 1333
    """Limit of the longer side, px; it wins over the shorter one's."""

    norm: Literal["batch", "frozen"] = "batch"
    """`batch`: trained in trunk and pyramid; `frozen`: the trunk's as pretrained, none in the pyramid."""
    precise_batches: NonNegativeInt = 200
    """Batches over which batch norm's statistics are taken anew after training; 0 keeps the running ones."""
    stages: tuple[Literal[1, 2, 3, 4], ...] = (1, 2, 3, 4)
    """Stages of the trunk under the pyramid; stems for small images keep the first at full size."""
    pyramid_dim: PositiveInt = 256
    anchor_sizes: tuple[PositiveInt, ...] = (32, 64, 128, 256, 512)
    """Side of the anchors on each level of the pyramid, px of the resized image: one for each stage, and
    one for the last stage subsampled.
    """
    anchor_ratios: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0)
    """Height by width."""
    rpn_batch: PositiveInt = 256
    """Anchors an image on which proposing is trained."""
    rpn_candidates: tuple[PositiveInt, PositiveInt] = (2000, 1000)
    """Best anchors of each level that go into suppression, training and test."""
    proposals: tuple[PositiveInt, PositiveInt] = (1000, 1000)
    """Proposals an image, training and test."""
    roi_batch: PositiveInt = 512
    """Proposals an image on which the heads are trained."""
    roi_positive: Share = 0.25
    """Largest share of objects among them."""
    roi_samples: PositiveInt = 2
    """Points along each side of a cell from which a proposal's features are interpolated."""
    box_dim: PositiveInt = 1024
    mask_dim: PositiveInt = 256
    mask_layers: PositiveInt = 4

    score_threshold: NonNegativeFloat = 0.05
    nms: Share = 0.5
    """Overlap (IoU) from which the weaker of two detections of one class is dropped."""
    detections: PositiveInt = 100
    """Detections an image, at most."""

    def __post_init__(self) -> None:
        if not self.stages or list(self.stages) != sorted(set(self.stages)):
            raise ValueError(f"stages must name some of 1, 2, 3, 4 in order, not {self.stages}")
        levels = len(self.stages) + 1
        if len(self.anchor_sizes) != levels:
            raise ValueError(
                f"anchor_sizes needs {levels} sizes, one for each level, not {len(self.anchor_sizes)}"
            )
        if not self.train_sizes or not self.anchor_ratios:
            raise ValueError("train_sizes and anchor_ratios must not be empty")
