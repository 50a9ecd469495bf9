"""Figures of features that a person watches: kNN accuracy and signs of collapse. Labels never train."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet, balanced, label_subset
from hsa_bench.core.data.views import CentreView
from hsa_bench.core.features.geometry import effective_rank, spread
from hsa_bench.core.features.neighbours import search, vote
from hsa_bench.core.processes import gathered_arrays
from pretrain.embed import embed
from pretrain.encoder import Encoder
from pretrain.monitor.described import LOOKED
from pretrain.monitor.pixels import asked, classes_of
from pretrain.positives import purity, without_own
from pretrain.settings import Settings

LOOKED_AT = 50_000
"""Images that kNN looks at, drawn class-balanced where there are more."""
SPECTRUM_ROWS = 2048
LEAST_SPREAD, LEAST_RANK = 0.05, 2.0
"""Below either, features have collapsed to (nearly) one direction. Our choice; random networks are above."""


@dataclass(frozen=True)
class Vote:
    """How the kNN of a look is taken."""

    k: int = 20
    temperature: float = 0.07
    net: nn.Module | None = None
    """Gives what is compared, [B, 3, H, W] to [B, D]; None: it is the features looked at."""


USUAL = Vote()


def vote_of(settings: Settings, encoder: Encoder) -> Vote:
    """Return the kNN that the settings want of an encoder in training."""
    embedding = nn.Sequential(encoder.trunk, encoder.heads[-1]) if settings.knn_of == "embedding" else None
    return Vote(settings.knn_k, settings.knn_temperature, embedding)


def look(
    trunk: nn.Module,
    images: ImageSet,
    transform: CentreView,
    ctx: Context,
    k: int = 0,
    knn: Vote = USUAL,
) -> dict[str, float]:
    """Measure the trunk's un-augmented features.

    Args:
        trunk: [B, 3, H, W] to [B, D].
        images: That it trains on.
        transform: The un-augmented view.
        ctx: Where to compute.
        k: Nearest others of each image whose purity is measured; 0 for none.
        knn: How kNN is taken.

    Returns:
        `knn`: accuracy on a fixed held-out tenth of the images, and `purity_looked`, both percent, if they
        are of several classes; `spread` and `rank`: see `core.features.geometry`.
    """
    sample = looked_at(images)
    features = _embedded(trunk, sample, transform, ctx)
    figures = {
        "spread": spread(features),
        "rank": effective_rank(features[:: max(1, len(features) // SPECTRUM_ROWS)]),
    }
    labelled = classes_of(images) > 1
    if labelled:
        compared = features if knn.net is None else _embedded(knn.net, sample, transform, ctx)
        figures["knn"] = _knn(compared.to(ctx.device), sample, knn)
    if k and labelled:
        figures[LOOKED] = _purity(features.to(ctx.device), sample, k)
    return figures


def looked_at(images: ImageSet) -> ImageSet:
    """Take the images that a look embeds."""
    return images.subset(balanced(images.labels, LOOKED_AT, seed=0))


def collapse(figures: dict[str, float]) -> str:
    """Return a warning if the features have collapsed; else an empty text."""
    if figures["spread"] >= LEAST_SPREAD and figures["rank"] >= LEAST_RANK:
        return ""
    return (
        f"the features have collapsed: their spread is {figures['spread']:.3f} (below {LEAST_SPREAD} all "
        f"pictures look alike), their effective rank {figures['rank']:.1f}. Try a lower rate or another "
        "temperature"
    )


def _purity(features: Tensor, images: ImageSet, k: int) -> float:
    rows = np.array(asked(images))
    nearest = search(features[rows], features, k + 1).index.cpu()
    return purity(without_own(nearest, torch.from_numpy(rows)).numpy(), images.labels, rows)


def _embedded(net: nn.Module, sample: ImageSet, transform: CentreView, ctx: Context) -> Tensor:
    return torch.from_numpy(gathered_arrays(embed(net, sample, transform, ctx, "looking").numpy()))


def _knn(features: Tensor, images: ImageSet, knn: Vote) -> float:
    labels = torch.from_numpy(np.asarray(images.labels)).to(features.device)
    held_out = torch.zeros(len(labels), dtype=torch.bool, device=features.device)
    held_out[label_subset(images.labels, 0.1, seed=0)] = True
    classes = len(images.classes)
    scores = vote(features[held_out], features[~held_out], labels[~held_out], classes, knn.k, knn.temperature)
    return float((scores.argmax(1) == labels[held_out]).double().mean() * 100)
