"""A frozen trunk over many pictures: decoded ahead of need, in bounded memory, with or without its layers."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import CentreView
from hsa_bench.core.models.layers import LAST
from hsa_bench.core.models.precision import Precision

BATCH = 256
"""Pictures that pass through at once."""

AHEAD = 2
"""Batches that are decoded while one is computed."""

NONE: Mapping[str, Tensor] = {}


def frozen_forward(module: nn.Module, x: Tensor, device: str, precision: Precision = "float32") -> Tensor:
    """Features of one batch, [B, D], float32 on `device`: eval mode, no gradients.

    Raises:
        ValueError: The module gives NaN or infinite features.
    """
    return _forward(module, x, device, precision, NONE)[LAST]


def _forward(
    module: nn.Module, x: Tensor, device: str, precision: Precision, layers: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The trunk's own features of one batch and those of the layers that are watched, float32 on `device`."""
    module.to(device).eval()
    kind, half = torch.device(device).type, precision == "bfloat16"
    own = next((p.dtype for p in module.parameters()), torch.float32)
    parts: list[dict[str, Tensor]] = []
    with torch.no_grad(), torch.autocast(kind, dtype=torch.bfloat16, enabled=half):
        # Channels last is a third faster on CPU; set here, so that it does not depend on who collated.
        x = x.to(device, own, memory_format=torch.channels_last)
        for part in x.split(BATCH):  # in bounded memory
            last = module(part)
            parts.append({name: found.float() for name, found in {LAST: last, **layers}.items()})
    features = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    bad = int((~torch.isfinite(features[LAST]).all(1)).sum())
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
    for found in layered_batches(module, images, rows, view, ctx, precision, NONE):
        yield found[LAST]


def layered_batches(
    module: nn.Module,
    images: ImageSet,
    rows: Sequence[int],
    view: CentreView,
    ctx: Context,
    precision: Precision,
    layers: Mapping[str, Tensor],
) -> Iterator[dict[str, Tensor]]:
    """As `batches`, by name: the trunk's own features, and those that `watched` fills `layers` with."""
    was = module.training
    try:
        for pictures in _decoded(images, rows, view, ctx.workers):
            x = view.normalise.batch(pictures)
            found = _forward(module, x, ctx.device, precision, layers)
            yield {name: features.cpu() for name, features in found.items()}
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
