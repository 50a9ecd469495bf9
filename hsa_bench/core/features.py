"""Features of an image set, extracted once and cached under everything that can change them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification, ImageSet
from hsa_bench.core.precision import Precision, chosen
from hsa_bench.core.processes import from_first, rank, together, world
from hsa_bench.core.store import whole_file
from hsa_bench.core.task import Context
from hsa_bench.core.views import CentreView, View, centre_view, resizes

VERSION = 2
"""Raised when the computation changes a feature."""

BATCH = 256
PIECE = 4 * BATCH
"""Images between two writes: what a kill can cost, and what several processes share out."""

IN_MEMORY = 2**30
"""Bytes of float32 features that are kept as they are. More are kept on disk, in half precision."""

AHEAD = 2
"""Batches that are decoded while one is computed."""


@dataclass(frozen=True)
class FeatureSet:
    """Features of one split, in data set order."""

    features: Tensor
    """[N, D], float32 in memory, or float16 on disk where that would exceed `IN_MEMORY`; read with `rows`."""
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
    backbone: Backbone, data: Classification, view: View, ctx: Context, precision: Precision = "float32"
) -> Features:
    """Features of train and test; see `extract`."""
    return Features(
        train=extract(backbone, data.train, view, ctx, precision),
        test=extract(backbone, data.test, view, ctx, precision),
    )


def extract(
    backbone: Backbone, images: ImageSet, view: View, ctx: Context, precision: Precision = "float32"
) -> FeatureSet:
    """Features of every image through the centre view, from the cache if they were made before.

    They are written piece by piece, so a run that is killed goes on where it was. Several processes take
    turns at the pieces; they must share the cache's folder.

    Raises:
        ValueError: The backbone gives NaN or infinite features.
    """
    precision = chosen(precision, ctx.device)
    key = _key(backbone, images, view, precision)
    path = ctx.cache / "features" / f"{key}.npy"
    if not from_first(path.exists()):
        _make(path, backbone, images, centre_view(view, backbone.card), ctx, precision)
    features = np.load(path, mmap_mode="c" if path.stat().st_size > IN_MEMORY // 2 else None)
    return FeatureSet(
        features=torch.from_numpy(features),
        labels=torch.from_numpy(images.labels),
        classes=len(images.classes),
        key=key,
    )


def _key(backbone: Backbone, images: ImageSet, view: View, precision: Precision) -> str:
    identity = {
        "version": VERSION,
        "backbone": backbone.id.model_dump(),
        "images": images.fingerprint(),
        "view": [view.size, view.resize, view.interpolation if resizes(view, images) else "none"],
        "precision": precision,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def frozen_forward(module: nn.Module, x: Tensor, device: str, precision: Precision = "float32") -> Tensor:
    """Features of one batch, [B, D], float32 on `device`: eval mode, no gradients.

    Raises:
        ValueError: The module gives NaN or infinite features.
    """
    module.to(device).eval()
    kind, half = torch.device(device).type, precision == "bfloat16"
    own = next((p.dtype for p in module.parameters()), torch.float32)
    with torch.no_grad(), torch.autocast(kind, dtype=torch.bfloat16, enabled=half):
        # Channels last is a third faster on CPU; set here, so that it does not depend on who collated.
        x = x.to(device, own, memory_format=torch.channels_last)
        features = torch.cat([module(part).float() for part in x.split(BATCH)])  # in bounded memory
    bad = int((~torch.isfinite(features).all(1)).sum())
    if bad:
        raise ValueError(f"{bad} of {len(x)} images give NaN or infinite features")
    return features


def batches(
    module: nn.Module,
    images: ImageSet,
    rows: Sequence[int],
    view: CentreView,
    ctx: Context,
    precision: Precision = "float32",
) -> Iterator[Tensor]:
    """Features of some images, [B, D] on the CPU, in their order; the module is left in its mode.

    Threads decode and crop the next batches while the trunk computes one.

    Raises:
        ValueError: The module gives NaN or infinite features.
    """
    was = module.training
    try:
        for pictures in _decoded(images, rows, view, ctx.workers):
            x = view.normalise.batch(pictures)
            yield frozen_forward(module, x, ctx.device, precision).cpu()
    finally:
        module.train(was)


def _decoded(images: ImageSet, rows: Sequence[int], view: CentreView, workers: int) -> Iterator[Tensor]:
    """Cropped pictures, uint8 [B, H, W, 3], decoded ahead of need."""
    parts = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    # torchrun sets torch to one thread a process; decoding has this process's share of the cores.
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    threads = max(1, workers, cores)

    def crops(few: Sequence[int]) -> NDArray[np.uint8]:
        return np.stack([np.asarray(view.crop(images.picture(i))) for i in few])

    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[list[Future[NDArray[np.uint8]]]] = deque()
        try:
            for part in parts:
                share = -(-len(part) // (4 * threads))
                few = [part[i : i + share] for i in range(0, len(part), share)]
                waiting.append([pool.submit(crops, indices) for indices in few])
                if len(waiting) > AHEAD:
                    yield _joined(waiting.popleft())
            while waiting:
                yield _joined(waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _joined(futures: list[Future[NDArray[np.uint8]]]) -> Tensor:
    return torch.from_numpy(np.concatenate([future.result() for future in futures]))


def _make(
    path: Path, backbone: Backbone, images: ImageSet, view: CentreView, ctx: Context, precision: Precision
) -> None:
    """Compute what is missing of the pieces, then join them to the file."""
    folder = path.with_suffix("")
    pieces = [range(low, min(low + PIECE, len(images))) for low in range(0, len(images), PIECE)]
    files = [folder / f"{piece.start:09}.npy" for piece in pieces]
    mine = list(zip(pieces, files, strict=True))[rank() :: world()]
    todo = [(piece, file) for piece, file in mine if not file.exists()]
    with together():
        _compute(todo, backbone, images, view, ctx, precision)
    with together():
        if rank() == 0:
            _join(files, path, len(images))
    with together():
        if not path.exists():
            seen = f"not seen by process {rank()}; the processes must share the --out folder"
            raise RuntimeError(f"{path}: {seen}")


def _compute(
    todo: Sequence[tuple[range, Path]],
    backbone: Backbone,
    images: ImageSet,
    view: CentreView,
    ctx: Context,
    precision: Precision,
) -> None:
    rows = [row for piece, _ in todo for row in piece]
    total = -(-len(rows) // BATCH)
    found = batches(backbone.module, images, rows, view, ctx, precision)
    computed = ctx.track(found, f"features of {backbone.label}", total)
    for piece, file in todo:
        try:
            part = torch.cat([next(computed) for _ in range(-(-len(piece) // BATCH))])
        except ValueError as error:
            raise ValueError(f"{backbone.label}: {error}") from error
        half = len(images) * part.shape[1] * 4 > IN_MEMORY
        with whole_file(file) as out:
            np.save(out, part.half().numpy() if half else part.numpy())


def _join(files: Sequence[Path], path: Path, count: int) -> None:
    first = np.load(files[0], mmap_mode="r")
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (count, first.shape[1]),
    }
    with whole_file(path) as out:
        np.lib.format.write_array_header_1_0(out, header)
        for file in files:
            out.write(np.load(file).tobytes())
    shutil.rmtree(path.with_suffix(""))
