"""Settings of fine-tuning on few labels: a recipe's numbers, the budget, and the protocol they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from eval_tasks._finetune.finetune import Rates
from eval_tasks._finetune.recipes import RECIPES, SMALL_DATA_RATES, Recipe, recipe_of, share_of
from eval_tasks._shared.protocol_text import centre_crop, departures_in_words, random_crop
from eval_tasks._shared.schedule import Schedule, Shape
from hsa_bench.core.input.bounds import Decay, Deviation, Rate, RateOrNone
from hsa_bench.core.input.settings import departures
from hsa_bench.core.runs.task import SETTINGS, ClassificationTask


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class SemisupSettings(ClassificationTask):
    """Every number of a recipe, and what stands in for its epochs and rates on other data than ImageNet."""

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
    rates: tuple[tuple[RateOrNone, Rate], ...] = Field(default=SMALL_DATA_RATES, min_length=1)
    """Pairs of trunk and head rate to choose from, with budget `steps`; a single pair needs no choice."""
    held_out: float = Field(default=0.2, gt=0, le=0.5)
    """Share of each class of the subset on which the pair is chosen."""
    halve_after: float = Field(default=0.3, ge=0, lt=1)
    """Share of the steps after which the worse half of the pairs stops, judged on the same held-out labels;
    with 0 every pair trains to the end."""
    epochs: PositiveInt
    """With budget `published`."""
    trunk_lr: RateOrNone
    """Learning rate of the trunk, with budget `published`."""
    head_lr: Rate
    per_256: bool = False
    """Whether these two are for 256 images a step and scale with `batch`."""
    batch: PositiveInt = 256
    """The whole subset if that is smaller."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: Decay = 0.0
    schedule: Shape = "step"
    milestones: tuple[float, ...] = (0.6, 0.8)
    """Shares of the training after which stepped rates drop."""
    gamma: PositiveFloat = 0.2
    """What they are multiplied by then."""
    init_std: Deviation | None = None
    """Of the head's weights, with zero bias; none for torch's own initialisation."""
    smallest: float = Field(default=0.08, gt=0, le=1)
    """Least share of the picture's area that a training crop covers."""
    flip: bool = True
    """Whether mirrored pictures mean the same; not so for digits."""

    @property
    def recipe(self) -> str:
        """Name of the published recipe."""
        return recipe_of(self.name)

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

    def departures(self) -> dict[str, Any]:
        """Return the settings that are not the recipe's; none where its budget is not used."""
        own = {"fraction": share_of(self.name), "momentum": 0.9, "weight_decay": 0.0, "smallest": 0.08}
        shared = {"flip": True, "gamma": 0.2, "milestones": (0.6, 0.8)}
        seen = {"image_size": 224, "resize": 256} if self.image_size else {}
        recipe = {**self._source.settings(), **own, **shared, **seen}
        if self.budget != "published":
            return {}
        if self.subset:
            del recipe["fraction"]
        return departures(self, recipe)

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
            f"differs: {recipe.deviations}.{departures_in_words(self.departures())}"
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
            f"{self._halving_in_words}"
        )

    @property
    def _halving_in_words(self) -> str:
        if not self.halve_after:
            return ""
        return (
            f"; after {self.halving_step} of them the pairs that score worse than the better half there stop"
        )

    @property
    def halving_step(self) -> int:
        """Steps after which the worse half of the pairs stops; 0 for never."""
        return max(1, round(self.halve_after * self.steps)) if self.halve_after else 0

    def length(self, images: int) -> tuple[int, int]:
        """Steps in all, and in an epoch, on so many labelled images."""
        batch = min(self.batch, images)
        if self.budget == "published":
            return self.epochs * -(-images // batch), -(-images // batch)
        # Images that do not fill a last batch wait for the next epoch's order.
        return self.steps, images // batch
