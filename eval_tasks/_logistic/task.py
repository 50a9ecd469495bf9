"""What evaluators by logistic regression share: its settings, and the classifier they give."""

from __future__ import annotations

from dataclasses import dataclass as plain
from typing import Any, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor

from eval_tasks._logistic.choose_c import choose_c
from eval_tasks._logistic.fit import Regression
from eval_tasks._shared.frozen import FrozenTask
from eval_tasks._shared.protocol_text import listed
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.features.extract import Features
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.runs.task import SETTINGS


@plain(frozen=True)
class Regressed:
    """What the best classifier says of the test images."""

    scores: Tensor
    """[N, C]."""
    effective: dict[str, Any]
    """The C that was chosen, by which accuracies, and which fits did not converge."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class RegressionTask(FrozenTask):
    """C is for features divided by one number, so that their mean squared length is 1."""

    cs: tuple[PositiveFloat, ...] = Field(default=(0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0), min_length=1)
    """Inverse strengths of the penalty to choose from."""
    folds: int = Field(default=5, ge=2)
    tolerance: PositiveFloat = 1e-5
    """Largest entry of the mean loss's gradient, to weights scaled by curvature, at which a fit ends."""
    tolerance_to_choose: PositiveFloat = 1e-3
    """The same, while C is chosen."""
    iterations: PositiveInt = 1000
    """At most, a fit."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"

    @property
    def how_fitted(self) -> str:
        """The fit in words, for the protocol; a sentence without its full stop."""
        return (
            "Summed cross-entropy times C plus half the squared weights, minimised by L-BFGS "
            f"(gradient below {self.tolerance:g}, {self.tolerance_to_choose:g} while choosing; at most "
            f"{self.iterations} iterations); C among "
            f"{listed(self.cs)} by {self.folds}-fold cross-validation on train, classes balanced"
        )

    def wants(self, backbone: Backbone, data: Classification, limit: int | None) -> tuple[Wanted, ...]:
        return self.wanted_of_both(data.limited(limit))

    def regressed(self, features: Features, ctx: Context, what: str) -> Regressed:
        """Choose C by cross-validation on train, fit all of train, score test.

        Args:
            features: Of both splits.
            ctx: Where to compute.
            what: Said with the progress.
        """
        train, device = features.train, torch.device(ctx.device)
        regression = Regression(
            train.features.to(device), train.labels, train.classes, device, self.iterations
        )
        choice = choose_c(regression, self.cs, self.folds, self.tolerance_to_choose, ctx, what)
        last = regression.fit(choice.c, self.tolerance, start=choice.near)
        effective = {
            "C": choice.c,
            "validated_top1": {f"{c:g}": round(value, 4) for c, value in choice.top1.items()},
            "at_the_edge": choice.at_the_edge,
            "fits_not_converged": choice.unfinished + (not last.converged),
        }
        return Regressed(last.scores(features.test.features), effective)
