"""Linear and kNN classifiers on nine small data sets, each by its own metric (arXiv:1805.08974, table 1)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, Self

import torch
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor

from eval_tasks._logistic.task import RegressionTask
from eval_tasks._shared.nearest import voted
from eval_tasks._shared.outcome import score_test_images
from eval_tasks._shared.protocol_text import centre_crop, trunk
from eval_tasks.knn import Temperature
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.errors import DataError
from hsa_bench.core.features import accuracy
from hsa_bench.core.features.accuracy import topk
from hsa_bench.core.features.extract import Features
from hsa_bench.core.input.bounds import Side
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.metric import Metric, mean_per_class, top1
from hsa_bench.core.runs.task import SETTINGS, Outcome

NAMES = (
    "transfer-cifar10",
    "transfer-cifar100",
    "transfer-stl10",
    "transfer-food101",
    "transfer-cars",
    "transfer-dtd",
    "transfer-aircraft",
    "transfer-pets",
    "transfer-flowers102",
)

PER_CLASS = {"aircraft", "pets", "flowers102"}
"""Sets whose accuracy is a mean over classes (Kornblith et al. 2019, table 1; linusericsson/ssl-transfer
@416913f linear.py:394-406). Their training images are spread evenly over classes."""

SPLITS = {
    "stl10": "train (all 5,000 labelled images, not the ten folds of 1,000) and test",
    "dtd": "train with val, and test, of the first of ten splits",
    "aircraft": "train with val, and test, by variant",
    "pets": "trainval and test, by breed",
    "flowers102": "train with val, and test",
}
"""What is trained and tested on where that is more than train and test."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Transfer(RegressionTask):
    """How well frozen features serve another data set, by a linear classifier and by their neighbours.

    Multinomial logistic regression as in `logistic` (Kornblith et al. 2019; SimCLR, app. B.8) and the vote of
    `knn` on the same features, extracted once: the shorter side is resized to 224 px and 224 px are cropped,
    whatever the size of the pictures; so small ones are enlarged. Official splits. The main metric is the
    field's for that data set; of both classifiers both metrics are given.
    """

    version: ClassVar[int] = 2
    seeded: ClassVar[bool] = False
    own_data: ClassVar[bool] = True

    dataset: str
    """Name of a data set below the data root."""
    metric: Literal["top1", "mean_per_class"]
    """The main one, of the linear classifier."""
    k: PositiveInt = 20
    """Neighbours that vote; the whole training split if it is smaller."""
    temperature: Temperature = 0.07
    """Of the vote's weights exp(similarity / temperature)."""
    image_size: Side = 224
    """Side of the crop, px; 0 is the data set's own."""
    resize: Side = 0
    """Shorter side before the centre crop, px; 0 is the crop's, so that as much as possible is seen."""

    @property
    def main_metric(self) -> str:
        return self.metric

    @property
    def protocol(self) -> str:
        return (
            f"{self.dataset}, {SPLITS.get(self.dataset, 'train and test')}. Features extracted once from "
            f"{trunk(self)}; no augmentation. {centre_crop(self)} for all images, as SimCLR (app. B.8), "
            "which does so at 224 px for every data set; code: linusericsson/ssl-transfer @416913f "
            "linear.py:275-276. Linear: multinomial logistic regression on features scaled by one number to "
            f"a mean squared length of 1. {self.how_fitted}. Sets, splits and metrics of Kornblith et al. "
            "2019 (arXiv:1805.08974, "
            "table 1; STL-10 is not among them). They and SimCLR choose the penalty on a validation split, "
            f"among 45 values from 1e-6 to 1e5; here {len(self.cs)} are tried. "
            f"kNN (knn_…): vote of the {self.k} nearest training images with weights exp(cosine / "
            f"{self.temperature:g}), DINO's (arXiv:2104.14294, table 2), by exact search in all of train. "
            "top1 is the share of test images that are right, mean_per_class its mean over the classes; "
            f"the main one here is {self.metric}. No random draw."
        )

    def data(self, dataset: str, ctx: Context) -> Classification:
        try:
            return super().data(self.dataset, ctx)
        except ValueError as error:  # also of a name that is none: it blocks this task and no other
            raise DataError(str(error)) from error

    def resolved(self, data: Classification, ctx: Context) -> Self:
        task = super().resolved(data, ctx)
        return replace(task, resize=task.image_size) if self.image_size and not self.resize else task

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        features = self.features(backbone, data, ctx)
        linear = self.regressed(features, ctx, f"{self.name} on {backbone.label}")
        k = min(self.k, len(data.train))
        by_class = mean_per_class(_mean_per_class(linear.scores, features))
        further = (by_class, *self._voted(features, k, ctx.device))
        return score_test_images(data, linear.scores, {**linear.effective, "k": k}, further=further)

    def _voted(self, features: Features, k: int, device: str) -> tuple[Metric, Metric]:
        """Both accuracies of the neighbours' vote."""
        scores = voted(features, k, self.temperature, device)
        own = topk(scores, features.test.labels, 1)
        return top1(own).voted(), mean_per_class(_mean_per_class(scores, features)).voted()


def _mean_per_class(scores: Tensor, features: Features) -> float:
    """Of scores of the test images, [N, C]; of equal scores the first class is taken."""
    best = torch.from_numpy(scores.float().cpu().numpy().argmax(axis=1))
    return accuracy.mean_per_class(best, features.test.labels, features.test.classes)


def _task(name: str) -> Transfer:
    dataset = name.removeprefix("transfer-")
    return Transfer(name=name, dataset=dataset, metric="mean_per_class" if dataset in PER_CLASS else "top1")


TASKS = tuple(_task(name) for name in NAMES)
