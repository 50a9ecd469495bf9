"""Pictures decoded and cropped ahead of need by threads, as uint8 batches that a device can fetch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsa_bench.core.cores import own_cores
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.views import CentreView

BATCH = 256
"""Pictures that pass through at once."""

AHEAD = 2
"""Batches that are decoded while one is computed."""

Pixels = NDArray[np.uint8]


def decoded(
    images: ImageSet, rows: Sequence[int], view: CentreView, workers: int, pin: bool, batch: int = BATCH
) -> Iterator[Tensor]:
    """Yield cropped pictures, uint8 [B, H, W, 3] on the CPU, in order, decoded ahead of need.

    Held at once are `AHEAD` + 2 batches at most, beside those that the caller keeps.

    Args:
        images: Their pictures.
        rows: Which of them, in this order.
        view: Crops them; it does not normalise here.
        workers: Threads wanted; at least one for each core that this process may use.
        pin: Whether batches are in page-locked memory, from which a CUDA device copies while others compute;
            for CUDA alone.
        batch: Pictures in each but the last.
    """
    threads = max(1, workers, own_cores())
    side = view.view.size
    held = _uncropped(images, view)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Tensor, list[Future[None]]]] = deque()
        try:
            for low in range(0, len(rows), batch):
                part = rows[low : low + batch]
                pictures = torch.empty((len(part), side, side, 3), dtype=torch.uint8, pin_memory=pin)
                pixels, share = pictures.numpy(), -(-len(part) // (4 * threads))
                work = [
                    pool.submit(_fill, pixels[i : i + share], images, part[i : i + share], view, held)
                    for i in range(0, len(part), share)
                ]
                waiting.append((pictures, work))
                if len(waiting) > AHEAD:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _uncropped(images: ImageSet, view: CentreView) -> Pixels | None:
    """All pixels, uint8 [N, H, W, 3], where they are in memory and the view takes them as they are."""
    held, seen = images.images, view.view
    as_they_are = isinstance(held, ArrayImages) and held.side == seen.resize == seen.size
    return held.pixels if as_they_are and isinstance(held, ArrayImages) else None


def _fill(
    pixels: Pixels, images: ImageSet, rows: Sequence[int], view: CentreView, held: Pixels | None
) -> None:
    """Write some pictures into their places in a batch."""
    if held is not None:
        chosen = rows if images.indices is None else [images.indices[row] for row in rows]
        pixels[:] = held[list(chosen)]
        return
    for place, row in enumerate(rows):
        pixels[place] = np.asarray(view.crop(images.picture(row)))


def _finished(pictures: Tensor, work: Sequence[Future[None]]) -> Tensor:
    for part in work:
        part.result()
    return pictures
