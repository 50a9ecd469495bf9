"""Fine-tuning of the whole network on 1 % or 10 % of the labels, SwAV's settings (arXiv:2006.09882)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn

from eval_tasks._classifier import stepped
from eval_tasks._finetune import fine_tune, logits, with_head
from eval_tasks._scored import scored
from eval_tasks._words import centre_crop, drops, random_crop
from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification, label_subset, listed_subset, subset_hash
from hsa_bench.core.data_error import DataError
from hsa_bench.core.loading import ordered, stream
from hsa_bench.core.seed import forked
from hsa_bench.core.task import SETTINGS, ClassificationTask, Context, Outcome
from hsa_bench.core.views import centre_view, random_view

NAMES = ("semisup-1", "semisup-10")

TEST_BATCH = 256


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Semisup(ClassificationTask):
    """Trunk and linear head are trained together on the labelled subset, each at its own rate.

    Rates, schedule and augmentation are facebookresearch/swav's (README.md:124-139; eval_semisup.py:61-70,
    174-186): SGD, momentum 0.9, batch 256, rates x0.2 after 60 % and 80 %, no weight decay, random resized
    crop and flip, batch norm in train mode, head initialised as torch does. What is ours: a number of steps
    instead of 20 epochs (which on 1 % of ImageNet are 1,000 steps and elsewhere a few), no batch norm
    across processes, and the last step's number, not the best epoch's on test. The seed draws subset,
    head, order and views.
    """

    version: ClassVar[int] = 1
    main_metric: ClassVar[str] = "top1"
    frozen: ClassVar[bool] = False

    fraction: float = Field(gt=0, le=1)
    """Share of each class that keeps its label, at least one image; without force where `subset` is given."""
    subset: str = ""
    """File that names the labelled images, one a line."""
    subset_digest: str = ""
    """Identity of the images that `subset` names; filled in while planning."""
    steps: PositiveInt = 1000
    batch: PositiveInt = 256
    """The whole subset if that is smaller."""
    trunk_lr: NonNegativeFloat
    """Learning rate of the trunk. Not scaled with the batch."""
    head_lr: PositiveFloat
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 0.0
    milestones: tuple[float, ...] = (0.6, 0.8)
    """Shares of the steps after which both rates drop."""
    gamma: PositiveFloat = 0.2
    """What they are multiplied by then."""
    smallest: float = Field(default=0.08, gt=0, le=1)
    """Least share of the picture's area that a training crop covers."""
    flip: bool = True
    """Whether mirrored pictures mean the same; not so for digits."""

    @property
    def protocol(self) -> str:
        share = f"{self.fraction * 100:g} % of each class (at least one image), drawn by the seed"
        labels = f"the images listed in {Path(self.subset).name}" if self.subset else share
        return (
            f"Fine-tuning of the whole network on the labels of {labels}: {self.steps} steps of SGD "
            f"(trunk rate {self.trunk_lr:g}, head rate {self.head_lr:g}, momentum {self.momentum:g}, weight "
            f"decay {self.weight_decay:g}, batch {self.batch} or the whole subset if smaller, "
            f"{drops(self.milestones, self.gamma, 'steps')}), batch norm in train mode, "
            f"{random_crop(self.smallest, self.flip)}. {centre_crop(self)} for test images, after the last "
            "step. The recipe is SwAV's (Caron et al. 2020, arXiv:2006.09882; facebookresearch/swav "
            "README.md:124-139, eval_semisup.py:61-70,174-186): rates 0.02 / 5 on 1 % and 0.01 / 0.2 on "
            "10 %, batch 256, 20 epochs, x0.2 after epochs 12 and 16, best epoch on test. A stated number of "
            "steps is ours: on small data 20 epochs are only a few dozen."
        )

    def unsupported(self, backbone: Backbone) -> str:
        if not any(True for _ in backbone.module.parameters()):
            return f"{backbone.label} has nothing to fine-tune"
        return ""

    def resolved(self, data: Classification, ctx: Context) -> Self:
        task = super().resolved(data, ctx)
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

    def labelled(self, data: Classification, seed: int, limit: int | None) -> Classification:
        """The data set with the labelled images as its training split."""
        if self.subset:
            return replace(data, train=data.train.subset(self.listed(data))).limited(limit)
        data = data.limited(limit)
        return replace(data, train=data.train.subset(label_subset(data.train.labels, self.fraction, seed)))

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = self.labelled(data, seed, limit)
        size = len(data.train)
        batch = min(self.batch, size)
        view = random_view(self.view, backbone.card, self.smallest, self.flip)
        # Images that do not fill a last batch wait for the next epoch's order.
        train = stream(data.train, [view], batch, seed, self.steps, ctx.workers, drop_last=True)
        test = ordered(data.test, centre_view(self.view, backbone.card), TEST_BATCH, ctx.workers)
        with forked(seed, "fine-tune"):  # for the head, and for networks that draw, e.g. dropout
            network = with_head(backbone, len(data.classes)).to(ctx.device)
            losses = fine_tune(
                network,
                ctx.track(train, f"{self.name} on {backbone.label}", self.steps),
                self.optimiser(network),
                lambda step: stepped(step, self.steps, self.milestones, self.gamma),
                ctx.device,
            )
        effective = {
            "labelled_images": size,
            "subset": subset_hash(data.train.examples, range(size)),
            "batch": batch,
            "epochs": round(self.steps / (size // batch), 2),
        }
        return scored(data.test, logits(network, test, ctx.device), effective, {"train_loss": losses})

    def optimiser(self, network: nn.Sequential) -> torch.optim.Optimizer:
        """SGD with the trunk's and the head's rate."""
        trunk, head = network
        groups = [
            {"params": list(trunk.parameters()), "lr": self.trunk_lr},
            {"params": list(head.parameters()), "lr": self.head_lr},
        ]
        return torch.optim.SGD(groups, momentum=self.momentum, weight_decay=self.weight_decay)


TASKS = (
    Semisup(name="semisup-1", fraction=0.01, trunk_lr=0.02, head_lr=5.0),
    Semisup(name="semisup-10", fraction=0.1, trunk_lr=0.01, head_lr=0.2),
)
