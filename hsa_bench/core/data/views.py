"""Views of pictures: the centre crop of evaluation, the random crop of training, seeded per sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

import numpy as np
import torch
from PIL import Image
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.seed import forked

Transform = Callable[[Image.Image], Tensor]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class View:
    """Geometry of what the backbone sees."""

    size: int
    """Side of the square, px."""
    resize: int
    """Shorter side before the centre crop, px; equal to `size` for small images."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    squash: bool = False
    """Whether the whole picture is resized to the square, its sides unevenly, instead of a crop: after its
    shorter side is resized to `resize`, or at once where that equals `size`."""


def eval_view(data: Classification, image_size: int = 0, resize: int = 0) -> View:
    """The evaluation view of a data set, at its own size unless another is asked for.

    Args:
        data: Its ratio of `resize` to `image_size` is kept where no `resize` is given.
        image_size: Side of the crop, px; 0 for the data set's.
        resize: Shorter side before the crop, px; 0 to keep the ratio.
    """
    size = image_size or data.image_size
    return View(size=size, resize=resize or round(size * data.resize / data.image_size))


def resizes(view: View, images: ImageSet) -> bool:
    """Whether a view changes pictures before it crops them, so that its interpolation matters."""
    return images.images.side != view.resize


class Normalise(torch.nn.Module):
    """Pixels to input as the card says: a picture, or uint8 [3, H, W], to float32 [3, H, W]."""

    def __init__(self, card: Preprocess) -> None:
        super().__init__()
        self.card = card
        levels = np.arange(256, dtype=np.float32)[:, None] * np.float32(card.value_range / 255)
        table = (levels - np.array(card.mean, dtype=np.float32)) / np.array(card.std, dtype=np.float32)
        order = [2, 1, 0] if card.channels == "BGR" else [0, 1, 2]
        self.tables = [(channel, np.ascontiguousarray(table[:, channel])) for channel in order]

    def batch(self, pictures: Tensor) -> Tensor:
        """The same values for a whole batch, uint8 [B, H, W, 3] to float32 [B, 3, H, W], channels last.

        On the device that the batch is on, without waiting for it.
        """
        if self.card.channels == "BGR":
            pictures = pictures.flip(-1)
        mean, std = _mean_and_std(self.card, pictures.device)
        levels = pictures.float().mul_(np.float32(self.card.value_range / 255).item())
        return levels.sub_(mean).div_(std).permute(0, 3, 1, 2)

    def forward(self, picture: Image.Image | Tensor) -> Tensor:
        # By a table for each channel, in NumPy: a tenth of the time of torch's calls on pictures this small.
        pixels = picture.permute(1, 2, 0).numpy() if isinstance(picture, Tensor) else np.asarray(picture)
        channels = np.empty((3, *pixels.shape[:2]), np.float32)
        for place, (channel, table) in enumerate(self.tables):
            np.take(table, pixels[..., channel], out=channels[place], mode="clip")
        return torch.from_numpy(channels)  # [3, H, W]


@cache
def _mean_and_std(card: Preprocess, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of each channel in the card's order, [3] each: on the device from the first batch on."""
    step = -1 if card.channels == "BGR" else 1
    mean, std = (torch.tensor(values[::step], device=device) for values in (card.mean, card.std))
    return mean, std


class CentreView:
    """Resize the shorter side, crop the centre or squash the whole, normalise."""

    def __init__(self, view: View, card: Preprocess) -> None:
        self.view = view
        self.mode = InterpolationMode(view.interpolation)
        self.normalise = Normalise(card)

    def crop(self, picture: Image.Image) -> Image.Image:
        """The picture as it is normalised: a square of the view's size."""
        whole = (self.view.size, self.view.size)
        if picture.size == whole and self.view.resize == self.view.size:
            return picture
        if not self.view.squash or self.view.resize != self.view.size:
            picture = functional.resize(picture, [self.view.resize], self.mode)
        if self.view.squash:
            return functional.resize(picture, list(whole), self.mode)
        return functional.center_crop(picture, list(whole))

    def __call__(self, picture: Image.Image) -> Tensor:
        return self.normalise(self.crop(picture))


LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
"""Of width over height of a random crop, as torchvision has it."""


def random_box(size: tuple[int, int], area: tuple[float, float]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a random crop, px: the draws of torchvision's RandomResizedCrop.

    Args:
        size: Width and height of the picture.
        area: Least and largest share of it that a crop covers.
    """
    width, height = size
    for _ in range(10):
        target = width * height * torch.empty(1).uniform_(*area).item()
        ratio = torch.exp(torch.empty(1).uniform_(*LOG_RATIO)).item()
        w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = int(torch.randint(0, height - h + 1, (1,)))
            left = int(torch.randint(0, width - w + 1, (1,)))
            return left, top, left + w, top + h
    w = min(width, round(height * 4 / 3))  # fall back to the centre, at an allowed ratio
    h = min(height, round(width * 4 / 3))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


class RandomView:
    """Cut a random rectangle, resize it to the square, mirror it or not, normalise.

    The same draws and the same pixels as torchvision's v2.RandomResizedCrop and
    v2.RandomHorizontalFlip, at a third of their time on small pictures.
    """

    def __init__(self, view: View, card: Preprocess, smallest: float, flip: bool) -> None:
        self.size = (view.size, view.size)
        self.mode = Image.Resampling[view.interpolation.upper()]
        self.scale = (smallest, 1.0)
        self.flip = flip
        self.normalise = Normalise(card)

    def __call__(self, picture: Image.Image) -> Tensor:
        cut = picture.crop(random_box(picture.size, self.scale)).resize(self.size, self.mode)
        if self.flip and float(torch.rand(1)) < 0.5:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return self.normalise(cut)


def centre_view(view: View, card: Preprocess) -> CentreView:
    """Resize the shorter side, crop the centre or squash the whole, normalise: every evaluation's view."""
    return CentreView(view, card)


def random_view(view: View, card: Preprocess, smallest: float = 0.08, flip: bool = True) -> Transform:
    """Random resized crop and flip, normalised: how linear and fine-tuned classifiers are trained.

    Args:
        view: Its size is that of the crop.
        card: What the weights expect.
        smallest: Least share of the picture's area a crop covers; published recipes use 0.08.
        flip: Whether mirrored pictures mean the same; not so for digits.
    """
    return RandomView(view, card, smallest, flip)


def views_of(
    images: ImageSet, transforms: Sequence[Transform], seed: int, epoch: int, index: int
) -> tuple[list[Tensor], int, int]:
    """The views of picture `index` in one epoch, its label and index, whoever asks and in which order."""
    picture = images.picture(index)
    with forked(seed, "view", epoch, index):
        views = [transform(picture) for transform in transforms]
    return views, int(images.labels[index]), index


class SeededViews(Dataset[tuple[list[Tensor], int, int]]):
    """Item i: its views, label and index. What is drawn depends on (seed, epoch, i) alone.

    So neither worker processes nor resuming nor sharding change a pixel.
    """

    def __init__(self, images: ImageSet, transforms: Sequence[Transform], seed: int, epoch: int) -> None:
        self.images = images
        self.transforms = transforms
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int, int]:
        return views_of(self.images, self.transforms, self.seed, self.epoch, index)


class SeededEpochs(Dataset[tuple[list[Tensor], int, int]]):
    """Item (e, i): what item i of `SeededViews` is in epoch e. One loader can so run over many epochs."""

    def __init__(self, images: ImageSet, transforms: Sequence[Transform], seed: int) -> None:
        self.images = images
        self.transforms = transforms
        self.seed = seed

    def __getitem__(self, place: tuple[int, int]) -> tuple[list[Tensor], int, int]:
        epoch, index = place
        return views_of(self.images, self.transforms, self.seed, epoch, index)
