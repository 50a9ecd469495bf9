"""An evaluator outside the repository whose number is an error: in degrees, and lower is better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic.dataclasses import dataclass

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.metric import Metric
from hsa_bench.core.runs.task import SETTINGS, ClassificationTask, Outcome

NAMES = ("angle",)

DRAWS, LAYERS, SHOTS = 5, ("conv1", "conv2", "pool"), (1, 4)


def error(value: float, draws: tuple[float, ...] = ()) -> Metric:
    """Describe a mean angle between what was said and what is there."""
    return Metric(
        name="angle",
        value=value,
        title="angular error",
        unit="degrees",
        better="lower",
        meaning="the mean angle between the direction told and the true one",
        draws=draws,
    )


def metrics(mean: float) -> tuple[Metric, ...]:
    """All numbers of a run whose mean error is known: over draws, at three layers, from few images."""
    draws = tuple(mean * (1 + 0.01 * (i - 2)) for i in range(DRAWS))
    layers = (error(mean + 3 - i).at_layer(layer) for i, layer in enumerate(LAYERS))
    shots = (error(mean + 8 / k, tuple(d + 8 / k for d in draws)).from_shots(k) for k in SHOTS)
    return error(mean, draws), *layers, *shots


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Angle(ClassificationTask):
    """Says how far features of an image turn when it is mirrored."""

    version: ClassVar[int] = 1
    main_metric: ClassVar[str] = "angle"
    frozen: ClassVar[bool] = True
    seeded: ClassVar[bool] = False

    name: str = "angle"

    @property
    def protocol(self) -> str:
        return "Mean angle between the features of a test image and of its mirror image."

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        images = data.limited(limit).test
        pictures = np.stack([np.asarray(images.picture(i), np.float32) for i in range(8)])
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            turned = torch.cosine_similarity(backbone.module(x), backbone.module(x.flip(3)))
        return Outcome(metrics(float(turned.clamp(-1, 1).acos().rad2deg().mean())))


TASKS = (Angle(),)
