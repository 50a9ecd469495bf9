"""VOC 2007 classification by SVMs from few images a class, as VISSL and PCL do it (arXiv:1905.01235)."""

from __future__ import annotations

from dataclasses import dataclass as plain
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from eval_tasks._shared.protocol_text import listed
from eval_tasks._svm.fit import Problem, Solved, area
from eval_tasks._svm.voc_draws import offered, own_images, shared_images
from eval_tasks._svm.voc_task import PCL, VISSL, VocSvm, costs_tried
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.voc_labels import PRESENT, VocLabels
from hsa_bench.core.data.image_set import Classification, Labels
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST
from hsa_bench.core.results.metric import Metric, percent
from hsa_bench.core.runs.task import SETTINGS, Outcome

NAMES = ("voc-lowshot", "voc-lowshot-pcl")

SOURCES = {
    "voc-lowshot": "VISSL (Goyal et al. 2019, arXiv:1905.01235; facebookresearch/vissl @09270ed "
    "extra_scripts/create_low_shot_samples.py:18-48,164-170; vissl/utils/svm_utils/svm_low_shot_trainer.py:"
    "50-60,88-138,151-178,199-257, evaluate.py:9-72; configs/config/benchmark/low_shot_transfer/voc07/"
    "eval_resnet_8gpu_transfer_voc07_low_shot_svm.yaml:10-15,45-51,63-76)",
    "voc-lowshot-pcl": "PCL (Li et al. 2021, arXiv:2005.04966; salesforce/PCL @964da1f "
    "eval_svm_voc.py:33,51-55,75-108,120-125,173-174,178-239, voc.py:31-63,309-321)",
}


@plain(frozen=True)
class _Drawn:
    """What is measured."""

    classes: NDArray[np.int64]
    ks: list[int]
    problems: list[Problem]
    """By k, then draw, then class."""


@plain(frozen=True)
class _Measured:
    """mAP of one layer, percent, by k, draw and C, [K, R, C]; and fits that did not converge."""

    precision: NDArray[np.float64]
    unfinished: int

    @property
    def best(self) -> NDArray[np.int64]:
        """Which C has the best mean over the draws on test, [K]; of equal ones the first."""
        return self.precision.mean(axis=1).argmax(axis=1)

    @property
    def by_draw(self) -> NDArray[np.float64]:
        """With that C, [K, R]."""
        return np.take_along_axis(self.precision, self.best[:, None, None], axis=2)[:, :, 0]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class LowShotSvm(VocSvm):
    """One linear SVM for each class, learnt from k images that show it and some that do not.

    `voc-lowshot` is VISSL's: each class has images of its own, and of 11 C the one is reported whose mean
    over five draws is best on test, hence `oracle_mAP`. `voc-lowshot-pcl` is PCL's: all classes learn from
    the same images, k for each, with C = 0.5; PCL v2's ResNet-50 has 47.9, 59.6, 66.2, 74.5 and 78.3 there
    (README.md:47-54). The main metric is the mean over k.
    """

    version: ClassVar[int] = 1

    ks: tuple[PositiveInt, ...] = Field(min_length=1)
    """Images of each class; those that a class does not offer are left out."""
    draws: PositiveInt = 5
    """Of training images, for each k."""
    images: Literal["own", "shared"]
    """Whether each class has images of its own, k of it and 19 k others, or all learn from the same 20 k."""

    @property
    def main_metric(self) -> str:
        return "mAP" if len(self.costs) == 1 else "oracle_mAP"

    @property
    def protocol(self) -> str:
        drawn = (
            "each class learns from k images that show it and 19 k that do not"
            if self.images == "own"
            else "all classes learn from the same images, k that show each; one drawn twice counts twice"
        )
        chosen = "; for each k that with the best mean over the draws on test" if len(self.costs) > 1 else ""
        name = self.main_metric
        return (
            f"{self.setting}, {costs_tried(self.costs)}{chosen}. Of k = {listed(self.ks)}, {self.draws} "
            f"draws each, the same for every backbone and not the recipe's: {drawn}. {self.rule}. {name}_k… "
            f"is the mean over the draws, {name} over the k as well; curves hold each draw's. After "
            f"{SOURCES[self.name]}."
        )

    @property
    def trained(self) -> str:
        return "not drawn" if self.images == "own" else "a negative"

    def resolved(self, data: Classification, ctx: Context) -> Self:
        """Whole pictures are resized at once, unless `resize` says otherwise."""
        task = super().resolved(data, ctx)
        return replace(task, resize=task.image_size) if self.squash and not self.resize else task

    def run(self, backbone: Backbone, data: VocLabels, seed: int, limit: int | None, ctx: Context) -> Outcome:
        data = data.limited(limit)
        asked = self.asked(data)
        drawn = self._drawn(data.train_labels, asked)
        found = {
            layer: self._measured(backbone, data, asked, drawn, ctx, layer)
            for layer in self.layers or (LAST,)
        }
        main = next(reversed(found.values()))
        by_k = zip(drawn.ks, main.by_draw, strict=True)
        return Outcome(
            metrics=(
                self._metric(main.by_draw.mean(axis=0)),
                *(self._metric(values).from_shots(k) for k, values in by_k),
                *(self._metric(found[layer].by_draw.mean(axis=0)).at_layer(layer) for layer in self.layers),
            ),
            effective=self._effective(data, drawn, found),
        )

    def _metric(self, draws: NDArray[np.float64]) -> Metric:
        """Describe the main metric by its values at each draw, percent."""
        oracle = len(self.costs) > 1
        chosen = ", with penalties chosen on the test images, as its paper does" if oracle else ""
        meaning = f"the average precision of each class of image, averaged over classes{chosen}"
        title = "oracle mAP" if oracle else "mAP"
        shown = percent(self.main_metric, float(draws.mean()), title, meaning)
        return shown.drawn(tuple(draws.tolist()))

    def _drawn(self, labels: Labels, asked: Labels) -> _Drawn:
        others = labels.shape[1] - 1 if self.images == "own" else 0
        classes, ks = offered(labels, asked, sorted(set(self.ks)), others)
        problems = []
        for k, draw in ((k, draw) for k in ks for draw in range(self.draws)):
            shared = shared_images(labels, classes.tolist(), k, draw) if self.images == "shared" else None
            for c in classes.tolist():
                rows = own_images(labels, c, k, draw) if shared is None else shared
                problems.append(Problem(c, rows, labels[rows, c] == PRESENT, self.costs, self.max_iter))
        return _Drawn(classes, ks, problems)

    def _measured(
        self, backbone: Backbone, data: VocLabels, asked: Labels, drawn: _Drawn, ctx: Context, layer: str
    ) -> _Measured:
        def keep(problem: Problem, one: Solved) -> tuple[list[float], int]:
            return [area(scores, asked[:, problem.c]) for scores in one.scores], one.unfinished

        found = self.solved(backbone, data, drawn.problems, keep, ctx, layer)
        shape = len(drawn.ks), self.draws, len(drawn.classes), len(self.costs)
        areas = np.array([areas for areas, _ in found]).reshape(shape)
        return _Measured(areas.mean(axis=2), sum(unfinished for _, unfinished in found))

    def _effective(self, data: VocLabels, drawn: _Drawn, found: dict[str, _Measured]) -> dict[str, Any]:
        said: dict[str, Any] = {
            "ks": drawn.ks,
            "fits_not_converged": sum(one.unfinished for one in found.values()),
        }
        if len(self.costs) > 1:
            said["C"] = {
                layer: {f"k {k}": self.costs[i] for k, i in zip(drawn.ks, one.best.tolist(), strict=True)}
                for layer, one in found.items()
            }
            said["test_mAP_by_k_and_C"] = {
                layer: {
                    f"k {k}, C {cost:g}": round(value, 4)
                    for k, row in zip(drawn.ks, one.precision.mean(axis=1).tolist(), strict=True)
                    for cost, value in zip(self.costs, row, strict=True)
                }
                for layer, one in found.items()
            }
        if left := [k for k in self.ks if k not in drawn.ks]:
            said["ks_left_out"] = left
        if lost := [name for c, name in enumerate(data.classes) if c not in drawn.classes]:
            said["classes_left_out"] = lost
        if one_sided := sum(bool(one.positive.all()) for one in drawn.problems):
            said["draws_without_negatives"] = one_sided
        return said


TASKS = (
    LowShotSvm(name="voc-lowshot", ks=(1, 2, 4, 8, 16, 32, 64, 96), images="own", **VISSL),
    LowShotSvm(name="voc-lowshot-pcl", ks=(1, 2, 4, 8, 16), images="shared", **PCL),
)
