"""How many views a second come as input to a device: by Pillow in loader processes, or made by the device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Literal

import torch
from torch import Tensor

from hsa_bench.core.data.device_views import AugmentOn, DeviceViews
from hsa_bench.core.data.drawn_view import DrawnView
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.loading import pinned
from hsa_bench.core.models.preprocess import Preprocess
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.batches import ContrastiveViews, OwnParts, batches

Way = Literal["by Pillow", "by the device", "on the device alone"]


def view_rates(
    images: ImageSet, augment: str, size: int, device: str, workers: int, batch: int = 256, count: int = 10
) -> dict[Way, float]:
    """Measure views a second of each way, two of every picture as in MoCo, without the loader's start.

    Args:
        images: At least two batches.
        augment: Name of an augmentation.
        size: Side of the views, px.
        device: Where the input is wanted.
        workers: Loader processes.
        batch: Pictures in one.
        count: Batches that are measured.

    Returns:
        Views a second. "on the device alone" is without the loader: what follows the draws, of pictures
        that are there.
    """
    view = AUGMENTATIONS[augment](size, 1.0)
    ways: dict[Way, Iterator[object]] = {
        "by Pillow": _loaded(images, view, "cpu", device, workers, batch),
        "by the device": _loaded(images, view, "device", device, workers, batch),
        "on the device alone": _there(images, view, device, batch),
    }
    return {name: 2 * batch * count / _seconds(way, device, count) for name, way in ways.items()}


def _loaded(
    images: ImageSet, view: DrawnView, augment_on: AugmentOn, device: str, workers: int, batch: int
) -> Iterator[object]:
    there = DeviceViews(images, Preprocess(), torch.device(device), augment_on)
    views = ContrastiveViews(images, there.carried(view), None, (), seed=0)
    epochs = range(10**6)  # without end
    places = OwnParts(len(images), batch, 1, 0, epochs)
    for carried, shown in batches(views, places, workers, pinned(device)):
        yield [there.finished(view, one, rows) for one, rows in zip(carried, shown, strict=True)]


def _there(images: ImageSet, view: DrawnView, device: str, batch: int) -> Iterator[Tensor]:
    pictures = torch.randint(256, (batch, size_of(images), size_of(images), 3), dtype=torch.uint8).to(device)
    numbers = torch.tensor([view.draw((size_of(images),) * 2) for _ in range(batch)]).to(device)
    while True:
        yield torch.cat([view.change_batch(view.cut_batch(pictures, numbers), numbers) for _ in range(2)])


def size_of(images: ImageSet) -> int:
    """Side of the first picture's shorter side, px."""
    return min(images.picture(0).size)


def _seconds(way: Iterator[object], device: str, count: int) -> float:
    """Seconds that `count` batches take after the first two."""
    list(islice(way, 2))
    _wait(device)
    start = time.perf_counter()
    for _ in islice(way, count):
        pass
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
