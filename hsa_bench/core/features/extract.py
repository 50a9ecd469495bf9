"""Features of an image set, extracted once and cached under everything that can change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.views import CentreView, View, centre_view, resizes
from hsa_bench.core.digest import digest_of
from hsa_bench.core.features.decode_ahead import BATCH
from hsa_bench.core.features.forward import layered_batches
from hsa_bench.core.features.kept import KeptFeatures, is_whole, write_piece
from hsa_bench.core.features.lock import held
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST, watched
from hsa_bench.core.models.precision import Precision, chosen
from hsa_bench.core.processes import from_first, rank, together, world

VERSION = 3
"""Raised when the computation changes a feature, or what identifies one."""

Storage = Literal["auto", "float32", "float16"]
"""Number format of features on file. "auto": float32 up to `IN_MEMORY`."""

PIECE = 4 * BATCH
"""Images between two writes: what a kill can cost, and what several processes share out."""

IN_MEMORY = 2**30
"""Bytes of float32 features that are kept as they are where `storage` is "auto", and half of what is mapped
from disk."""


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


def extract_both(
    backbone: Backbone,
    data: Classification,
    view: View,
    ctx: Context,
    precision: Precision = "float32",
    storage: Storage = "auto",
    layers: Sequence[str] = (LAST,),
) -> Features:
    """Features of train and test; see `extract`."""
    train, test = (
        extract(backbone, images, view, ctx, precision, storage, layers) for images in (data.train, data.test)
    )
    return Features(train, test)


def extract(
    backbone: Backbone,
    images: ImageSet,
    view: View,
    ctx: Context,
    precision: Precision = "float32",
    storage: Storage = "auto",
    layers: Sequence[str] = (LAST,),
) -> FeatureSet:
    """Features of every image through the centre view, from the cache if they were made before.

    They are written piece by piece, so a run that is killed goes on where it was. Several processes take
    turns at the pieces; they must share the cache's folder. The trunk's own features come onto file in the
    same pass, and so do other layers that are named. What is damaged on file, or of another network under the
    same key, is made again; what another command is making is waited for.

    Args:
        backbone: Left as it is.
        images: In this order.
        view: What it sees of them.
        ctx: Where the cache is.
        precision: Number format of the trunk.
        storage: Number format of the features on file.
        layers: Whose features: one of `layer_names`, or the trunk's own; then those that will be asked for.

    Raises:
        ValueError: The backbone gives NaN or infinite features, or some that float16 does not hold.
    """
    precision = chosen(precision, ctx.device)
    wanted = tuple(dict.fromkeys((LAST, *layers)))
    kept = {name: _kept(backbone, images, view, (precision, storage), name, ctx) for name in wanted}
    first = kept[layers[0]]
    if not from_first(rank() == 0 and first.usable()):
        paths = [one.path for one in kept.values()]
        with held(paths, ctx.say) if rank() == 0 else nullcontext():
            missing = from_first([name for name in wanted if rank() == 0 and not _usable(kept[name], ctx)])
            work = _Extraction(backbone, images, centre_view(view, backbone.card), ctx, precision, storage)
            if missing:
                work.make({name: kept[name] for name in missing})
    large = first.path.stat().st_size > IN_MEMORY // 2
    return FeatureSet(
        features=torch.from_numpy(np.load(first.path, mmap_mode="c" if large else None)),
        labels=torch.from_numpy(images.labels),
        classes=len(images.classes),
        key=first.path.stem,
    )


def _kept(
    backbone: Backbone,
    images: ImageSet,
    view: View,
    formats: tuple[Precision, Storage],
    layer: str,
    ctx: Context,
) -> KeptFeatures:
    """The file that features have, or will have."""
    identity = _identity(backbone, images, view, *formats, layer)
    return KeptFeatures(
        path=ctx.cache / "features" / f"{digest_of(identity)}.npy",
        said={"backbone": backbone.label, "data": len(images), **identity},
        rows=len(images),
        print=backbone.print,
        dim=backbone.dim if layer == LAST else 0,
    )


def _usable(kept: KeptFeatures, ctx: Context) -> bool:
    """Whether features are on file, as they were written and of this network; say where they are not."""
    if kept.usable():
        return True
    if kept.missing:
        return False
    if fault := kept.fault():
        ctx.say(f"features {kept.path}: {fault}, computed again")
        return False
    kept.adopt()
    ctx.say(f"features {kept.path}: of an older version, without a checksum; used as they are, with one now")
    return True


def _identity(
    backbone: Backbone, images: ImageSet, view: View, precision: Precision, storage: Storage, layer: str
) -> dict[str, Any]:
    """Everything that can change a feature."""
    return {
        "version": VERSION,
        "id": backbone.id.model_dump(),
        "images": images.fingerprint(),
        "view": [
            view.size,
            view.resize,
            view.interpolation if resizes(view, images) else "none",
            *(["squash"] if view.squash else []),
        ],
        "precision": precision,
        "storage": storage,
        "layer": layer,
    }


@dataclass(frozen=True)
class _Extraction:
    """What it takes to compute features."""

    backbone: Backbone
    images: ImageSet
    view: CentreView
    ctx: Context
    precision: Precision
    storage: Storage

    def make(self, files: Mapping[str, KeptFeatures]) -> None:
        """Compute what is missing of the pieces of each layer, then join them to its file."""
        count = len(self.images)
        with together():
            if rank() == 0:
                for kept in files.values():
                    kept.begin()
        pieces = [range(low, min(low + PIECE, count)) for low in range(0, count, PIECE)]
        parts = {name: [_piece(kept, piece) for piece in pieces] for name, kept in files.items()}
        todo = [
            (piece, missing)
            for i, piece in list(enumerate(pieces))[rank() :: world()]
            if (missing := {n: own[i] for n, own in parts.items() if not is_whole(own[i], len(piece))})
        ]
        with together(), watched(self.backbone.module, files) as layers:
            self._compute(todo, layers)
        with together():
            if rank() == 0:
                for name, kept in files.items():
                    kept.join(parts[name])
        with together():
            if lost := [kept.path for kept in files.values() if kept.missing]:
                seen = f"not seen by process {rank()}; the processes must share the --out folder"
                raise RuntimeError(f"{lost[0]}: {seen}")

    def _compute(
        self, todo: Sequence[tuple[range, Mapping[str, Path]]], layers: Mapping[str, Tensor]
    ) -> None:
        rows = [row for piece, _ in todo for row in piece]
        label = self.backbone.label
        found = layered_batches(
            self.backbone.module, self.images, rows, self.view, self.ctx, self.precision, layers
        )
        computed = self.ctx.track(found, f"features of {label}", -(-len(rows) // BATCH))
        for piece, files in todo:
            try:
                parts = [next(computed) for _ in range(-(-len(piece) // BATCH))]
            except ValueError as error:
                raise ValueError(f"{label}: {error}") from error
            for name, file in files.items():
                part = torch.cat([one[name] for one in parts])
                kept = part.half() if self._in_half(part) else part
                self._check(name, kept)
                write_piece(file, kept.numpy())

    def _check(self, layer: str, kept: Tensor) -> None:
        """Refuse what is no number, or none any more in half precision."""
        if not torch.isfinite(kept).all():
            half = kept.dtype == torch.half
            remedy = "; they may exceed float16: --set TASK.storage=float32" if half else ""
            where = f"{self.backbone.label}, {layer}" if layer else self.backbone.label
            raise ValueError(f"{where}: NaN or infinite features{remedy}")

    def _in_half(self, part: Tensor) -> bool:
        large = len(self.images) * part.shape[1] * 4 > IN_MEMORY
        return self.storage == "float16" or (self.storage == "auto" and large)


def _piece(kept: KeptFeatures, piece: range) -> Path:
    return kept.pieces / f"{piece.start:09}.npy"
