"""Settings of detection transfer; the defaults are MoCo's with R50-C4 (facebookresearch/moco@132aea9)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from eval_tasks._detection.engine import Engine, chosen
from eval_tasks._detection.solver import Published, Solver, scaled
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.data.detection.objects_there import refuse_nothing
from hsa_bench.core.errors import DataError
from hsa_bench.core.input.bounds import Decay, Depth, Many, Rate, Shown, Width
from hsa_bench.core.models.architectures import has_bottlenecks
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.precision import refuse_missing_tf32
from hsa_bench.core.models.vit_names import is_vit
from hsa_bench.core.runs.task import SETTINGS, Task

Share = Annotated[float, Field(gt=0, le=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]

FPN: dict[str, Any] = {
    "head": "fpn",
    "rpn_candidates": (2000, 1000),
    "proposals": (1000, 1000),
}
"""What differs under a feature pyramid (Detectron2's Base-RCNN-FPN.yaml)."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class DetectionTask(Task):
    """Fine-tuning of the whole trunk under R-CNN's heads."""

    frozen: ClassVar[bool] = False
    together: ClassVar[bool] = True
    later: ClassVar[frozenset[str]] = frozenset({"precision"})
    pyramid_variant: ClassVar[str]
    """The variant for backbones that C4 does not take."""

    engine: Engine = "auto"
    """Whose detector it is; `auto` takes Detectron2 where it is installed. Resolved in the key."""
    head: Literal["c4", "fpn"] = "c4"
    """`c4`: regions are cut out of the third stage and go through the fourth; `fpn`: a feature pyramid."""
    masks: bool = True
    """Mask R-CNN; else Faster R-CNN, boxes only."""

    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Number format of the layers in training; `bfloat16` is mixed precision by autocast, as in Detectron2.
    Weights, boxes and losses stay in float32, and so do precise batch-norm statistics and the test.
    """
    published: Published = "2x"
    """The schedule that `batch` scales: 24k, 90k (1x) or 180k (2x) iterations of 16 images."""
    batch: Many = 16
    """Images an iteration. Another than 16 scales learning rate, iterations, warm-up and decay."""
    iterations: PositiveInt | None = None
    """None: the published ones x 16 / batch."""
    lr: Rate | None = None
    """None: 0.02 x batch / 16."""
    warmup: NonNegativeInt | None = None
    """Iterations over which the learning rate rises linearly from a thousandth; None: the published share."""
    decay_at: tuple[PositiveInt, ...] | None = None
    """Iterations after which `steps` multiplies the learning rate by `decay`; None: the published shares."""
    decay: Share = 0.1
    schedule: Literal["steps", "cosine"] = "steps"
    optimiser: Literal["sgd", "adamw"] = "sgd"
    momentum: Momentum = 0.9
    """Of SGD; AdamW takes it for its first beta."""
    weight_decay: Decay = 1e-4
    norm_weight_decay: Decay = 0.0
    """Of the parameters of batch norm."""
    clip: NonNegativeFloat = 0.0
    """Largest norm of the gradient; 0 for no limit."""

    flip: bool = True
    """Whether every second training image is mirrored; not so for digits."""
    train_sizes: tuple[Shown, ...] = (640, 672, 704, 736, 768, 800)
    """Shorter side of a training image, px; one is drawn for each image."""
    test_size: Shown = 800
    """Shorter side of a test image, px."""
    max_size: Shown = 1333
    """Limit of the longer side, px; it wins over the shorter one's."""
    alike: PositiveInt = 2
    """So many images in a row are all upright or all wide, as on each of the reference's eight GPUs."""

    norm: Literal["batch", "frozen"] = "batch"
    """`batch`: over all processes, trained in trunk and pyramid, and a further one after the fourth stage
    of C4; `frozen`: the trunk's as pretrained, no other.
    """
    precise_batches: NonNegativeInt = 200
    """Batches over which batch norm's statistics are taken anew after training; 0 keeps the running ones."""
    stages: tuple[Literal[1, 2, 3, 4], ...] = (1, 2, 3, 4)
    """Stages of the trunk under the pyramid; stems for small images keep the first at full size."""
    pyramid_dim: Width = 256
    anchor_sizes: tuple[Shown, ...] = (32, 64, 128, 256, 512)
    """Side of the anchors, px of the resized image. C4: all at every place. FPN: one for each stage, and
    one for the last stage subsampled.
    """
    anchor_ratios: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0)
    """Height by width."""
    rpn_batch: Many = 256
    """Anchors an image on which proposing is trained."""
    rpn_candidates: tuple[Many, Many] = (12_000, 6000)
    """Best anchors, of each level, that go into suppression, training and test."""
    proposals: tuple[Many, Many] = (2000, 1000)
    """Proposals an image, training and test."""
    roi_batch: Many = 512
    """Proposals an image on which the heads are trained."""
    roi_positive: Share = 0.25
    """Largest share of objects among them."""
    roi_samples: Depth = 0
    """Points along each side of a cell from which a region's features are interpolated; 0: by its size."""
    box_dim: Width = 1024
    """Width of the two layers over a region under FPN; C4 has the fourth stage instead."""
    mask_dim: Width = 256
    mask_layers: Depth = 4
    """Convolutions before a mask is enlarged, under FPN; C4 has none."""

    score_threshold: Annotated[float, Field(ge=0, le=1)] = 0.05
    nms: Share = 0.5
    """Overlap (IoU) from which the weaker of two detections of one class is dropped."""
    detections: Many = 100
    """Detections an image, at most."""

    def __post_init__(self) -> None:
        if not self.stages or list(self.stages) != sorted(set(self.stages)):
            raise ValueError(f"stages must name some of 1, 2, 3, 4 in order, not {self.stages}")
        levels = len(self.stages) + 1
        if self.head == "fpn" and len(self.anchor_sizes) != levels:
            raise ValueError(
                f"anchor_sizes needs {levels} sizes, one for each level, not {len(self.anchor_sizes)}"
            )
        if not self.train_sizes or not self.anchor_ratios or not self.anchor_sizes:
            raise ValueError("train_sizes, anchor_sizes and anchor_ratios must not be empty")

    @abstractmethod
    def data(self, dataset: str, ctx: Context) -> DetectionData:
        """Open its own data; the run's data set has no boxes.

        Raises:
            DataError: Something is missing or broken; the message names it.
        """

    @property
    def solver(self) -> Solver:
        """Learning rate and iterations in force."""
        numbers = scaled(self.published, self.batch, self.lr, self.iterations, self.warmup, self.decay_at)
        return replace(numbers, shape=self.schedule, decay=self.decay)

    def resolved(self, data: Any, ctx: Context) -> Self:
        """Engine and schedule as they stand in the key.

        Raises:
            DataError: The engine that was asked for is not installed, or there is nothing to learn or find.
        """
        if data is not None:
            refuse_nothing(data)
        if self.engine == "detectron2" and chosen("auto") != "detectron2":
            raise DataError(
                f"{self.name}: Detectron2 is not installed (docs/detection.md says how); or set "
                f"{self.name}.engine=torchvision"
            )
        refuse_missing_tf32(self.precision, ctx.device)
        solver = self.solver
        return replace(
            self,
            engine=chosen(self.engine),
            lr=solver.lr,
            iterations=solver.iterations,
            warmup=solver.warmup,
            decay_at=solver.decay_at,
        )

    def unsupported(self, backbone: Backbone) -> str:
        if is_vit(backbone.arch):
            return (
                f"{backbone.arch} is a vision transformer: its tokens have one scale, and C4 and FPN need "
                "the four of a ResNet (ViTDet is another protocol)"
            )
        if not backbone.trunk:
            if not any(True for _ in backbone.module.parameters()):
                return f"{backbone.arch} has no stages and nothing to fine-tune"
            return f"{backbone.arch} has no stages; a module of one's own needs stages(x) and stage_dims"
        count = len(backbone.trunk.stage_dims)
        if self.head == "fpn" and count < max(self.stages):
            named = ", ".join(map(str, self.stages))
            return f"{backbone.arch} has {count} stages, and the pyramid is built on stages {named}"
        if self.head == "c4" and not (
            has_bottlenecks(backbone.module) and hasattr(backbone.module, "layer4")
        ):
            return (
                f"{backbone.arch} has no bottleneck blocks, and C4 is made for these (ResNet-50, 101); "
                f"use {self.pyramid_variant}"
            )
        if self.engine == "detectron2":
            from eval_tasks._detection.detectron2_trunks import refusal

            return refusal(backbone.module)
        return ""
