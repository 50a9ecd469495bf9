"""Linear and kNN classifiers on every layer: where in the network the pictures come apart."""

from __future__ import annotations

from dataclasses import dataclass as plain
from typing import Any, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor

from eval_tasks._logistic.task import RegressionTask
from eval_tasks._shared.nearest import voted
from eval_tasks._shared.outcome import score_test_images
from eval_tasks._shared.protocol_text import centre_crop, trunk
from eval_tasks.knn import Temperature
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.features.accuracy import topk
from hsa_bench.core.features.extract import Features
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import layer_names
from hsa_bench.core.results.metric import Metric, top1
from hsa_bench.core.runs.task import SETTINGS, Outcome

NAMES = ("layers",)


@plain(frozen=True)
class _Measured:
    """One layer."""

    scores: Tensor
    """Of its linear classifier on the test images, [N, C]."""
    metrics: tuple[Metric, Metric]
    """Of the linear classifier and of the vote."""
    effective: dict[str, Any]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Layers(RegressionTask):
    """What each layer knows of the classes: a linear classifier and a kNN vote on its pooled features.

    A ResNet's stem and four stages are pooled to some thousand numbers each, as VISSL does it (Goyal et al.
    2019, arXiv:1905.01235); a vision transformer gives every block's tokens. `top1` and `knn_top1` are those
    of the deepest layer; a loss at earlier layers shows in those before. VISSL trains by SGD with batch norm
    and augmentation; here a logistic regression finds the best there is on features extracted once.
    """

    version: ClassVar[int] = 2
    seeded: ClassVar[bool] = False
    broad: ClassVar[bool] = True

    name: str = "layers"
    layers: tuple[str, ...] = ()
    """Which of them, e.g. ("stage3", "stage4"); empty: all."""
    cs: tuple[PositiveFloat, ...] = Field(default=(1.0, 10.0, 100.0, 1000.0, 10_000.0), min_length=1)
    folds: int = Field(default=3, ge=2)
    k: PositiveInt = 20
    """Neighbours that vote; the whole training split if it is smaller."""
    temperature: Temperature = 0.07
    """Of the vote's weights exp(similarity / temperature)."""

    @property
    def protocol(self) -> str:
        which = ", ".join(self.layers) or "every layer"
        return (
            f"Features of {which}, all from one pass of {trunk(self)}; no augmentation. {centre_crop(self)}. "
            "A ResNet's stem (after its activation) and stages are average-pooled to 12, 6, 4, 3 and 2 "
            "cells a side, as VISSL pools maps of 224 px (facebookresearch/vissl @09270ed, configs/config/"
            "benchmark/linear_image_classification/imagenet1k/eval_resnet_8gpu_transfer_in1k_linear.yaml); "
            "smaller maps to the same cells, or left as they are. Of a vision transformer's blocks the "
            "tokens that the trunk itself gives, after its last norm. top1: multinomial logistic regression "
            f"on a layer's features scaled by one number to a mean squared length of 1. {self.how_fitted}. "
            "VISSL instead trains 28 epochs of SGD with augmentation behind a batch norm: not to be put "
            f"beside its numbers. knn_top1: vote of the {self.k} nearest training images with weights "
            f"exp(cosine / {self.temperature:g}). The main metric is that of the deepest layer. No random "
            "draw."
        )

    @property
    def reads_layers(self) -> bool:
        return True

    def unsupported(self, backbone: Backbone) -> str:
        known = layer_names(backbone.module)
        if not known:
            return "none of its layers is known: only ResNets and vision transformers are looked into"
        unknown = [name for name in self.layers if name not in known]
        return f"it has no layer {unknown[0]!r}; there are {', '.join(known)}" if unknown else ""

    def wants(self, backbone: Backbone, data: Classification, limit: int | None) -> tuple[Wanted, ...]:
        return self.wanted_of_both(data.limited(limit), *self._measured_layers(backbone))

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        names = self._measured_layers(backbone)
        found: dict[str, _Measured] = {}
        for name in names:
            what = f"{name} of {backbone.label}"
            found[name] = self._measured(self.features(backbone, data, ctx, name, *names), ctx, what)
        deepest = found[names[-1]]
        return score_test_images(
            data,
            deepest.scores,
            {
                "C": {name: one.effective["C"] for name, one in found.items()},
                "at_the_edge": [name for name, one in found.items() if one.effective["at_the_edge"]],
                "fits_not_converged": sum(one.effective["fits_not_converged"] for one in found.values()),
                "features": {name: one.effective["features"] for name, one in found.items()},
                "k": min(self.k, len(data.train)),
            },
            further=(
                deepest.metrics[1],
                *(metric.at_layer(name) for name, one in found.items() for metric in one.metrics),
            ),
        )

    def _measured_layers(self, backbone: Backbone) -> list[str]:
        return [n for n in layer_names(backbone.module) if not self.layers or n in self.layers]

    def _measured(self, features: Features, ctx: Context, what: str) -> _Measured:
        train, test = features.train, features.test
        linear = self.regressed(features, ctx, what)
        votes = voted(features, self.k, self.temperature, ctx.device)
        scores = linear.scores.float().cpu()
        return _Measured(
            scores,
            (top1(topk(scores, test.labels, 1)), top1(topk(votes, test.labels, 1)).voted()),
            {**linear.effective, "features": train.features.shape[1]},
        )


TASKS = (Layers(),)
