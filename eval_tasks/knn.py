"""Weighted kNN vote on frozen features, DINO's settings (Wu et al. 2018, arXiv:1805.01978)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass
from torch.nn.functional import normalize

from eval_tasks._scored import scored
from eval_tasks._words import centre_crop
from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification
from hsa_bench.core.features import extract_both
from hsa_bench.core.neighbours import vote
from hsa_bench.core.task import SETTINGS, ClassificationTask, Context, Outcome

__all__ = ["KNN", "NAMES", "TASKS", "vote"]

NAMES = ("knn",)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class KNN(ClassificationTask):
    """Each test image is classified by the training images whose features are most similar.

    Frozen trunk in eval mode, centre crop, features of unit length, exact cosine search in the whole
    training split; the k nearest vote with weight exp(similarity / temperature). No augmentation, no
    training, no chance. k = 20 and T = 0.07 are DINO's (facebookresearch/dino eval_knn.py:146-147,194-197);
    its bicubic resize is not followed: the view is that of all frozen tasks here.
    """

    version: ClassVar[int] = 1
    main_metric: ClassVar[str] = "top1"
    frozen: ClassVar[bool] = True
    seeded: ClassVar[bool] = False

    name: str = "knn"
    k: PositiveInt = 20
    """Neighbours that vote; the whole training split if it is smaller."""
    temperature: float = Field(default=0.07, gt=0.0113)
    """Of the vote's weights exp(similarity / temperature)."""

    @property
    def protocol(self) -> str:
        return (
            f"Weighted k-nearest-neighbour vote, k = {self.k}, weights exp(cosine / {self.temperature:g}), "
            f"on features of the frozen trunk (eval mode, unit length), exact search in the whole training "
            f"split. {centre_crop(self)}, no augmentation, no training, no random draw. Vote of Wu et al. "
            "2018 (arXiv:1805.01978, sec. 3.4); k = 20 and T = 0.07 are DINO's (facebookresearch/dino "
            "eval_knn.py:146-147,194-197), which resizes bicubically where we resize bilinearly."
        )

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        features = extract_both(backbone, data, self.view, ctx)
        scores = vote(
            normalize(features.test.features.to(ctx.device), dim=1),
            normalize(features.train.features.to(ctx.device), dim=1),
            features.train.labels.to(ctx.device),
            len(data.classes),
            self.k,
            self.temperature,
        )
        return scored(data.test, scores, effective={"k": min(self.k, len(data.train))})


TASKS = (KNN(),)
