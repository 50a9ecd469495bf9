"""The pair of fine-tuning rates that scores best on labels held out of the labelled subset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eval_tasks._finetune.finetune import Rates
from eval_tasks._finetune.training import Training
from hsa_bench.core.data.image_set import ImageSet, label_subset
from hsa_bench.core.errors import Diverged
from hsa_bench.core.features.accuracy import topk


@dataclass(frozen=True)
class Trial:
    """How pairs are tried."""

    begun: Callable[[Rates, ImageSet], Training]
    """A training at a pair of rates on some images, before its first step."""
    scored: Callable[[Training, ImageSet], Tensor]
    """Logits of other images as the network is, [N, C]."""
    steps: int
    """Of a whole training."""
    halving: int = 0
    """Steps after which the worse half of the pairs is given up; 0 for never."""


def best_rates(
    pairs: Sequence[Rates], labelled: ImageSet, share: float, seed: int, trial: Trial
) -> tuple[Rates, dict[str, Any]]:
    """Try every pair; of equally good ones, or where no label can be spared, take the first.

    Args:
        pairs: To choose from.
        labelled: The subset.
        share: Of each class that is held out.
        seed: Draws it.
        trial: How they are tried.

    Returns:
        The pair, and what to report of the choice.

    Raises:
        ValueError: The loss diverged at every pair.
    """
    held = _spare(labelled, share, seed)
    if not held:
        return pairs[0], {"rates": f"{pairs[0]} (no label to spare)"}
    judge = labelled.subset(held)
    rest = labelled.subset(sorted(set(range(len(labelled))) - set(held)))
    begun = {pair: trial.begun(pair, rest) for pair in pairs}
    early = _merits(begun, trial.halving, judge, trial) if trial.halving else {}
    stopped = sorted(set(early) - set(better_half(early)), key=pairs.index)
    going = [pair for pair in early or pairs if pair not in stopped]
    merit = _merits({pair: begun[pair] for pair in going}, trial.steps, judge, trial)
    if not merit and stopped:  # the better half diverged later on
        merit = _merits({pair: begun[pair] for pair in stopped}, trial.steps, judge, trial)
        stopped = []
    if not merit:
        raise ValueError(
            f"the loss diverged at every pair of rates, {'; '.join(map(str, pairs))}; add lower ones"
        )
    # Of equal ones the first: on a few labels the loss prefers a network that has learnt nothing.
    best = max(merit, key=lambda pair: merit[pair])
    return best, {
        "rates": str(best),
        "held_out_top1": {str(pair): round(found, 4) for pair, found in merit.items()},
        "held_out_images": len(held),
        "stopped_early": {str(pair): round(early[pair], 4) for pair in stopped},
        "diverged": [str(pair) for pair in pairs if pair not in merit and pair not in stopped],
    }


def _merits(
    trainings: Mapping[Rates, Training], until: int, judge: ImageSet, trial: Trial
) -> dict[Rates, float]:
    """Accuracy of each training on held-out images after so many steps, percent; none where it diverged."""
    merit: dict[Rates, float] = {}
    for pair, training in trainings.items():
        try:
            training.go_on(until)
        except Diverged:
            continue
        scores = trial.scored(training, judge)
        if torch.isfinite(scores).all():
            merit[pair] = topk(scores, torch.from_numpy(judge.labels), 1)
    return merit


def better_half(merit: Mapping[Rates, float]) -> list[Rates]:
    """Pairs at least as good as the last of the better half, which has the middle one of an odd number.

    So equally good ones go on together, and all do where nothing has been learnt yet.
    """
    if not merit:
        return []
    least = sorted(merit.values(), reverse=True)[(len(merit) + 1) // 2 - 1]
    return [pair for pair in merit if merit[pair] >= least]


def _spare(labelled: ImageSet, share: float, seed: int) -> list[int]:
    """Images to choose rates on: the same share of each class, but never a class's only image."""
    counts = {c: int((labelled.labels == c).sum()) for c in set(labelled.labels.tolist())}
    drawn = label_subset(labelled.labels, share, seed)
    return [row for row in drawn if counts[int(labelled.labels[row])] > 1]
