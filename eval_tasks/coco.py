"""Mask R-CNN fine-tuned with the backbone under FPN, box and mask AP (He et al. 2017, arXiv:1703.06870)."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from eval_tasks._detection.model import mask_rcnn
from eval_tasks._detection.picture import draw_detections
from eval_tasks._detection.prediction import detect
from eval_tasks._detection.samples import with_objects
from eval_tasks._detection.scoring import average_precisions, evaluate, outcomes
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.training import train
from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data_error import DataError
from hsa_bench.core.detection_data import DetectionData, open_coco
from hsa_bench.core.digit_scenes import digit_scenes
from hsa_bench.core.seed import forked
from hsa_bench.core.task import SETTINGS, Context, Outcome

NAMES = ("coco",)

DIGIT_SCENES = "digit-scenes"

CURVE_POINTS = 200
"""The loss curve is averaged down to about this many points."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Coco(DetectionTask):
    """Whole-network fine-tuning for detection, measured by COCO's metrics.

    The defaults are MoCo's COCO schedule "1x" with FPN (facebookresearch/moco@132aea9, `detection/`, and the
    maintainer's settings for FPN in its issue 34): SGD 0.02, 16 images, 90,000 iterations, decay at 60,000
    and 80,000, batch norm trained in trunk and pyramid, its statistics taken anew at the end. It is built of
    torchvision's parts where MoCo's is of Detectron2's; numbers are close, not equal.
    """

    version: ClassVar[int] = 1
    main_metric: ClassVar[str] = "bbox/AP"
    frozen: ClassVar[bool] = False

    source: str = ""
    """`digit-scenes`, or a folder in COCO's layout; empty for `coco` below the data root."""

    @property
    def protocol(self) -> str:
        steps = ", ".join(f"{round(share * self.iterations):,}" for share in self.decay_at)
        decay = "cosine decay" if self.schedule == "cosine" else f"x {self.decay:g} after {steps}"
        norm = "trained in trunk and pyramid" if self.norm == "batch" else "as pretrained"
        sizes = "-".join(str(size) for size in sorted({min(self.train_sizes), max(self.train_sizes)}))
        return (
            f"Mask R-CNN of torchvision on a feature pyramid ({self.pyramid_dim} channels) over the trunk's "
            f"four stages; the whole network is fine-tuned. {self.optimiser.upper()}, learning rate "
            f"{self.lr:g}, weight decay {self.weight_decay:g}, {self.iterations:,} iterations of "
            f"{self.batch} images, warm-up {self.warmup:,}, {decay}; batch norm {norm}. Shorter side {sizes} "
            f"px in training, {self.test_size} px in test; images {'' if self.flip else 'not '}mirrored at "
            f"random. Box and mask AP over IoU .50:.05:.95 by pycocotools, at most {self.detections} "
            "detections an image. After He et al. 2020 (arXiv:1911.05722; facebookresearch/moco, detection/) "
            "with FPN; the schedule is scaled where it differs from 90,000 iterations of 16 images."
        )

    def unsupported(self, backbone: Backbone) -> str:
        return "" if backbone.trunk else f"{backbone.arch} has no stages and nothing to fine-tune"

    def data(self, dataset: str, ctx: Context) -> DetectionData:
        """Open its own data; the run's data set has no boxes."""
        if self.source == DIGIT_SCENES:
            return open_coco(digit_scenes(ctx.cache), DIGIT_SCENES)
        root = Path(self.source).expanduser() if self.source else ctx.data_root / "coco"
        return open_coco(root, root.name)

    def run(
        self, backbone: Backbone, data: DetectionData, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        if not with_objects(data.val):
            raise DataError(f"{data.val.annotation_file}: no test image has an object to find")
        with forked(seed, "heads"):
            model = mask_rcnn(copy.deepcopy(backbone.module), len(data.categories), self)
        losses = train(model, data.train, backbone.card, self, seed, ctx)
        rows = detect(model, data.val, backbone.card, self.test_size, ctx)
        truth = data.val.truth()
        boxes = evaluate("bbox", rows, truth)
        # without its box a mask is small or large by its own area, as in Detectron2
        masks = evaluate("segm", [{k: v for k, v in row.items() if k != "bbox"} for row in rows], truth)
        picture = ctx.artefact("-detections.png")
        draw_detections(picture, data.val, rows)
        names = dict(zip((p.id for p in data.val.photos), data.val.images.names, strict=True))
        return Outcome(
            metrics={
                f"{kind}/{name}": value
                for kind, evaluation in (("bbox", boxes), ("segm", masks))
                for name, value in average_precisions(evaluation).items()
            },
            examples=outcomes(names, boxes, masks),
            curves={"loss": _thinned(losses)},
            artefacts={"detections": picture},
            effective={
                "train_images": len(data.train),
                "val_images": len(data.val),
                "epochs": round(self.iterations * self.batch / len(data.train), 2),
                "dropped_objects": {"train": data.train.dropped, "val": data.val.dropped},
                "detections": len(rows),
            },
        )


def score(
    detections: Sequence[Mapping[str, Any]] | str | Path, annotations: Mapping[str, Any] | str | Path
) -> dict[str, dict[str, float]]:
    """COCO's numbers for given detections.

    Args:
        detections: Rows in COCO's results format, or a JSON file of them. Masks are polygons, rasterised at
            the size of the image, or run lengths; without any only boxes are scored.
        annotations: The content of a COCO instances file, or its path.

    Returns:
        For `bbox`, and for `segm` where there are masks: AP, AP50, AP75, APs, APm, APl in percent, less
        those that no object defines.
    """
    rows: Sequence[Mapping[str, Any]] = _content(detections)
    truth: Mapping[str, Any] = _content(annotations)
    scores = {"bbox": average_precisions(evaluate("bbox", rows, truth))}
    if any("segmentation" in row for row in rows):
        scores["segm"] = average_precisions(evaluate("segm", rows, truth))
    return scores


def _content(given: Any) -> Any:
    return json.loads(Path(given).read_bytes()) if isinstance(given, str | Path) else given


def _thinned(losses: list[float]) -> list[float]:
    """Means over windows of equal length, so that a long run's curve stays small."""
    window = max(1, len(losses) // CURVE_POINTS)
    windows = [losses[i : i + window] for i in range(0, len(losses), window)]
    return [sum(part) / len(part) for part in windows]


TASKS = (Coco(name="coco"),)
