"""Classifiers from a few images per class, as logistic regression and as linear SVM."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor

from eval_tasks._logistic.fit import Regression
from eval_tasks._shared.frozen import FrozenTask
from eval_tasks._shared.protocol_text import centre_crop, listed, trunk
from eval_tasks._svm.fit import Problem, solve_all, unit
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification, Labels
from hsa_bench.core.features.accuracy import topk
from hsa_bench.core.features.extract import FeatureSet
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.metric import Metric, percent
from hsa_bench.core.runs.task import SETTINGS, Outcome
from hsa_bench.core.seed import generator

NAMES = ("lowshot",)

PASSES = 2000
"""Over the training images, at most, of an SVM: PCL's and VISSL's."""

Classifier = Literal["logistic", "svm"]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class LowShot(FrozenTask):
    """How far one, two … 96 labelled images per class go, over several draws of them.

    Logistic regression on features standardised by the images drawn, as VISSL has it, and one-against-all
    linear SVMs on features of unit length, as PCL has them. VISSL chooses its penalties on the test images;
    here they are fixed, as a handful of images leaves none to choose by. `logistic` and `svm` are means over
    all numbers of images and all draws; `logistic_k4` is the mean over the draws of four images per class.
    The draws are the same for all backbones, and smaller ones lie within larger ones.
    """

    version: ClassVar[int] = 2
    seeded: ClassVar[bool] = False

    name: str = "lowshot"
    classifiers: tuple[Classifier, ...] = Field(default=("logistic", "svm"), min_length=1)
    """The main metric is that of the first."""
    shots: tuple[PositiveInt, ...] = Field(default=(1, 2, 4, 8, 16, 32, 64, 96), min_length=1)
    """Images per class; numbers that a class does not have are left out."""
    draws: PositiveInt = 5
    decay: PositiveFloat = 1.0
    """Of the logistic regression, whose C is the number of images over it: the largest that VISSL tries."""
    tolerance: PositiveFloat = 1e-5
    """Largest entry of the mean loss's gradient, to weights scaled by curvature, at which its fit ends. At
    1e-3 some numbers were 1.5 points off those of the optimum: few images leave it flat."""
    cost: PositiveFloat = 0.5
    """Of the SVM: PCL's. (With 1,000 classes SVMs take a day; `classifiers=[logistic]` leaves them out.)"""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"

    @property
    def main_metric(self) -> str:
        return self.classifiers[0]

    @property
    def protocol(self) -> str:
        return (
            f"Classifiers from {listed(self.shots)} training images per class (as many of these as the "
            f"smallest class has), each the mean over {self.draws} draws, the same for all backbones. "
            f"Features extracted once from {trunk(self)}; no augmentation. {centre_crop(self)}. logistic: "
            "multinomial logistic regression on features standardised by the images drawn, C = images / "
            f"{self.decay:g} (facebookresearch/vissl @09270ed vissl/utils/low_shot_utils.py:38-74). svm: a "
            f"linear SVM for each class against all others (squared hinge, cost {self.cost:g}, its own "
            "images with weight 2) on features of unit length (salesforce/PCL @964da1f "
            "eval_svm_voc.py:33,173-189). Numbers of images and of draws are those of VISSL's low-shot SVM "
            "(configs/config/benchmark/low_shot_transfer/voc07/eval_resnet_8gpu_transfer_voc07_low_shot_svm"
            ".yaml). VISSL chooses penalties on the test images; here they are fixed. `logistic` and `svm` "
            f"are means over all these numbers of images. Main metric: {self.main_metric}. Its noise is that "
            "of the draws, on the same test images."
        )

    def wants(self, backbone: Backbone, data: Classification, limit: int | None) -> tuple[Wanted, ...]:
        return self.wanted_of_both(data.limited(limit))

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        features = self.features(backbone, data, ctx)
        labels = data.train.labels
        shots = [k for k in sorted({*self.shots}) if k <= _smallest(labels)]
        if not shots:
            raise ValueError(f"lowshot.shots: a class has fewer than {min(self.shots)} training images")
        test = features.test.rows().to(ctx.device)
        truth, names = features.test.labels, tuple(dict.fromkeys(self.classifiers))
        found: dict[str, dict[int, list[float]]] = {name: {k: [] for k in shots} for name in names}
        unfinished = 0
        work = [(draw, k, name) for draw in range(self.draws) for k in shots for name in names]
        for draw, k, name in ctx.track(work, f"lowshot on {backbone.label}", len(work)):
            rows = shot(labels, k, draw)
            bank = features.train
            few = FeatureSet(bank.rows(rows).to(ctx.device), bank.labels[rows], bank.classes, bank.key)
            if name == "svm":
                scores, late = self._svm(few, test)
                unfinished += late
            else:
                scores = self._logistic(few, test)
            found[name][k].append(topk(scores.cpu(), truth, 1))
        return Outcome(
            metrics=tuple(_metrics(found)),
            effective={"shots": shots, "svm_fits_not_converged": unfinished},
        )

    def _logistic(self, few: FeatureSet, test: Tensor) -> Tensor:
        mean, std = few.features.mean(0), few.features.std(0, correction=0)
        std = torch.where(std > 0, std, 1)
        scaled, asked = in_span((few.features - mean) / std, (test - mean) / std)
        regression = Regression(scaled, few.labels, few.classes, scaled.device, iterations=1000)
        c = len(few.labels) / self.decay * regression.unit**2  # it divides features by their length
        return regression.fit(c, self.tolerance).scores(asked)

    def _svm(self, few: FeatureSet, test: Tensor) -> tuple[Tensor, int]:
        """Decision values, [N, C], and how many fits did not end; a class without an image never wins."""
        x, asked = (part.numpy() for part in in_span(*(_unit(f) for f in (few.features, test))))
        labels = few.labels.numpy()
        rows, found = np.arange(len(labels)), [int(c) for c in np.unique(labels)]
        problems = [Problem(c, rows, labels == c, (self.cost,), PASSES) for c in found]
        scores, unfinished = np.full((len(asked), few.classes), -np.inf), 0
        for problem, solved in zip(problems, solve_all(x, asked, problems), strict=True):
            scores[:, problem.c] = solved.scores[0]
            unfinished += solved.unfinished
        return torch.from_numpy(scores), unfinished


def _unit(features: Tensor) -> Tensor:
    return torch.from_numpy(unit(features.cpu().numpy()))


def shot(labels: Labels, k: int, draw: int) -> Tensor:
    """Rows of k images of every class that has any, [k x C]; a smaller k gives a part of them."""
    rows = []
    for c in np.unique(labels):
        own = np.flatnonzero(labels == c)
        order = torch.randperm(len(own), generator=generator(draw, "shots", int(c)))
        rows.append(torch.from_numpy(own)[order[:k]])
    return torch.cat(rows)


def in_span(few: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Features of few images, [n, D], and of others, [N, D], as coordinates in the span of the few.

    A linear classifier with a penalty on the square of its weights has them in that span, so it gives the
    same scores; where there are fewer images than dimensions it is found sooner.
    """
    if len(few) >= few.shape[1]:
        return few, others
    basis = torch.linalg.qr(few.T).Q  # [D, n]
    return few @ basis, others @ basis


def _smallest(labels: Labels) -> int:
    return int(np.unique(labels, return_counts=True)[1].min())


Found = dict[str, dict[int, list[float]]]
"""Top-1 of each draw, percent, by classifier and number of images."""


TITLES: dict[str, tuple[str, str]] = {
    "logistic": (
        "logistic regression",
        "the top-1 of a logistic regression, averaged over several small numbers of images per class",
    ),
    "svm": (
        "linear SVM",
        "the top-1 of linear SVMs, averaged over several small numbers of images per class",
    ),
}
"""Of each classifier's metric the title and what it is."""


def _metrics(found: Found) -> Iterator[Metric]:
    """Every classifier over all numbers of images, then at each; draw by draw for the report's ± and test."""
    for name, by_shot in found.items():
        draws = tuple(fmean(values) for values in zip(*by_shot.values(), strict=True))
        mean = fmean(fmean(values) for values in by_shot.values())
        yield percent(name, mean, *TITLES[name]).drawn(draws)
    for name, by_shot in found.items():
        for k, values in by_shot.items():
            yield percent(name, fmean(values), *TITLES[name]).from_shots(k).drawn(tuple(values))


TASKS = (LowShot(),)
