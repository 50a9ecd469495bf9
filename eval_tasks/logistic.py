"""L2-regularised logistic regression on frozen features, C by cross-validation (arXiv:1805.08974, app.)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from eval_tasks._frozen import FrozenTask
from eval_tasks._scored import scored
from eval_tasks._softmax_regression import Fit, Regression
from eval_tasks._words import centre_crop, listed, trunk
from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification, Labels
from hsa_bench.core.metrics import topk
from hsa_bench.core.seed import generator
from hsa_bench.core.task import SETTINGS, Context, Outcome

NAMES = ("logistic",)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Logistic(FrozenTask):
    """The best linear classifier there is on the features, up to its penalty: no rate, no epochs, no chance.

    Multinomial logistic regression by L-BFGS on centre-crop features without augmentation (Kornblith et al.
    2019; SimCLR, app. B.8, uses it for transfer). C is for features that are divided by one number, so that
    their mean squared length is 1, and is chosen by cross-validation on train; then all of train is fitted.
    It is where `linear-cached` would end with endless epochs, and usually lies as far below `linear`.
    """

    version: ClassVar[int] = 1
    cheap: ClassVar[bool] = True
    seeded: ClassVar[bool] = False

    name: str = "logistic"
    cs: tuple[PositiveFloat, ...] = Field(default=(0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0), min_length=1)
    """Inverse strengths of the penalty to choose from."""
    folds: int = Field(default=5, ge=2)
    tolerance: PositiveFloat = 1e-4
    """Largest entry of the mean loss's gradient, to weights scaled by curvature, at which a fit ends."""
    tolerance_to_choose: PositiveFloat = 1e-3
    """The same, while C is chosen."""
    iterations: PositiveInt = 1000
    """At most, a fit."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"

    @property
    def protocol(self) -> str:
        return (
            f"Multinomial logistic regression on features extracted once from {trunk(self)}, scaled by "
            f"one number to a mean squared length of 1; no augmentation. {centre_crop(self)} for all "
            "images. Summed cross-entropy times C plus half the squared weights, minimised by L-BFGS "
            f"(gradient below {self.tolerance:g}, {self.tolerance_to_choose:g} while choosing; at most "
            f"{self.iterations} iterations); C among "
            f"{listed(self.cs)} by {self.folds}-fold cross-validation on train, classes balanced. As "
            "Kornblith et al. 2019 (arXiv:1805.08974, app. A.4) and SimCLR (app. B.8), who choose C on a "
            "validation split. Not to be put beside published linear numbers: like `linear-cached` it "
            "usually lies a little below `linear` (74.5 against 75.3 for DINO's ResNet-50 on ImageNet "
            "without and with augmentation, facebookresearch/dino#141)."
        )

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        features = self.features(backbone, data, ctx)
        device = torch.device(ctx.device)
        bank = features.train.features if device.type == "cpu" else features.train.features.to(device)
        regression = Regression(bank, features.train.labels, features.train.classes, device, self.iterations)
        right, unfinished = self._validated(regression, ctx, backbone.label)
        c = max(right, key=lambda c: right[c])
        last = regression.fit(c, self.tolerance)
        effective: dict[str, Any] = {
            "C": c,
            "validated_top1": {f"{c:g}": round(value, 4) for c, value in right.items()},
            "at_the_edge": len(self.cs) > 1 and c in {min(self.cs), max(self.cs)},
            "fits_not_converged": unfinished + (not last.converged),
        }
        return scored(data, last.scores(features.test.features), effective)

    def _validated(self, regression: Regression, ctx: Context, label: str) -> tuple[dict[float, float], int]:
        """Mean accuracy over the folds by C, percent, smallest C first; and how many fits did not end.

        The search ends after two values without a gain, as large C take longest.
        """
        cs, labels = sorted(self.cs), regression.labels
        if len(cs) == 1:
            return {cs[0]: 0.0}, 0
        fold = folds(labels.numpy(), self.folds)
        rows = [torch.from_numpy(np.flatnonzero(fold != held)) for held in range(self.folds)]
        judged = [torch.from_numpy(np.flatnonzero(fold == held)) for held in range(self.folds)]
        fits: list[Fit | None] = [None] * self.folds
        right: dict[float, float] = {}
        unfinished = 0
        for c in ctx.track(cs, f"logistic on {label}", len(cs)):
            accuracy = 0.0
            for held in range(self.folds):  # each starts at the end of the last C
                found = regression.fit(c, self.tolerance_to_choose, rows[held], fits[held])
                scores = found.scores(regression.features[judged[held].to(regression.features.device)])
                accuracy += topk(scores.cpu(), labels[judged[held]], 1) / self.folds
                fits[held] = found
                unfinished += not found.converged
            right[c] = accuracy
            if len(right) > 2 and max(list(right.values())[-2:]) <= max(list(right.values())[:-2]):
                break
        return right, unfinished


def folds(labels: Labels, count: int) -> Labels:
    """A fold for each image, [N] in [0, count): classes spread evenly, the same for every seed and backbone.

    Raises:
        ValueError: A fold would be empty, or leave a classifier nothing to tell apart.
    """
    found = np.empty(len(labels), dtype=np.int64)
    begin = 0
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        order = torch.randperm(len(rows), generator=generator(0, "fold", int(c))).numpy()
        found[rows[order]] = (begin + np.arange(len(rows))) % count
        begin += len(rows)  # so that small classes do not all fall into the first folds
    if any(len(set(labels[found != fold])) < 2 for fold in range(count)) or len(set(found)) < count:
        raise ValueError(
            f"{len(labels)} training images of {len(np.unique(labels))} classes cannot be split into {count} "
            "folds to choose C by; give more images, or a single value of logistic.cs"
        )
    return found


TASKS = (Logistic(),)
