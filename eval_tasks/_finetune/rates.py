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
class RateSearch:
    """The trainings that pairs of rates are compared by."""

    begin: Callable[[Rates, ImageSet], Training]
    """Makes a training at a pair of rates on some images, before its first step."""
    score: Callable[[Training, ImageSet], Tensor]
    """Gives the logits of a training's network on other images, [N, C]."""
    steps: int
    """Steps of a whole training."""
    halving: int = 0
    """Steps after which the worse half of the pairs stops; 0 for never."""


def best_rates(
    pairs: Sequence[Rates], labelled: ImageSet, share: float, seed: int, search: RateSearch
) -> tuple[Rates, dict[str, Any]]:
    """Try every pair; of equally good ones, or where no label can be spared, take the first.

    Args:
        pairs: To choose from.
        labelled: The subset.
        share: Of each class that is held out.
        seed: Draws it.
        search: Trains and scores them.

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
    trainings = {pair: search.begin(pair, rest) for pair in pairs}
    early = _merits(trainings, search.halving, judge, search) if search.halving else {}
    stopped = sorted(set(early) - set(better_half(early)), key=pairs.index)
    going = [pair for pair in early or pairs if pair not in stopped]
    merit = _merits({pair: trainings[pair] for pair in going}, search.steps, judge, search)
    if not merit and stopped:  # the better half diverged later on
        merit = _merits({pair: trainings[pair] for pair in stopped}, search.steps, judge, search)
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
    trainings: Mapping[Rates, Training], until: int, judge: ImageSet, search: RateSearch
) -> dict[Rates, float]:
    """Train each up to a step and measure its top-1 on held-out images, percent; leave out what diverged."""
    merit: dict[Rates, float] = {}
    for pair, training in trainings.items():
        try:
            training.go_on(until)
        except Diverged:
            continue
        scores = search.score(training, judge)
        if torch.isfinite(scores).all():
            merit[pair] = topk(scores, torch.from_numpy(judge.labels), 1)
    return merit


def better_half(merit: Mapping[Rates, float]) -> list[Rates]:
    """Return the better half of the pairs, the middle one of an odd number too, and all as good as its last.

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
