"""Linear classifier on augmented views through the frozen trunk, MoCo's protocol (arXiv:1911.05722)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from eval_tasks._grid import GridTask
from eval_tasks._words import centre_crop, drops, random_crop
from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification
from hsa_bench.core.features import extract_both, frozen_forward
from hsa_bench.core.loading import stream
from hsa_bench.core.task import SETTINGS, Context, Outcome
from hsa_bench.core.views import random_view

NAMES = ("linear",)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Linear(GridTask):
    """SGD on freshly augmented views; the trunk, in eval mode, sees each view once for all heads.

    Defaults are facebookresearch/moco main_lincls.py @132aea9 (lines 57, 79, 87, 92, 235-264, 350-386):
    SGD, momentum 0.9, batch 256, 100 epochs, rate x0.1 at 60 and 80, no weight decay, random resized crop
    and flip, weights from N(0, 0.01). What is ours: the rate is not 30 but chosen from a grid on held-out
    training images, and the number is that of the last epoch, not of the best one on test.
    """

    version: ClassVar[int] = 1

    name: str = "linear"
    smallest: float = Field(default=0.08, gt=0, le=1)
    """Least share of the picture's area that a training crop covers."""
    flip: bool = True
    """Whether mirrored pictures mean the same; not so for digits."""

    @property
    def protocol(self) -> str:
        return (
            f"Linear softmax classifier on the frozen trunk (eval mode): {self.epochs} epochs of SGD "
            f"(momentum {self.momentum:g}, weight decay {self.weight_decay:g}, batch {self.batch}, "
            f"{drops(self.milestones, self.gamma, 'epochs')}) on augmented views: "
            f"{random_crop(self.smallest, self.flip)}. {self.grid_in_words} {centre_crop(self)} for "
            "held-out and test images. MoCo's linear protocol (He et al. 2020, arXiv:1911.05722, sec. 4.1; "
            "facebookresearch/moco main_lincls.py:57,79,87,92,235-264,350-386), which itself trains at "
            "rate 30 and prints the best epoch on test."
        )

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        features = extract_both(backbone, data, self.view, ctx)
        grid = self.grid(features.train, seed, ctx.device)
        per_epoch = -(-len(data.train) // self.batch)
        view = random_view(self.view, backbone.card, self.smallest, self.flip)
        loader = stream(data.train, [view], self.batch, seed, self.epochs * per_epoch, ctx.workers)
        losses = []
        for step, ((x,), labels, index) in enumerate(
            ctx.track(loader, f"linear on {backbone.label}", len(loader))
        ):
            seen = frozen_forward(backbone.module, x, ctx.device)
            losses.append(grid.step(seen, labels, index, self.factor(step // per_epoch)))
        return grid.outcome(data.test, features.test, losses, per_epoch)


TASKS = (Linear(),)
