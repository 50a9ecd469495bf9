"""Fine-tuning of the whole network on 1 % or 10 % of the labels, by published recipes (arXiv:2006.09882)."""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from eval_tasks._finetune import Diverged, Rates, fine_tune, logits, with_head
from eval_tasks._schedule import Schedule, Shape
from eval_tasks._scored import scored
from eval_tasks._semisup_recipes import RECIPES, SMALL_DATA_RATES, Recipe
from eval_tasks._words import centre_crop, departures, random_crop
from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification, ImageSet, balanced, label_subset, listed_subset, subset_hash
from hsa_bench.core.data_error import DataError
from hsa_bench.core.loading import ordered, stream
from hsa_bench.core.metrics import topk
from hsa_bench.core.seed import forked
from hsa_bench.core.task import SETTINGS, ClassificationTask, Context, Outcome
from hsa_bench.core.views import centre_view, random_view

NAMES = (
    "semisup-1",
    "semisup-10",
    "semisup-1-simclr",
    "semisup-10-simclr",
    "semisup-1-barlow",
    "semisup-10-barlow",
    "semisup-1-vicreg",
    "semisup-10-vicreg",
)
DEFAULT = ("semisup-1", "semisup-10")

TEST_BATCH = 256
IMAGENET = "imagenet"


@plain_dataclass(frozen=True)
class Fitted:
    """A fine-tuned network."""

    network: nn.Sequential
    losses: list[float]
    """Of each step, nats."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Semisup(ClassificationTask):
    """Trunk and linear head are trained together on the labelled subset, each at its own rate.

    Two budgets. On ImageNet the recipe's epochs at the recipe's rates: `_semisup_recipes.py` has the
    numbers and their lines. On other data these epochs are a few dozen steps, so there it is a stated
    number of steps, at the pair of rates, from a few published pairs, that a fifth of the subset's labels
    chooses: the same pairs and the same labels for every backbone. The seed draws subset, head, order and
    views. Batch norm is in train mode, and the number is the last step's.
    """

    version: ClassVar[int] = 2
    main_metric: ClassVar[str] = "top1"
    frozen: ClassVar[bool] = False

    fraction: float = Field(gt=0, le=1)
    """Share of each class that keeps its label, at least one image; without force where `subset` is given."""
    subset: str = ""
    """File that names the labelled images, one a line, e.g. the official lists of ImageNet."""
    subset_digest: str = ""
    """Identity of the images that `subset` names; filled in while planning."""
    budget: Literal["auto", "published", "steps"] = "auto"
    """`published`: the recipe's epochs and rates. `steps`: `steps`, at a pair of `rates` chosen on held-out
    labels. `auto`: published on ImageNet, steps elsewhere."""
    steps: PositiveInt = 1000
    """With budget `steps`."""
    rates: tuple[tuple[NonNegativeFloat, PositiveFloat], ...] = Field(default=SMALL_DATA_RATES, min_length=1)
    """Pairs of trunk and head rate to choose from, with budget `steps`; a single pair needs no choice."""
    held_out: float = Field(default=0.2, gt=0, le=0.5)
    """Share of each class of the subset on which the pair is chosen."""
    epochs: PositiveInt
    """With budget `published`."""
    trunk_lr: NonNegativeFloat
    """Learning rate of the trunk, with budget `published`."""
    head_lr: PositiveFloat
    per_256: bool = False
    """Whether these two are for 256 images a step and scale with `batch`."""
    batch: PositiveInt = 256
    """The whole subset if that is smaller."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0
    schedule: Shape = "step"
    milestones: tuple[float, ...] = (0.6, 0.8)
    """Shares of the training after which stepped rates drop."""
    gamma: PositiveFloat = 0.2
    """What they are multiplied by then."""
    init_std: NonNegativeFloat | None = None
    """Of the head's weights, with zero bias; none for torch's own initialisation."""
    smallest: float = Field(default=0.08, gt=0, le=1)
    """Least share of the picture's area that a training crop covers."""
    flip: bool = True
    """Whether mirrored pictures mean the same; not so for digits."""

    @property
    def recipe(self) -> str:
        """Name of the published recipe."""
        return _recipe_of(self.name)

    @property
    def published_rates(self) -> Rates:
        """The recipe's rates at this batch size."""
        scale = self.batch / 256 if self.per_256 else 1.0
        return Rates(self.trunk_lr * scale, self.head_lr * scale)

    @property
    def fall(self) -> Schedule:
        """How the rates fall."""
        return Schedule(self.schedule, self.milestones, self.gamma)

    @property
    def _source(self) -> Recipe:
        return RECIPES[self.recipe, share_of(self.name)]

    def changed(self) -> dict[str, Any]:
        """Settings that are not the recipe's, where its budget is used."""
        own = {"fraction": share_of(self.name), "momentum": 0.9, "weight_decay": 0.0, "smallest": 0.08}
        shared = {"flip": True, "gamma": 0.2, "milestones": (0.6, 0.8)}
        seen = {"image_size": 224, "resize": 256} if self.image_size else {}
        recipe = {**self._source.settings(), **own, **shared, **seen}
        if self.budget != "published":
            return {}
        if self.subset:
            del recipe["fraction"]
        return {name: getattr(self, name) for name, value in recipe.items() if getattr(self, name) != value}

    @property
    def protocol(self) -> str:
        recipe = self._source
        share = f"{self.fraction * 100:g} % of each class (at least one image), drawn by the seed"
        labels = f"the images listed in {Path(self.subset).name}" if self.subset else share
        nesterov = ", Nesterov" if self.nesterov else ""
        how = self.fall.words.replace("by epoch", "by step") if self.budget == "steps" else self.fall.words
        init = "torch's initialisation" if self.init_std is None else f"weights from N(0, {self.init_std:g})"
        return (
            f"Fine-tuning of the whole network on the labels of {labels}, recipe {self.recipe}: "
            f"{self._budget_in_words}, batch {self.batch} or the whole subset if smaller, "
            f"{how}, SGD (momentum {self.momentum:g}{nesterov}, weight decay {self.weight_decay:g}), head "
            f"with {init}, batch norm in train mode, {random_crop(self.smallest, self.flip)}. "
            f"{centre_crop(self)} for test images, after the last step. Source: {recipe.source}. Ours "
            f"differs: {recipe.departures}.{departures(self.changed())}"
        )

    @property
    def _budget_in_words(self) -> str:
        if self.budget == "published":
            return f"epochs: {self.epochs}, at rates {self.published_rates}"
        if len(self.rates) == 1:
            ours = f"{self.steps} steps (ours; the recipe: {self.epochs} epochs)"
            return f"{ours} at rates {Rates(*self.rates[0])}"
        pairs = "; ".join(str(Rates(*pair)) for pair in self.rates)
        return (
            f"{self.steps} steps (ours; the recipe's {self.epochs} epochs would be few steps on small "
            f"data) at the rates, among {pairs}, that score best (of equal ones the first) on a "
            f"class-balanced {self.held_out * 100:g} % of the subset's labels after as many steps on the rest"
        )

    def unsupported(self, backbone: Backbone) -> str:
        if not any(True for _ in backbone.module.parameters()):
            return f"{backbone.label} has nothing to fine-tune"
        return ""

    def resolved(self, data: Classification, ctx: Context) -> Self:
        task = super().resolved(data, ctx)
        if self.budget == "auto":
            task = replace(task, budget="published" if data.name == IMAGENET else "steps")
        if task.budget == "steps":  # at rates that do not scale with the batch
            task = replace(task, batch=min(self.batch, 256))
        if not self.subset:
            return task
        return replace(task, subset_digest=subset_hash(data.train.examples, self.listed(data)))

    def listed(self, data: Classification) -> list[int]:
        """The training images that `subset` names.

        Raises:
            DataError: They are not those that were planned with, or not all there.
        """
        chosen = listed_subset(data.train.examples, Path(self.subset))
        found = subset_hash(data.train.examples, chosen)
        if self.subset_digest not in ("", found):
            raise DataError(
                f"{self.subset}: names images {found}, but {self.subset_digest} were planned with"
            )
        return chosen

    def drawn(self, data: Classification, seed: int, limit: int | None) -> tuple[Classification, list[int]]:
        """The data, limited, and the rows of train whose labels may be used."""
        if not self.subset:
            data = data.limited(limit)
            return data, label_subset(data.train.labels, self.fraction, seed)
        rows = self.listed(data)
        if limit is None:
            return data, rows
        # As many of the listed images first: a limit on all images could leave none of them.
        labels = data.train.labels
        rows = [rows[i] for i in balanced(labels[rows], limit, seed=0)]
        kept = sorted({*rows, *balanced(labels, limit, seed=0)})
        limited = replace(data.limited(limit), train=data.train.subset(kept))
        return limited, [kept.index(row) for row in rows]

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data, rows = self.drawn(data, seed, limit)
        labelled = data.train.subset(rows)
        rates, effective = self.choose(backbone, labelled, seed, ctx)
        fitted, further = self.fitted(backbone, data.train, rows, rates, seed, ctx)
        steps, per_epoch = self.length(len(labelled))
        effective |= {
            "labelled_images": len(labelled),
            "subset": subset_hash(labelled.examples, range(len(labelled))),
            "batch": min(self.batch, len(labelled)),
            "epochs": round(steps / per_epoch, 2),
            **further,
        }
        scores = self.scores(fitted.network, data.test, backbone, ctx)
        return scored(data, scores, effective, {"train_loss": fitted.losses})

    def fitted(
        self, backbone: Backbone, train: ImageSet, rows: list[int], rates: Rates, seed: int, ctx: Context
    ) -> tuple[Fitted, dict[str, Any]]:
        """The network that is scored on test, and what was decided on the way."""
        return self.fit(backbone, train.subset(rows), rates, seed, ctx), {}

    def choose(
        self, backbone: Backbone, labelled: ImageSet, seed: int, ctx: Context
    ) -> tuple[Rates, dict[str, Any]]:
        """Rates, by the recipe or by labels held out of the subset.

        Raises:
            ValueError: The loss diverged at every pair.
        """
        pairs = [Rates(*pair) for pair in self.rates]
        if self.budget == "published" or len(pairs) == 1:
            rates = self.published_rates if self.budget == "published" else pairs[0]
            return rates, {"rates": str(rates)}
        held = _spare(labelled, self.held_out, seed)
        if not held:
            return pairs[0], {"rates": f"{pairs[0]} (no label to spare)"}
        judge = labelled.subset(held)
        rest = labelled.subset(sorted(set(range(len(labelled))) - set(held)))
        merit: dict[Rates, float] = {}
        for pair in pairs:
            try:
                network = self.fit(backbone, rest, pair, seed, ctx).network
            except Diverged:
                continue
            scores, labels = self.scores(network, judge, backbone, ctx), torch.from_numpy(judge.labels)
            if torch.isfinite(scores).all():
                merit[pair] = topk(scores, labels, 1)
        if not merit:
            raise ValueError(f"the loss diverged at every pair of {self.name}.rates; add lower ones")
        # Of equal ones the first: on a few labels the loss prefers a network that has learnt nothing.
        best = max(merit, key=lambda pair: merit[pair])
        return best, {
            "rates": str(best),
            "held_out_top1": {str(pair): round(found, 4) for pair, found in merit.items()},
            "held_out_images": len(held),
            "diverged": [str(pair) for pair in pairs if pair not in merit],
        }

    def length(self, images: int) -> tuple[int, int]:
        """Steps in all, and in an epoch, on so many labelled images."""
        batch = min(self.batch, images)
        if self.budget == "published":
            return self.epochs * -(-images // batch), -(-images // batch)
        # Images that do not fill a last batch wait for the next epoch's order.
        return self.steps, images // batch

    def fit(self, backbone: Backbone, labelled: ImageSet, rates: Rates, seed: int, ctx: Context) -> Fitted:
        """Fine-tune a copy of the backbone under a new head.

        Raises:
            Diverged: The loss is not a number any more.
        """
        steps, per_epoch = self.length(len(labelled))
        by_step = self.budget == "steps"
        batch = min(self.batch, len(labelled))
        view = random_view(self.view, backbone.card, self.smallest, self.flip)
        train = stream(labelled, [view], batch, seed, steps, ctx.workers, drop_last=by_step)
        with forked(seed, "fine-tune"):  # for the head, and for networks that draw, e.g. dropout
            network = with_head(backbone, len(labelled.classes), self.init_std).to(ctx.device)
            losses = fine_tune(
                network,
                ctx.track(train, f"{self.name} on {backbone.label}, {rates}", steps),
                self.optimiser(network, rates),
                lambda step: self.fall.factor(step, steps, 1 if by_step else per_epoch),
                ctx.device,
            )
        return Fitted(network, losses)

    def scores(self, network: nn.Module, images: ImageSet, backbone: Backbone, ctx: Context) -> Tensor:
        """Logits of images through the centre view, [N, C]."""
        batches = ordered(images, centre_view(self.view, backbone.card), TEST_BATCH, ctx.workers)
        return logits(network, batches, ctx.device)

    def optimiser(self, network: nn.Sequential, rates: Rates) -> torch.optim.Optimizer:
        """SGD with the trunk's and the head's rate."""
        trunk, head = network
        groups = [
            {"params": list(trunk.parameters()), "lr": rates.trunk},
            {"params": list(head.parameters()), "lr": rates.head},
        ]
        return torch.optim.SGD(
            groups, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov
        )


def _spare(labelled: ImageSet, share: float, seed: int) -> list[int]:
    """Images to choose rates on: the same share of each class, but never a class's only image."""
    counts = {c: int((labelled.labels == c).sum()) for c in set(labelled.labels.tolist())}
    drawn = label_subset(labelled.labels, share, seed)
    return [row for row in drawn if counts[int(labelled.labels[row])] > 1]


def share_of(name: str) -> float:
    """Share of the labels that a task's name means, e.g. 0.01 for `semisup-1-simclr`."""
    return {"1": 0.01, "10": 0.1}[name.split("-")[1]]


def settings_of(name: str, recipe: str) -> dict[str, Any]:
    """Name and settings of a task: its recipe's."""
    fraction = share_of(name)
    return {"name": name, "fraction": fraction, **RECIPES[recipe, fraction].settings()}


def _recipe_of(name: str) -> str:
    return "".join(name.split("-")[2:]) or "swav"


TASKS = tuple(Semisup(**settings_of(name, _recipe_of(name))) for name in NAMES)
