"""Weighted kNN vote on frozen features, by DINO's and InstDisc's settings (arXiv:1805.01978)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor

from eval_tasks._shared.embedding import leave_embedding
from eval_tasks._shared.frozen import FrozenTask
from eval_tasks._shared.nearest import lengths, nearest
from eval_tasks._shared.outcome import score_test_images
from eval_tasks._shared.protocol_text import centre_crop, listed, trunk
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.features.accuracy import topk
from hsa_bench.core.features.extract import FeatureSet
from hsa_bench.core.features.neighbours import Neighbours, cast_votes, vote
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.curve import Sweep
from hsa_bench.core.results.metric import percent
from hsa_bench.core.runs.task import SETTINGS, Outcome

__all__ = ["KNN", "NAMES", "TASKS", "vote"]

NAMES = ("knn", "knn-instdisc")

LEAST_TEMPERATURE = 0.0125
"""Below it a sum of thousands of exp(1 / T) overflows float32."""

Temperature = Annotated[float, Field(gt=LEAST_TEMPERATURE)]

Pair = tuple[int, float]
"""k and T."""

SOURCES = {
    "dino": "k = 20 and T = 0.07 are DINO's (Caron et al. 2021, arXiv:2104.14294, table 2; "
    "facebookresearch/dino @7c446df eval_knn.py:33,146-147,194-197)",
    "instdisc": "k = 200 and T = 0.1 are InstDisc's (Wu et al. 2018, sec. 3.4), as in lightly @e8d317f "
    "lightly/utils/benchmarking/knn.py:13-14",
}


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class KNN(FrozenTask):
    """Each test image is classified by the training images whose features are most similar.

    Frozen trunk, centre crop, features of unit length, exact cosine search in the whole training split;
    the k nearest vote with weight exp(similarity / temperature). No augmentation, no training, no chance.
    `top1` and `top5` are the recipe's. The grid of k and T shows how much they matter; `chosen_top1` is
    that of the pair that classifies the training images best, each by its neighbours other than itself.
    """

    version: ClassVar[int] = 2
    seeded: ClassVar[bool] = False
    cheap: ClassVar[bool] = True

    k: PositiveInt
    """Neighbours that vote; the whole training split if it is smaller."""
    temperature: Temperature
    """Of the vote's weights exp(similarity / temperature)."""
    ks: tuple[PositiveInt, ...] = Field(default=(1, 5, 10, 20, 50, 100, 200), min_length=1)
    """Of the sensitivity grid."""
    temperatures: tuple[Temperature, ...] = Field(default=(0.02, 0.05, 0.07, 0.1, 0.2, 0.5), min_length=1)
    """Of the sensitivity grid."""
    choosers: PositiveInt = 10_000
    """Training images that choose (k, T), spread evenly over train; all of them if there are fewer."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"

    @property
    def recipe(self) -> str:
        """Name of the published recipe."""
        return self.name.partition("-")[2] or "dino"

    @property
    def protocol(self) -> str:
        return (
            f"Weighted k-nearest-neighbour vote, k = {self.k}, weights exp(cosine / {self.temperature:g}), "
            f"on features of {trunk(self)} (unit length), exact search in the whole training split. "
            f"{centre_crop(self)}, no augmentation, no training, no random draw. Vote of Wu et al. 2018 "
            f"(arXiv:1805.01978, sec. 3.4); {SOURCES[self.recipe]}. chosen_top1 has k from "
            f"{listed(self.ks)} and T from {listed(self.temperatures)}, chosen by classifying up to "
            f"{self.choosers:,} training "
            "images by their neighbours other than themselves."
        )

    def wants(self, backbone: Backbone, data: Classification, limit: int | None) -> tuple[Wanted, ...]:
        return self.wanted_of_both(data.limited(limit))

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        features = self.features(backbone, data, ctx)
        ks = sorted({min(k, len(data.train)) for k in (*self.ks, self.k)})
        length = lengths(features.train)
        found = nearest(features.test, features.train, length, ks[-1], ctx.device)
        labels, classes = features.train.labels.to(ctx.device), len(data.classes)
        own = min(self.k, len(data.train))
        scores = cast_votes(found.first(own), labels, classes, self.temperature)
        sensitivity = self._grid(found, labels, features.test.labels, classes, ks)
        chosen, effective = self._chosen(features.train, length, ks, classes, ctx.device)
        outcome = score_test_images(
            data,
            scores,
            effective={"k": own, "recipe": self.recipe, **effective},
            further=(percent("chosen_top1", sensitivity[chosen], "chosen top-1"),) if chosen else (),
            sweeps=(_sweep(sensitivity, (own, self.temperature)),),
        )
        if self.name != NAMES[0]:  # one map of a backbone's features is enough
            return outcome
        return replace(outcome, artefacts=leave_embedding(features.test, data.test, ctx))

    def _grid(
        self, found: Neighbours, labels: Tensor, truth: Tensor, classes: int, ks: Sequence[int]
    ) -> dict[Pair, float]:
        """Top-1 of every (k, T), percent, from one search."""
        truth = truth.to(labels.device)
        return {
            (k, t): round(topk(cast_votes(found.first(k), labels, classes, t), truth, 1), 4)
            for k in ks
            for t in self.temperatures
        }

    def _chosen(
        self, bank: FeatureSet, length: Tensor, ks: Sequence[int], classes: int, device: str
    ) -> tuple[Pair | None, dict[str, Any]]:
        """The (k, T) that classifies the bank best without itself; none where the bank is a single image."""
        ks = [k for k in ks if k < len(bank.labels)]
        if not ks:
            return None, {}
        rows = torch.linspace(0, len(bank.labels) - 1, min(len(bank.labels), self.choosers)).long()
        asked = FeatureSet(bank.features[rows], bank.labels[rows], bank.classes, bank.key)
        found = without(nearest(asked, bank, length, ks[-1] + 1, device), rows.to(device))
        sensitivity = self._grid(found, bank.labels.to(device), asked.labels, classes, ks)
        best = max(sensitivity, key=lambda pair: sensitivity[pair])
        chosen = f"k {best[0]}, T {best[1]:g}"
        return best, {"chosen": chosen, "leave_one_out_top1": sensitivity[best]}


def _sweep(top1: Mapping[Pair, float], own: Pair) -> Sweep:
    """Describe the accuracies that show how much k and T matter."""
    return Sweep(
        name="test_top1_by_k_and_T",
        title="top-1",
        unit="%",
        meaning="on test images, the other of k and T being the recipe's",
        settings=("neighbours k", "temperature T"),
        points=tuple((*map(float, pair), value) for pair, value in top1.items()),
        own=(float(own[0]), own[1]),
        chosen=False,
    )


def without(found: Neighbours, rows: Tensor) -> Neighbours:
    """Neighbours [Q, k + 1] less each query's own row of the bank: [Q, k].

    Args:
        found: Of bank entries in their own bank.
        rows: Where each query stands in the bank, [Q].
    """
    others = found.index != rows[:, None]
    others[others.all(1), -1] = False  # lost among copies of itself: drop the last one
    kept = len(rows), -1
    return Neighbours(found.similarity[others].view(kept), found.index[others].view(kept))


TASKS = (
    KNN(name="knn", k=20, temperature=0.07),
    KNN(name="knn-instdisc", k=200, temperature=0.1, interpolation="bilinear"),
)
