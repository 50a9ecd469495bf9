"""VOC 2007 classification by linear SVMs, as VISSL and PCL do it (Goyal et al. 2019, arXiv:1905.01235)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from eval_tasks._svm.fit import Problem, Solved, area
from eval_tasks._svm.voc_draws import usable
from eval_tasks._svm.voc_outcomes import outcomes
from eval_tasks._svm.voc_task import PCL, VISSL, VocSvm, costs_tried
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.voc_labels import PRESENT, VocLabels
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST
from hsa_bench.core.results.metric import Metric, percent
from hsa_bench.core.runs.task import SETTINGS, Outcome

NAMES = ("voc-svm", "voc-svm-pcl")

SOURCES = {
    "voc-svm": "VISSL (Goyal et al. 2019, arXiv:1905.01235; facebookresearch/vissl @09270ed vissl/utils/"
    "svm_utils/svm_trainer.py:56-62,122-184,235-257, evaluate.py:9-72; configs/config/benchmark/"
    "linear_image_classification/voc07/eval_resnet_8gpu_transfer_voc07_svm.yaml:10-18,49-55,67-76; "
    "extra_scripts/datasets/create_voc_data_files.py:76-95), which pins scikit-learn 0.24.1 and draws "
    "liblinear's order of images from NumPy's global generator, in threads that share one",
    "voc-svm-pcl": "PCL (Li et al. 2021, arXiv:2005.04966; salesforce/PCL @964da1f eval_svm_voc.py:33,75-108,"
    "120-125,173-174,213-230, voc.py:31-63)",
}


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FullSvm(VocSvm):
    """One linear SVM for each class, learnt from all of VOC 2007 trainval.

    `voc-svm` is VISSL's: two layers of a ResNet, whole pictures, C of each class by cross-validation; `mAP`
    is that of stage4, res5. `voc-svm-pcl` is PCL's: pooled features of the centre crop, C = 0.5, and
    difficult objects count as absent in the test. PCL's ResNet-50 has 82.3 there, PCL v2 85.4 (README.md:
    47-54). The two numbers cannot be compared.
    """

    version: ClassVar[int] = 1

    folds: int = Field(default=3, ge=2)
    """Of the cross-validation that chooses C for each class; a single C is not judged."""

    @property
    def main_metric(self) -> str:
        return "mAP"

    @property
    def protocol(self) -> str:
        chosen = (
            f", chosen for each class by average precision (not interpolated) in {self.folds}-fold "
            "cross-validation on trainval, folds stratified in the order of the images"
        )
        return (
            f"{self.setting}, {costs_tried(self.costs)}{chosen if len(self.costs) > 1 else ''}. {self.rule}. "
            f"No random draw. After {SOURCES[self.name]}."
        )

    def run(self, backbone: Backbone, data: VocLabels, seed: int, limit: int | None, ctx: Context) -> Outcome:
        data = data.limited(limit)
        asked = self.asked(data)
        least = self.folds if len(self.costs) > 1 else 1
        classes = usable(data.train_labels, asked, least, least)
        rows, positive = np.arange(len(data.train)), data.train_labels == PRESENT
        problems = [
            Problem(c, rows, positive[:, c], self.costs, self.max_iter, self.folds) for c in classes.tolist()
        ]
        found = {
            layer: self.solved(backbone, data, problems, lambda _, one: one, ctx, layer)
            for layer in self.layers or (LAST,)
        }
        scores = {  # [C, I], rounded as outcomes keep them
            layer: np.stack([one.scores[0] for one in solved]).astype(np.float32)
            for layer, solved in found.items()
        }
        means = {
            layer: float(np.mean([area(row, asked[:, c]) for row, c in zip(own, classes, strict=True)]))
            for layer, own in scores.items()
        }
        last = next(reversed(found))
        return Outcome(
            metrics=(_metric(means[last]), *(_metric(means[layer]).at_layer(layer) for layer in self.layers)),
            examples=outcomes(data, asked, classes, scores[last]),
            effective=self._effective(data, classes.tolist(), found),
        )

    def _effective(
        self, data: VocLabels, classes: list[int], found: dict[str, list[Solved]]
    ) -> dict[str, Any]:
        names = data.classes
        said: dict[str, Any] = {
            "fits_not_converged": sum(one.unfinished for solved in found.values() for one in solved)
        }
        if len(self.costs) > 1:
            said["C"] = {
                layer: {names[c]: one.costs[0] for c, one in zip(classes, solved, strict=True)}
                for layer, solved in found.items()
            }
        if left := [name for c, name in enumerate(names) if c not in classes]:
            said["classes_left_out"] = left
        return said


def _metric(value: float) -> Metric:
    """Describe the mean average precision of images, which outcomes keep as detections right at any IoU."""
    meaning = "the average precision of each class of image, averaged over classes"
    return percent("mAP", value, "mAP", meaning).model_copy(update={"recompute": "bbox/AP50"})


TASKS = (FullSvm(name="voc-svm", **VISSL), FullSvm(name="voc-svm-pcl", **PCL))
