"""HSA's semi-supervised variant as far as it is known: fine-tune, then train on confident guesses too."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from eval_tasks._finetune.finetune import Rates
from eval_tasks._finetune.recipes import settings_of
from eval_tasks._finetune.training import Training
from eval_tasks.semisup import Semisup
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.runs.task import SETTINGS

NAMES = ("semisup-1-selftrain", "semisup-10-selftrain")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class SelfTrain(Semisup):
    """Two stages. A network fine-tuned as in `semisup` guesses the classes of the unlabelled rest of train;
    images whose guess has low entropy keep it as their label; a second network learns from both.

    Known of the paper (arXiv:2012.02733, as quoted by others; no code of this part was released): all
    unlabelled images are guessed by the fine-tuned network, and those whose entropy exceeds a threshold are
    dropped. Ours: the threshold (1 nat for ImageNet's 1,000 classes, the same share of the largest entropy
    elsewhere), hard labels, guesses from the centre crop, and a second stage that starts from the
    pretrained trunk again with the same settings, labelled and guessed images shuffled together. Compare it
    with other self-training, never with plain fine-tuning.
    """

    version: ClassVar[int] = 2

    most_entropy: float = Field(default=0.145, gt=0, le=1)
    """Largest entropy of a guess that is kept, as a share of ln(classes)."""

    @property
    def recipe(self) -> str:
        return "swav"

    @property
    def protocol(self) -> str:
        return (
            "Self-training, reconstructed from what is quoted of HSA (arXiv:2012.02733); not plain "
            f"fine-tuning. Stage 1: {super().protocol} It guesses the rest of train from the centre crop; "
            f"guesses with an entropy up to {self.most_entropy:g} ln(classes) are kept as hard labels. "
            "Stage 2: the same training again from the pretrained trunk, on labelled and guessed images "
            "together, scored on test. The threshold, hard labels and the fresh start are ours."
        )

    def read_late(self, train: ImageSet, rows: list[int]) -> ImageSet:
        return train  # the second stage learns from the others, after the first guessed them

    def fitted(
        self, backbone: Backbone, train: ImageSet, rows: list[int], rates: Rates, seed: int, ctx: Context
    ) -> tuple[Training, dict[str, Any]]:
        first, _ = super().fitted(backbone, train, rows, rates, seed, ctx)
        others = sorted(set(range(len(train))) - set(rows))
        if not others:
            raise DataError(f"{self.name}: every training image has a label, so none is left to guess")
        guesses = self.scores(first.network, train.subset(others), backbone, ctx)
        sure = confident(guesses, self.most_entropy)
        kept = [others[i] for i in sure.nonzero()[:, 0].tolist()]
        labels = guesses.argmax(1)[sure].numpy()
        right = labels == train.labels[kept]
        both = train.subset([*rows, *kept])
        both = replace(both, labels=np.concatenate([train.labels[rows], labels]))
        found = {
            "guessed_images": len(kept),
            "guessed_right": round(float(right.mean() * 100), 2) if kept else 0.0,
        }
        return (self.fit(backbone, both, rates, seed, ctx) if kept else first), found


def confident(logits: Tensor, most: float) -> Tensor:
    """Which guesses have an entropy up to `most` x ln(classes), bool [N].

    Args:
        logits: [N, C].
        most: Share of the largest possible entropy.
    """
    log_p = logits.log_softmax(dim=1)
    entropy = -(log_p.exp() * log_p).sum(1)
    return entropy <= most * math.log(logits.shape[1]) + torch.finfo(torch.float32).eps


TASKS = tuple(SelfTrain(**settings_of(name, "swav")) for name in NAMES)
