"""Features of an image set, extracted once and cached under everything that can change them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import View
from hsa_bench.core.features import extraction
from hsa_bench.core.features.extraction import Extraction
from hsa_bench.core.features.feed import feed, raised
from hsa_bench.core.features.lock import held
from hsa_bench.core.features.wanted import Storage, Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST
from hsa_bench.core.models.precision import Precision
from hsa_bench.core.processes import from_first, rank, together


@dataclass(frozen=True)
class FeatureSet:
    """Features of one split, in data set order."""

    features: Tensor
    """[N, D], in memory, or mapped from disk where they are large; read with `rows`."""
    labels: Tensor
    """[N], int64."""
    classes: int
    key: str

    def rows(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Some features, or all, in float32."""
        return self.features[index].float()


@dataclass(frozen=True)
class Features:
    """Both splits of a data set through one backbone."""

    train: FeatureSet
    test: FeatureSet


def extract(
    backbone: Backbone,
    images: ImageSet,
    view: View,
    ctx: Context,
    precision: Precision = "float32",
    storage: Storage = "auto",
    layers: Sequence[str] = (LAST,),
) -> FeatureSet:
    """Features of every image through the centre view; see `extract_wanted`."""
    return extract_wanted(backbone, Wanted(images, view, precision, storage, tuple(layers)), ctx)


def extract_wanted(backbone: Backbone, wanted: Wanted, ctx: Context) -> FeatureSet:
    """Features of the first layer that is wanted, from the cache if they were made before.

    They are written piece by piece, so a run that is killed goes on where it was. Several processes take
    turns at the pieces; they must share the cache's folder. The trunk's own features come onto file in the
    same pass, and so do other layers that are named. What is damaged on file, or of another network under the
    same key, is made again; what another command is making is waited for.

    Args:
        backbone: Left as it is.
        wanted: Of which images, and how.
        ctx: Where the cache is.

    Raises:
        ValueError: The backbone gives NaN or infinite features, or some that float16 does not hold.
    """
    wanted = wanted.on(ctx.device)
    images, kept = wanted.images, wanted.files(backbone, ctx.cache)
    first = kept[wanted.layers[0]]
    if not from_first(rank() == 0 and first.usable()):
        paths = [one.path for one in kept.values()]
        with held(paths, ctx.say) if rank() == 0 else nullcontext():
            missing = from_first(
                [name for name, one in kept.items() if rank() == 0 and not one.usable_aloud(ctx.say)]
            )
            if missing:
                _make(Extraction(backbone, wanted, {name: kept[name] for name in missing}), ctx)
    large = first.path.stat().st_size > extraction.IN_MEMORY // 2
    return FeatureSet(
        features=torch.from_numpy(np.load(first.path, mmap_mode="c" if large else None)),
        labels=torch.from_numpy(images.labels),
        classes=len(images.classes),
        key=first.path.stem,
    )


def _make(work: Extraction, ctx: Context) -> None:
    """Compute what is missing of the pieces of each layer, then join them to its file."""
    with together():
        if rank() == 0:
            work.begin()
    with together():
        feed([work], ctx, f"features of {work.backbone.label}", raised)
    with together():
        if rank() == 0:
            work.join()
    with together():
        if lost := [kept.path for kept in work.files.values() if kept.missing]:
            seen = f"not seen by process {rank()}; the processes must share the --out folder"
            raise RuntimeError(f"{lost[0]}: {seen}")
