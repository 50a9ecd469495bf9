"""Linear classifier on augmented views through the frozen trunk, by published recipes (arXiv:1911.05722)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat
from pydantic.dataclasses import dataclass
from torch import Tensor

from eval_tasks._linear.grid import Point, held_out_rows
from eval_tasks._linear.grid_task import GridTask
from eval_tasks._linear.recipes import RECIPES
from eval_tasks._shared.protocol_text import centre_crop, departures_in_words, random_crop, trunk
from hsa_bench.core.context import Context
from hsa_bench.core.data.device_views import AugmentOn, DeviceViews
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.loading import stream
from hsa_bench.core.data.views import random_view
from hsa_bench.core.features.forward import FrozenTrunk
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.input.bounds import Decay, Rate
from hsa_bench.core.input.settings import departures
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.processes import gathered_shares, own_range, together
from hsa_bench.core.results.curve import Curve
from hsa_bench.core.results.metric import Metric, percent
from hsa_bench.core.runs.task import SETTINGS, Outcome

NAMES = (
    "linear",
    "linear-simclr",
    "linear-swav",
    "linear-dino",
    "linear-simsiam",
    "linear-mocov3",
    "linear-barlow",
)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Linear(GridTask):
    """SGD on freshly augmented views; the trunk, in eval mode, sees each view once for all heads.

    `linear` is MoCo's recipe and a grid around it; the other names are one recipe each, without a grid. What
    a recipe says, and where, is in `_linear_recipes.py`. `top1` comes from the setting that held-out training
    images choose, after the last epoch; `published_last` and `published_best` from the recipe's own rate and
    decay, after the last epoch (missing if it has diverged by then) and after the best one on test. Which
    of these two the recipe's paper prints is in the protocol; only that one may stand beside the paper's
    number.
    """

    version: ClassVar[int] = 2
    later: ClassVar[frozenset[str]] = frozenset({"augment_on"})

    name: str = "linear"
    lr: Rate
    """The recipe's learning rate; trained beside the grid."""
    per_256: bool
    """Whether it is for 256 images a step and scales with `batch`."""
    weight_decay: Decay
    """The recipe's."""
    trust: NonNegativeFloat = 0.0
    """LARC's trust coefficient; 0 for plain SGD."""
    smallest: float = Field(default=0.08, gt=0, le=1)
    """Least share of the picture's area that a training crop covers."""
    flip: bool = True
    """Whether mirrored pictures mean the same; not so for digits."""
    train_interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """Of the training crops."""
    augment_on: AugmentOn = "cpu"
    """Who makes the training crops: Pillow in loader processes, or the device that computes, from the same
    draws and within a grey level or two of Pillow's pixels."""

    @property
    def recipe(self) -> str:
        """Name of the published recipe."""
        return self.name.partition("-")[2] or "moco"

    @property
    def published(self) -> Point:
        """The recipe's setting, at this batch size."""
        return Point(self.lr * self.batch / 256 if self.per_256 else self.lr, self.weight_decay)

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(dict.fromkeys((self.published, *super().points)))

    @property
    def trust_coefficient(self) -> float:
        return self.trust

    def resolved(self, data: Classification, ctx: Context) -> Self:
        # A rate that scales with the batch follows the images a step really has.
        task = super().resolved(data, ctx)
        return replace(task, batch=min(self.batch, len(data.train)))

    def departures(self) -> dict[str, Any]:
        """Return the settings that are not the recipe's, the number format aside."""
        shared = {"smallest": 0.08, "flip": True, "gamma": 0.1, "milestones": (0.6, 0.8)}
        seen = {"image_size": 224, "resize": 256} if self.image_size else {}
        recipe = {**RECIPES[self.recipe].settings(), **shared, **seen}
        return departures(self, recipe)

    @property
    def protocol(self) -> str:
        recipe = RECIPES[self.recipe]
        scaled = f"{self.lr:g} x batch / 256" if self.per_256 else "not scaled with the batch"
        rule = f"LARC (trust {self.trust:g}) on SGD" if self.trust else "SGD"
        nesterov = ", Nesterov" if self.nesterov else ""
        ours = f" Ours differs: {recipe.deviations}." if recipe.deviations else ""
        changed = departures_in_words(self.departures())
        made = "" if self.augment_on == "cpu" else ", pixels by the device within two grey levels of Pillow's"
        return (
            f"Linear softmax classifier on {trunk(self)}, recipe {self.recipe}: {self.epochs} epochs of "
            f"{rule} (rate {self.published.lr:g}, {scaled}; weight decay {self.weight_decay:g}, momentum "
            f"{self.momentum:g}{nesterov}, batch {self.batch}, {self.fall.words}) on augmented views: "
            f"{random_crop(self.smallest, self.flip, self.train_interpolation)}{made}. {self.grid_in_words} "
            f"published_last and published_best are the A head's at {self.published}, after the last epoch "
            f"and after the best one on test; the paper prints {recipe.prints}. {centre_crop(self)} for "
            f"held-out and test images. Source: {recipe.source}.{ours}{changed}"
        )

    def wants(self, backbone: Backbone, data: Classification, limit: int | None) -> tuple[Wanted, ...]:
        data = data.limited(limit)
        judge = self._judge(data)
        return tuple(self.wanted_of(images) for images in (data.test, judge) if len(images))

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        train, size = data.train, len(data.train)
        test = self.features_of(backbone, data.test, ctx)
        none = replace(test, features=test.features[:0], labels=test.labels[:0])
        held_out = self._judge(data)
        judge = self.features_of(backbone, held_out, ctx) if len(held_out) else none
        grid = self.grid(train.labels, judge.features.shape[1], judge, seed, ctx.device)

        per_epoch = -(-size // self.batch)
        steps = self.epochs * per_epoch
        view = random_view(
            replace(self.view, interpolation=self.train_interpolation),
            backbone.card,
            self.smallest,
            self.flip,
        )
        there = DeviceViews(train, backbone.card, torch.device(ctx.device), self.augment_on)
        frozen_trunk = FrozenTrunk(
            backbone.module, None, ctx.device, self.precision, compile=ctx.compile, say=ctx.say
        )
        loader = stream(train, [there.carried(view)], self.batch, seed, steps, ctx)
        curve: list[float] = []
        batches = ctx.track(loader, f"{self.name} on {backbone.label}", steps)
        for step in range(steps):
            whole = min(self.batch, size - step % per_epoch * self.batch)
            mine = len(own_range(whole))
            with together():
                (carried,), _, index = next(batches)
                x = there.finished(view, carried, index)
                seen = frozen_trunk.checked(x)[:mine]
            grid.step(
                gathered_shares(seen, whole),
                gathered_shares(index[:mine].to(seen.device), whole),
                self.fall.factor(step, steps, per_epoch),
            )
            if (step + 1) % per_epoch == 0:
                grid.end_epoch(per_epoch)
                if len(curve) == step // per_epoch:
                    curve += _finite(grid.judged(test, slice(0, 1)).top1)
        further: tuple[Metric, ...] = ()
        if curve:
            further = (percent("published_best", max(curve), "published top-1, best epoch"),)
        if len(curve) == self.epochs:
            further = (*further, percent("published_last", curve[-1], "published top-1, last epoch"))
        outcome = grid.outcome(data, test, further, self._effective(per_epoch, limit))
        published = Curve(
            name="published_top1", title="published top-1", unit="%", values=tuple(curve), along="epoch"
        )
        return replace(outcome, curves=(*outcome.curves, published))

    def _judge(self, data: Classification) -> ImageSet:
        """Return the held-out training images, on which the setting is chosen."""
        rows = held_out_rows(data.train.labels, self.held_out).nonzero()[:, 0]
        return data.train.subset(rows.tolist())

    def _effective(self, per_epoch: int, limit: int | None) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "paper_prints": RECIPES[self.recipe].prints,
            "as_published": not self.departures() and limit is None,
            "published_lr": self.published.lr,
            "steps_per_epoch": per_epoch,
        }


def _finite(values: Tensor) -> list[float]:
    """Numbers that are some: none once a head has diverged, and it stays so."""
    return [float(value) for value in values if torch.isfinite(value)]


def _task(name: str) -> Linear:
    recipe = RECIPES[name.partition("-")[2] or "moco"]
    single: dict[str, Any] = {} if name == "linear" else {"lrs": (), "weight_decays": ()}
    return Linear(name=name, **recipe.settings(), **single)


TASKS = tuple(_task(name) for name in NAMES)
