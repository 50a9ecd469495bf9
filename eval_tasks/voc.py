"""Faster R-CNN fine-tuned with the backbone, box AP on PASCAL VOC (He et al. 2020, arXiv:1911.05722)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic.dataclasses import dataclass

from eval_tasks._detection import words
from eval_tasks._detection.scoring.outcomes import outcomes
from eval_tasks._detection.scoring.voc import precisions, score
from eval_tasks._detection.settings import FPN, DetectionTask
from eval_tasks._detection.transfer import transfer
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.data.detection.voc_folder import open_voc
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.metric import precision
from hsa_bench.core.runs.task import SETTINGS, Outcome

__all__ = ["DEFAULT", "NAMES", "TASKS", "Voc", "score"]

NAMES = ("voc", "voc-fpn")
DEFAULT = ("voc",)

SIZES = tuple(range(480, 801, 32))


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Voc(DetectionTask):
    """Whole-network fine-tuning on VOC 2007 and 2012, measured on VOC 2007 test.

    `voc` is MoCo's: Faster R-CNN R50-C4 with a batch norm after the fourth stage, SGD 0.02, 16 images, 24,000
    iterations, divided by 10 after 18,000 and 22,000, warm-up 100 (facebookresearch/moco@132aea9,
    detection/configs/pascal_voc_R_50_C4_24k_moco.yaml; arXiv:1911.05722, table 2). MoCo v2, 200 epochs:
    AP 57.0, AP50 82.4, AP75 63.6, means of five trials.
    """

    version: ClassVar[int] = 1
    main_metric: ClassVar[str] = "bbox/AP"
    pyramid_variant: ClassVar[str] = "voc-fpn"

    root: str = ""
    """A VOCdevkit folder or any folder in VOC's layout; empty for `VOCdevkit` below the data root."""
    train: tuple[str, ...] = ("VOC2007/trainval", "VOC2012/trainval")
    """Image lists, `folder/list`; a root without such folders has `list` alone, `trainval` or `train`."""
    test: str = "VOC2007/test"
    """As `train`; a root without such folders has `test` or `val`."""
    classes: Literal["voc", "auto"] | tuple[str, ...] = "voc"
    """The twenty of VOC, those that occur in the annotations, or names."""
    use_07_metric: bool = True
    """Precision at 11 recalls, as for VOC 2007; else the area under the curve."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.train:
            raise ValueError("train must name a list of images")
        if self.masks:
            raise ValueError("masks must be false, as VOC's annotations have boxes alone")
        if isinstance(self.classes, tuple) and (
            not self.classes or len(set(self.classes)) < len(self.classes)
        ):
            raise ValueError("classes must be names, each once")

    @property
    def protocol(self) -> str:
        metric = "at eleven recalls (VOC 2007's)" if self.use_07_metric else "as the area under the curve"
        return (
            f"{words.training(self)} Trained on {', '.join(self.train)}, tested on {self.test}. AP over IoU "
            f".50:.05:.95, precision {metric}; difficult objects are learnt and count neither way in the "
            "test, scores are rounded to 3 decimals and boxes to 1 as in Detectron2's evaluator, and a class "
            "without objects is left out of the mean. After He et al. 2020 (arXiv:1911.05722; "
            "facebookresearch/moco, detection/)."
        )

    def data(self, dataset: str, ctx: Context) -> DetectionData:
        """Open its own data; the run's data set has no boxes."""
        root = Path(self.root).expanduser() if self.root else ctx.data_root / "VOCdevkit"
        return open_voc(root, self.train, self.test, self.classes)

    def resolved(self, data: DetectionData, ctx: Context) -> Self:
        """Engine and schedule, and the lists of a folder of one's own, as they stand in the key."""
        resolved = super().resolved(data, ctx)
        if (data.train.images.root / "Annotations").is_dir() and "/" in self.test:
            train = (
                (data.train.annotation_file.stem,) if any("/" in name for name in self.train) else self.train
            )
            resolved = replace(resolved, train=train, test=data.val.annotation_file.stem)
        return resolved

    def run(
        self, backbone: Backbone, data: DetectionData, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        tuned = transfer(backbone, data, self, seed, ctx)
        found = outcomes(tuned.findings, data.val, "voc07" if self.use_07_metric else "voc-area")
        scores = precisions(found)
        classes = scores.pop("classes")
        return Outcome(
            metrics=tuple(precision(f"bbox/{name}", value) for name, value in scores.items()),
            examples=replace(found, classes=data.val.class_names),
            curves=tuned.curves,
            artefacts={"detections": tuned.picture},
            effective={**tuned.effective, "classes_with_objects": classes},
            images=tuned.images,
            earlier_seconds=tuned.earlier_seconds,
        )


VOC: dict[str, Any] = {"published": "24k", "masks": False, "train_sizes": SIZES}

TASKS = (Voc(name="voc", **VOC), Voc(name="voc-fpn", **{**VOC, **FPN}))

if __name__ == "__main__":
    from eval_tasks._detection.preflight import command
    from hsa_bench.core.commands.command import Command

    app = Command()
    app.command()(command(TASKS))
    app()
