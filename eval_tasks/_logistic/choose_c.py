"""The penalty of a logistic regression, chosen by cross-validation on train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from eval_tasks._logistic.fit import Fit, Regression
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Labels
from hsa_bench.core.features.accuracy import topk
from hsa_bench.core.seed import generator


@dataclass(frozen=True)
class Choice:
    """What cross-validation said of each inverse strength C of the penalty."""

    top1: dict[float, float]
    """Mean accuracy over the folds by C, percent, smallest C first; larger ones may be left out."""
    unfinished: int
    """Fits that did not converge."""
    edges: tuple[float, float]
    """The smallest and the largest C there was to choose."""
    near: Fit | None = None
    """Mean of the folds' classifiers at the best C, from which the fit on all images may start."""

    @property
    def c(self) -> float:
        """The best; of equal ones the smallest."""
        return max(self.top1, key=lambda c: self.top1[c])

    @property
    def at_the_edge(self) -> bool:
        """Whether a C beyond those offered might have been better."""
        return self.edges[0] != self.edges[1] and self.c in self.edges


def choose_c(
    regression: Regression, cs: Sequence[float], count: int, tolerance: float, ctx: Context, what: str
) -> Choice:
    """Try each C by cross-validation, smallest first; each fold's fit starts from its fit at the C before.

    The search ends after two values without a gain, as large C take longest.

    Args:
        regression: Of the training features.
        cs: Inverse strengths; a single one is not judged.
        count: Folds, classes spread evenly over them.
        tolerance: Of the fits; see `Regression.fit`.
        ctx: Told of the progress.
        what: Said with it.

    Raises:
        ValueError: There are too few images for so many folds.
    """
    cs, labels = sorted(cs), regression.labels
    edges = cs[0], cs[-1]
    if len(cs) == 1:
        return Choice({cs[0]: 0.0}, 0, edges)
    fold = folds(labels.numpy(), count)
    rows = [torch.from_numpy(np.flatnonzero(fold != held)) for held in range(count)]
    judged = [torch.from_numpy(np.flatnonzero(fold == held)) for held in range(count)]
    starts: Sequence[Fit | None] = [None] * count
    top1: dict[float, float] = {}
    ends: dict[float, list[Fit]] = {}
    unfinished = 0
    for c in ctx.track(cs, what, len(cs)):
        starts = ends[c] = regression.fits(c, tolerance, rows, starts)
        accuracy = 0.0
        for fit, own in zip(ends[c], judged, strict=True):
            scores = fit.scores(regression.features[own.to(regression.features.device)])
            accuracy += topk(scores.cpu(), labels[own], 1) / count
        unfinished += sum(not fit.converged for fit in ends[c])
        top1[c] = accuracy
        if len(top1) > 2 and max(list(top1.values())[-2:]) <= max(list(top1.values())[:-2]):
            break
    best = max(top1, key=lambda c: top1[c])
    return Choice(top1, unfinished, edges, mean_of(ends[best]))


def mean_of(fits: Sequence[Fit]) -> Fit:
    """Average classifiers weight by weight."""
    weight, bias = (torch.stack([getattr(fit, name) for fit in fits]).mean(0) for name in ("weight", "bias"))
    return Fit(weight, bias, converged=False)


def folds(labels: Labels, count: int) -> Labels:
    """A fold for each image, [N] in [0, count): classes spread evenly, the same for every seed and backbone.

    Raises:
        ValueError: A fold would be empty, or leave a classifier nothing to tell apart.
    """
    found = np.empty(len(labels), dtype=np.int64)
    begin = 0
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        order = torch.randperm(len(rows), generator=generator(0, "fold", int(c))).numpy()
        found[rows[order]] = (begin + np.arange(len(rows))) % count
        begin += len(rows)  # so that small classes do not all fall into the first folds
    if any(len(set(labels[found != fold])) < 2 for fold in range(count)) or len(set(found)) < count:
        raise ValueError(
            f"{len(labels)} training images of {len(np.unique(labels))} classes cannot be split into {count} "
            "folds to choose C by; give more images, or a single value of cs"
        )
    return found
