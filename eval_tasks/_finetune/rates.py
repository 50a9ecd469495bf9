"""The pair of fine-tuning rates that scores best on labels held out of the labelled subset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from eval_tasks._finetune.finetune import Rates
from hsa_bench.core.data.image_set import ImageSet, label_subset
from hsa_bench.core.errors import Diverged
from hsa_bench.core.features.accuracy import topk


def best_rates(
    pairs: Sequence[Rates],
    labelled: ImageSet,
    share: float,
    seed: int,
    judged: Callable[[Rates, ImageSet, ImageSet], Tensor],
) -> tuple[Rates, dict[str, Any]]:
    """Try every pair; of equally good ones, or where no label can be spared, take the first.

    Args:
        pairs: To choose from.
        labelled: The subset.
        share: Of each class that is held out.
        seed: Draws it.
        judged: Trains at a pair on the first images and scores the second, [N, C]; may raise Diverged.

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
    merit: dict[Rates, float] = {}
    for pair in pairs:
        try:
            scores = judged(pair, rest, judge)
        except Diverged:
            continue
        if torch.isfinite(scores).all():
            merit[pair] = topk(scores, torch.from_numpy(judge.labels), 1)
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
        "diverged": [str(pair) for pair in pairs if pair not in merit],
    }


def _spare(labelled: ImageSet, share: float, seed: int) -> list[int]:
    """Images to choose rates on: the same share of each class, but never a class's only image."""
    counts = {c: int((labelled.labels == c).sum()) for c in set(labelled.labels.tolist())}
    drawn = label_subset(labelled.labels, share, seed)
    return [row for row in drawn if counts[int(labelled.labels[row])] > 1]
