"""Fine-tuning of the whole network on 1 % or 10 % of the labels, by published recipes (arXiv:2006.09882)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from eval_tasks._finetune.finetune import Rates, logits, with_head
from eval_tasks._finetune.rates import RateSearch, best_rates
from eval_tasks._finetune.recipes import recipe_of, settings_of
from eval_tasks._finetune.settings import SemisupSettings
from eval_tasks._finetune.training import Training
from eval_tasks._shared.outcome import score_test_images, training_loss
from hsa_bench.core.context import Context
from hsa_bench.core.data.decode_check import check_decoding
from hsa_bench.core.data.device_views import normalised
from hsa_bench.core.data.held_images import held
from hsa_bench.core.data.image_set import (
    Classification,
    ImageSet,
    balanced,
    label_subset,
    listed_subset,
    subset_hash,
)
from hsa_bench.core.data.loading import Batch, ordered, stream
from hsa_bench.core.data.views import centre_view, random_view
from hsa_bench.core.errors import DataError
from hsa_bench.core.input.user_path import user_path
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.runs.task import SETTINGS, Outcome
from hsa_bench.core.seed import forked, generator_states, seed_device

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


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Semisup(SemisupSettings):
    """Trunk and linear head are trained together on the labelled subset, each at its own rate.

    Two budgets. On ImageNet the recipe's epochs at the recipe's rates: `_finetune/recipes.py` has the
    numbers and their lines. On other data these epochs are a few dozen steps, so there it is a stated
    number of steps, at the pair of rates, from a few published pairs, that a fifth of the subset's labels
    chooses: the same pairs and the same labels for every backbone. The worse half of the pairs stops early.
    The seed draws subset, head, order and views. Batch norm is in train mode, and the number is the last
    step's.
    """

    version: ClassVar[int] = 3
    main_metric: ClassVar[str] = "top1"
    frozen: ClassVar[bool] = False

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
        chosen = listed_subset(data.train.examples, user_path(self.subset))
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
        check_decoding(self.read_late(data.train, rows), ctx, "training pictures")
        train = held(data.train, rows, ctx.workers)
        labelled = train.subset(rows)
        rates, effective = self.choose(backbone, labelled, seed, ctx)
        training, further = self.fitted(backbone, train, rows, rates, seed, ctx)
        steps, per_epoch = self.length(len(labelled))
        effective |= {
            "recipe": self.recipe,
            "labelled_images": len(labelled),
            "subset": subset_hash(labelled.examples, range(len(labelled))),
            "batch": min(self.batch, len(labelled)),
            "epochs": round(steps / per_epoch, 2),
            **further,
        }
        scores = self.scores(training.network, data.test, backbone, ctx)
        return score_test_images(data, scores, effective, (training_loss(training.losses, "step"),))

    def read_late(self, train: ImageSet, rows: list[int]) -> ImageSet:
        """Training pictures of which some are first read after a training: to choose rates by."""
        return train.subset(rows)

    def fitted(
        self, backbone: Backbone, train: ImageSet, rows: list[int], rates: Rates, seed: int, ctx: Context
    ) -> tuple[Training, dict[str, Any]]:
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

        search = RateSearch(
            begin=lambda pair, rest: self.begin(backbone, rest, pair, seed, ctx),
            score=lambda training, judge: self.scores(training.network, judge, backbone, ctx),
            steps=self.steps,
            halving=self.halving_step,
        )
        return best_rates(pairs, labelled, self.held_out, seed, search)

    def fit(self, backbone: Backbone, labelled: ImageSet, rates: Rates, seed: int, ctx: Context) -> Training:
        """Fine-tune a copy of the backbone under a new head.

        Raises:
            Diverged: The loss is not a number any more.
        """
        training = self.begin(backbone, labelled, rates, seed, ctx)
        training.go_on(self.length(len(labelled))[0])
        return training

    def begin(
        self, backbone: Backbone, labelled: ImageSet, rates: Rates, seed: int, ctx: Context
    ) -> Training:
        """Make a training of a copy of the backbone under a new head, before its first step."""
        steps, per_epoch = self.length(len(labelled))
        by_step = self.budget == "steps"
        batch = min(self.batch, len(labelled))
        view = random_view(self.view, backbone.card, self.smallest, self.flip)

        def batches(first: int, until: int) -> Iterator[Batch]:
            these = range(first, until)
            loader = iter(stream(labelled, [view], batch, seed, these, ctx, drop_last=by_step))
            train = normalised(loader, view.normalise, ctx.device)
            return ctx.track(train, f"{self.name} on {backbone.label}, {rates}", until - first)

        with forked(seed, "fine-tune"):  # for the head, and for networks that draw, e.g. dropout
            network = with_head(backbone, len(labelled.classes), self.init_std).to(ctx.device)
            seed_device(torch.device(ctx.device), seed, "fine-tune")
            random = generator_states(torch.device(ctx.device))
        return Training(
            network,
            self.optimiser(network, rates),
            batches,
            lambda step: self.fall.factor(step, steps, 1 if by_step else per_epoch),
            ctx.device,
            random,
        )

    def scores(self, network: nn.Module, images: ImageSet, backbone: Backbone, ctx: Context) -> Tensor:
        """Logits of images through the centre view, [N, C]."""
        view = centre_view(self.view, backbone.card)
        batches = ordered(images, view, TEST_BATCH, ctx.workers, ctx.device)
        return logits(network, normalised(batches, view.normalise, ctx.device), ctx.device)

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


TASKS = tuple(Semisup(**settings_of(name, recipe_of(name))) for name in NAMES)
