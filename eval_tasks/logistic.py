"""L2-regularised logistic regression on frozen features, C by cross-validation (arXiv:1805.08974, app.)."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from eval_tasks._logistic.task import RegressionTask
from eval_tasks._shared.outcome import score_test_images
from eval_tasks._shared.protocol_text import centre_crop, trunk
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.runs.task import SETTINGS, Outcome

NAMES = ("logistic",)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Logistic(RegressionTask):
    """The best linear classifier there is on the features, up to its penalty: no rate, no epochs, no chance.

    Multinomial logistic regression by L-BFGS on centre-crop features without augmentation (Kornblith et al.
    2019; SimCLR, app. B.8, uses it for transfer). C is for features that are divided by one number, so that
    their mean squared length is 1, and is chosen by cross-validation on train; then all of train is fitted.
    It is where `linear-cached` would end with endless epochs, and usually lies as far below `linear`.
    """

    version: ClassVar[int] = 2
    cheap: ClassVar[bool] = True
    seeded: ClassVar[bool] = False

    name: str = "logistic"

    @property
    def protocol(self) -> str:
        return (
            f"Multinomial logistic regression on features extracted once from {trunk(self)}, scaled by "
            f"one number to a mean squared length of 1; no augmentation. {centre_crop(self)} for all "
            f"images. {self.how_fitted}. As "
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
        found = self.regressed(features, ctx, f"{self.name} on {backbone.label}")
        return score_test_images(data, found.scores, found.effective)


TASKS = (Logistic(),)
