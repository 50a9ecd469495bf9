"""Mask R-CNN fine-tuned with the backbone, box and mask AP on COCO (He et al. 2017, arXiv:1703.06870)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from eval_tasks._detection import words
from eval_tasks._detection.prediction import coco_rows
from eval_tasks._detection.scoring.coco import average_precisions, evaluate, outcomes
from eval_tasks._detection.settings import FPN, DetectionTask
from eval_tasks._detection.transfer import transfer
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import DetectionData, open_coco
from hsa_bench.core.data.detection.digit_scenes import digit_scenes
from hsa_bench.core.data.detection.with_masks import with_masks
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.metric import precision
from hsa_bench.core.runs.task import SETTINGS, Outcome

NAMES = ("coco", "coco-c4-1x", "coco-fpn-1x", "coco-fpn-2x")
DEFAULT = ("coco",)

DIGIT_SCENES = "digit-scenes"


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Coco(DetectionTask):
    """Whole-network fine-tuning for detection and segmentation, measured by COCO's metrics.

    `coco` is MoCo's "2x": Mask R-CNN R50-C4 with a batch norm after the fourth stage, SGD 0.02, 16 images,
    180,000 iterations (facebookresearch/moco@132aea9, detection/configs/coco_R_50_C4_2x_moco.yaml; arXiv:
    1911.05722, table 5). `coco-c4-1x` has 90,000. The pyramids train batch norm in trunk and pyramid and
    leave the heads as they are (the maintainer's settings in its issue 34).
    """

    version: ClassVar[int] = 2
    main_metric: ClassVar[str] = "bbox/AP"
    pyramid_variant: ClassVar[str] = "coco-fpn-1x"

    root: str = ""
    """`digit-scenes`, or a folder in COCO's layout; empty for `coco` below the data root."""

    @property
    def protocol(self) -> str:
        kinds = "Box and mask AP" if self.masks else "Box AP"
        return (
            f"{words.training(self)} {kinds} over IoU .50:.05:.95 by pycocotools: crowd regions count "
            "neither way, a detection in an image without objects is wrong, a mask's size is its own area. "
            "After He et al. 2020 (arXiv:1911.05722; facebookresearch/moco, detection/)."
        )

    def data(self, dataset: str, ctx: Context) -> DetectionData:
        """Open its own data; the run's data set has no boxes."""
        if self.root == DIGIT_SCENES:
            return open_coco(digit_scenes(ctx.cache), DIGIT_SCENES)
        root = Path(self.root).expanduser() if self.root else ctx.data_root / "coco"
        data = open_coco(root, root.name)
        return with_masks(data, f"{self.name}.masks=false") if self.masks else data

    def run(
        self, backbone: Backbone, data: DetectionData, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        tuned = transfer(backbone, data, self, seed, ctx)
        rows = coco_rows(tuned.findings, data.val)
        evaluations = {"bbox": evaluate("bbox", rows, data.val.truth())}
        if self.masks:
            # without its box a mask is small or large by its own area, as in Detectron2
            bare = [{name: value for name, value in row.items() if name != "bbox"} for row in rows]
            evaluations["segm"] = evaluate("segm", bare, data.val.truth("segm"))
        names = dict(zip((p.id for p in data.val.photos), data.val.images.names, strict=True))
        return Outcome(
            metrics=tuple(
                precision(f"{kind}/{name}", value)
                for kind, evaluation in evaluations.items()
                for name, value in average_precisions(evaluation).items()
            ),
            examples=replace(outcomes(names, **evaluations), classes=data.val.class_names),
            curves=tuned.curves,
            artefacts={"detections": tuned.picture},
            effective=tuned.effective,
            images=tuned.images,
            earlier_seconds=tuned.earlier_seconds,
        )


def score(
    detections: Sequence[Mapping[str, Any]] | str | Path, annotations: Mapping[str, Any] | str | Path
) -> dict[str, float]:
    """COCO's numbers for given detections, by pycocotools.

    Args:
        detections: Rows in COCO's results format, or a JSON file of them. Masks are polygons, rasterised at
            the size of the image, or run lengths; without any only boxes are scored.
        annotations: The content of a COCO instances file, or its path.

    Returns:
        `bbox/AP`, `bbox/AP50`, `bbox/AP75`, `bbox/APs`, `bbox/APm`, `bbox/APl` in percent, and the same
        with `segm` where there are masks, less those that no object defines.
    """
    rows: Sequence[Mapping[str, Any]] = _content(detections)
    truth: Mapping[str, Any] = _content(annotations)
    scores = {"bbox": average_precisions(evaluate("bbox", rows, truth))}
    if any("segmentation" in row for row in rows):
        scores["segm"] = average_precisions(evaluate("segm", rows, truth))
    return {f"{kind}/{name}": value for kind, found in scores.items() for name, value in found.items()}


def _content(given: Any) -> Any:
    return json.loads(Path(given).read_bytes()) if isinstance(given, str | Path) else given


TASKS = (
    Coco(name="coco", published="2x"),
    Coco(name="coco-c4-1x", published="1x"),
    Coco(name="coco-fpn-1x", published="1x", **FPN),
    Coco(name="coco-fpn-2x", published="2x", **FPN),
)

if __name__ == "__main__":
    from eval_tasks._detection.preflight import command
    from hsa_bench.core.commands.command import Command

    app = Command()
    app.command()(command(TASKS))
    app()
