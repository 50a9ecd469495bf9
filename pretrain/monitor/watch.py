"""Figures of features that a person watches: kNN accuracy and signs of collapse. Labels never train."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet, balanced, label_subset
from hsa_bench.core.data.views import CentreView
from hsa_bench.core.features.geometry import effective_rank, spread
from hsa_bench.core.features.neighbours import vote
from hsa_bench.core.processes import gathered_arrays
from pretrain.embed import embed

KNN_K, KNN_TEMPERATURE = 20, 0.07
LOOKED_AT = 50_000
"""Images that kNN looks at, drawn class-balanced where there are more."""
SPECTRUM_ROWS = 2048
LEAST_SPREAD, LEAST_RANK = 0.05, 2.0
"""Below either, features have collapsed to (nearly) one direction. Our choice; random networks are above."""


def look(trunk: nn.Module, images: ImageSet, transform: CentreView, ctx: Context) -> dict[str, float]:
    """Measure the trunk's un-augmented features.

    Returns:
        `knn`: accuracy on a fixed held-out tenth of the images, percent, if they have labels; `spread` and
        `rank`: see `core.features.geometry`.
    """
    sample = images.subset(balanced(images.labels, LOOKED_AT, seed=0))
    features = torch.from_numpy(gathered_arrays(embed(trunk, sample, transform, ctx, "looking").numpy()))
    figures = {
        "spread": spread(features),
        "rank": effective_rank(features[:: max(1, len(features) // SPECTRUM_ROWS)]),
    }
    if len(images.classes) > 1:
        figures["knn"] = _knn(features.to(ctx.device), sample)
    return figures


def collapse(figures: dict[str, float]) -> str:
    """Return a warning if the features have collapsed; else an empty text."""
    if figures["spread"] >= LEAST_SPREAD and figures["rank"] >= LEAST_RANK:
        return ""
    return (
        f"the features have collapsed: their spread is {figures['spread']:.3f} (below {LEAST_SPREAD} all "
        f"pictures look alike), their effective rank {figures['rank']:.1f}. Try a lower rate or another "
        "temperature"
    )


def _knn(features: Tensor, images: ImageSet) -> float:
    labels = torch.from_numpy(np.asarray(images.labels)).to(features.device)
    held_out = torch.zeros(len(labels), dtype=torch.bool, device=features.device)
    held_out[label_subset(images.labels, 0.1, seed=0)] = True
    classes = len(images.classes)
    scores = vote(features[held_out], features[~held_out], labels[~held_out], classes, KNN_K, KNN_TEMPERATURE)
    return float((scores.argmax(1) == labels[held_out]).double().mean() * 100)
