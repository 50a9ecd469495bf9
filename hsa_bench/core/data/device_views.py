"""From a loader's batches to the network's input on the device, where views are normalised or also made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hsa_bench.core.data.device_resize import planes
from hsa_bench.core.data.drawn_view import DrawnView
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.loading import Batch
from hsa_bench.core.data.views import Normalise, Transform
from hsa_bench.core.models.preprocess import Preprocess

AugmentOn = Literal["cpu", "device"]

WHOLE = 4 * 2**30
"""Most bytes of an image set kept on the device; a larger one is cropped by loader processes. The two differ
by a grey level here and there, so the limit is the same on every device."""


def normalised(batches: Iterable[Batch], normalise: Normalise, device: str) -> Iterator[Batch]:
    """Yield the batches with their views on the device, normalised, float32 [B, 3, S, S], channels last."""
    for views, labels, indices in batches:
        yield [on_device(view, normalise, device) for view in views], labels, indices


def on_device(pixels: Tensor, normalise: Normalise, device: str | torch.device) -> Tensor:
    """Copy pixels, uint8 [B, S, S, 3], to the device and normalise them there."""
    return normalise.batch(pixels.to(device, non_blocking=True))


@dataclass(frozen=True)
class DrawnOnly:
    """A transform that draws a view's numbers, float32 [count], where the device has the pictures."""

    view: DrawnView

    def __call__(self, picture: Image.Image) -> Tensor:
        return torch.tensor(self.view.draw(picture.size))


@dataclass(frozen=True)
class CutOnly:
    """A transform that crops a view, uint8 [S, S, 3], and gives its numbers, float32 [count], too."""

    view: DrawnView

    def __call__(self, picture: Image.Image) -> tuple[Tensor, Tensor]:
        numbers = self.view.draw(picture.size)
        return torch.from_numpy(np.array(self.view.cut(picture, numbers))), torch.tensor(numbers)


@dataclass(frozen=True)
class DeviceViews:
    """Random views of an image set, half of them made by a loader and half on the device, as augment_on says.

    The numbers are drawn by the loader in any case, so both ways show the same views. With "device", pictures
    of one size that fit live there whole, and only numbers are carried; others come cropped and resized.
    """

    images: ImageSet
    card: Preprocess
    device: torch.device
    augment_on: AugmentOn

    @cached_property
    def normalise(self) -> Normalise:
        """Normalisation that the weights' card states."""
        return Normalise(self.card)

    @property
    def lives_there(self) -> bool:
        """Whether the whole set is on the device."""
        images = self.images.images
        if self.augment_on == "cpu" or not isinstance(images, ArrayImages):
            return False
        return len(self.images) * int(np.prod(images.pixels.shape[1:])) <= WHOLE

    @cached_property
    def whole(self) -> Tensor:
        """All pictures of the set, uint8 [N, H, W, 3], on the device."""
        assert isinstance(self.images.images, ArrayImages)
        pixels, rows = self.images.images.pixels, self.images.indices
        return torch.from_numpy(pixels.copy() if rows is None else pixels[list(rows)]).to(self.device)

    def carried(self, view: DrawnView) -> Transform:
        """Return the transform that a loader does of a view."""
        if self.augment_on == "cpu":
            return view
        return DrawnOnly(view) if self.lives_there else CutOnly(view)

    def finished(self, view: DrawnView, carried: Any, shown: Tensor) -> Tensor:
        """Make the network's input, float32 [B, 3, S, S], channels last, without waiting for the device.

        Args:
            view: The one that was given to `carried`.
            carried: A batch of what that transform gave.
            shown: Indices of the pictures in the set, [B].
        """
        if self.augment_on == "cpu":
            return on_device(carried, self.normalise, self.device)
        if self.lives_there:
            numbers, rows = self._there(carried), self._there(shown)
            cuts = view.cut_batch(self.whole[rows], numbers)
        else:
            pixels, numbers = map(self._there, carried)
            cuts = planes(pixels)
        views = view.change_batch(cuts, numbers).to(torch.uint8)
        return self.normalise.batch(views.permute(0, 2, 3, 1))

    def _there(self, x: Tensor) -> Tensor:
        return x.to(self.device, non_blocking=True)
