"""L2-regularised logistic regression on frozen features, C by cross-validation (arXiv:1805.08974, app.)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from eval_tasks._choose_c import choose_c
from eval_tasks._frozen import FrozenTask
from eval_tasks._scored import scored
from eval_tasks._softmax_regression import Regression
from eval_tasks._words import centre_crop, listed, trunk
from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification
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
        what = f"{self.name} on {backbone.label}"
        choice = choose_c(regression, self.cs, self.folds, self.tolerance_to_choose, ctx, what)
        last = regression.fit(choice.c, self.tolerance)
        effective: dict[str, Any] = {
            "C": choice.c,
            "validated_top1": {f"{c:g}": round(value, 4) for c, value in choice.top1.items()},
            "at_the_edge": choice.at_the_edge,
            "fits_not_converged": choice.unfinished + (not last.converged),
        }
        return scored(data, last.scores(features.test.features), effective)


TASKS = (Logistic(),)
