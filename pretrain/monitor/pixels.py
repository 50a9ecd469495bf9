"""Purity of bare pixels' neighbours: what mined ones must be better than. Labels are for watching alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet, balanced
from hsa_bench.core.data.views import CentreView
from hsa_bench.core.features.forward import batches
from hsa_bench.core.features.neighbours import best_of
from hsa_bench.core.models.architectures import Pixels
from hsa_bench.core.processes import gathered_lists, own_range
from pretrain.embed import embed
from pretrain.positives import Neighbours, mutual, purity, without_own

ASKED = 10_000
"""Pictures whose neighbours' purity is measured, drawn class-balanced where there are more. They are compared
with all pictures, as a mining compares them."""


def classes_of(images: ImageSet) -> int:
    """Count the classes that occur; with one there is no purity to speak of."""
    return len(np.unique(images.labels)) if len(images.classes) > 1 else 1


def asked(images: ImageSet) -> list[int]:
    """Draw the pictures whose neighbours are asked for."""
    return balanced(images.labels, ASKED, seed=0)


def pixels_purity(images: ImageSet, k: int, only_mutual: bool, view: CentreView, ctx: Context) -> float:
    """Mine as the method does, by the cosine of the pictures themselves; return the purity, percent.

    A picture is what the `pixels` control has of it: normalised, averaged down to 32x32 where it is larger.
    Large sets are never held: their pixels pass by once, twice for mutual neighbours.

    Args:
        images: All pictures that may be neighbours.
        k: Neighbours a picture; fewer where there are not so many others.
        only_mutual: Whether neighbours count only where they are mutual.
        view: The un-augmented view.
        ctx: Where to compute.
    """
    ctx = replace(ctx, compile=False)
    rows = np.array(asked(images))
    table = _nearest(images, rows, k, view, ctx)
    if not only_mutual:
        return purity(table, images.labels, rows)
    whole: Neighbours = np.full((len(images), table.shape[1]), -1)
    whole[rows] = table
    if others := np.setdiff1d(table, rows).tolist():
        whole[others] = _nearest(images, others, k, view, ctx)
    return purity(mutual(whole)[rows], images.labels, rows)


def _nearest(
    images: ImageSet, rows: Sequence[int] | Neighbours, k: int, view: CentreView, ctx: Context
) -> Neighbours:
    """Find the pictures nearest to some of them, [len(rows), k], from each process's share of all."""
    wide, k = Pixels(), min(k, len(images) - 1)
    own = torch.as_tensor(rows)
    part = embed(wide, images.subset([*own.tolist()]), view, ctx, "looking at pixels")
    query = torch.cat(gathered_lists([part])).to(ctx.device)  # of few rows a process may have none
    share = own_range(len(images))
    similarity = torch.full((len(query), k + 1), -torch.inf)
    index = torch.full((len(query), k + 1), -1)
    start = share.start
    for bank in batches(wide, images, share, view, ctx):
        best = best_of(query, F.normalize(bank, dim=1).to(ctx.device), k + 1)
        similarity, index = _best(
            [(similarity, index), (best.similarity.cpu(), best.index.cpu() + start)], k + 1
        )
        start += len(bank)
    return without_own(_best(gathered_lists([(similarity, index)]), k + 1)[1], own).numpy()


def _best(found: Sequence[tuple[Tensor, Tensor]], k: int) -> tuple[Tensor, Tensor]:
    """Keep the most similar of several searches, each (similarity, index) of [Q, k]."""
    similarity, place = torch.cat([one for one, _ in found], dim=1).topk(k, dim=1)
    return similarity, torch.cat([one for _, one in found], dim=1).gather(1, place)
