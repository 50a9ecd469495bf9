"""Views of pictures: the centre crop of evaluation, the random crop of training, seeded per sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from hsa_bench.core.data.device_resize import resized, where
from hsa_bench.core.data.drawn_view import DrawnView, Numbers, cropped, happens, random_box
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.seed import forked

Transform = Callable[[Image.Image], Any]
"""A view of a picture as loaders carry it: uint8 [S, S, 3]; `Normalise.batch` makes input of a batch."""


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
        width = levels.shape[2]
        # Whole rows at a time: inner loops over three numbers take five times as long.
        rows = levels.flatten(2).sub_(mean.repeat(width)).div_(std.repeat(width))  # [B, H, W x 3]
        return rows.view_as(levels).permute(0, 3, 1, 2)

    def forward(self, picture: Image.Image | Tensor) -> Tensor:
        # By a table for each channel, in NumPy: a tenth of the time of torch's calls on pictures this small.
        pixels = picture.permute(1, 2, 0).numpy() if isinstance(picture, Tensor) else np.asarray(picture)
        channels = np.empty((3, *pixels.shape[:2]), np.float32)
        for place, (channel, table) in enumerate(self.tables):
            np.take(table, pixels[..., channel], out=channels[place], mode="clip")
        return torch.from_numpy(channels)  # [3, H, W]


@cache
def _mean_and_std(card: Preprocess, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel in the card's order, [3] each, on the device."""
    step = -1 if card.channels == "BGR" else 1
    mean, std = (torch.tensor(values[::step], device=device) for values in (card.mean, card.std))
    return mean, std


class CentreView:
    """Resize the shorter side, crop the centre or squash the whole."""

    def __init__(self, view: View, card: Preprocess) -> None:
        self.view = view
        self.mode = InterpolationMode(view.interpolation)
        self.normalise = Normalise(card)

    def crop(self, picture: Image.Image) -> Image.Image:
        """Return the square of the view's size."""
        whole = (self.view.size, self.view.size)
        if picture.size == whole and self.view.resize == self.view.size:
            return picture
        if not self.view.squash or self.view.resize != self.view.size:
            picture = functional.resize(picture, [self.view.resize], self.mode)
        if self.view.squash:
            return functional.resize(picture, list(whole), self.mode)
        return functional.center_crop(picture, list(whole))

    def __call__(self, picture: Image.Image) -> Tensor:
        """Make the view, uint8 [S, S, 3], for a batch to be normalised on the device."""
        return torch.from_numpy(np.array(self.crop(picture)))


class RandomView(DrawnView):
    """Cut a random rectangle, resize it to the square, mirror it or not.

    The same draws and the same pixels as torchvision's v2.RandomResizedCrop and
    v2.RandomHorizontalFlip, at a third of their time on small pictures.
    """

    def __init__(self, view: View, card: Preprocess, smallest: float, flip: bool) -> None:
        self.side = view.size
        self.interpolation = view.interpolation
        self.scale = (smallest, 1.0)
        self.flip = flip
        self.normalise = Normalise(card)

    def draw(self, size: tuple[int, int]) -> Numbers:
        return [*random_box(size, self.scale), float(self.flip and happens(0.5))]

    def cut(self, picture: Image.Image, numbers: Numbers) -> Image.Image:
        return cropped(picture, numbers, self.side, Image.Resampling[self.interpolation.upper()])

    def change(self, cut: Image.Image, numbers: Numbers) -> NDArray[np.uint8]:
        return np.array(cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if numbers[4] else cut)

    def cut_batch(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        return resized(pictures, numbers[:, :4], self.side, self.interpolation)

    def change_batch(self, cuts: Tensor, numbers: Tensor) -> Tensor:
        return where(numbers[:, 4], cuts.flip(-1), cuts)


def centre_view(view: View, card: Preprocess) -> CentreView:
    """Resize the shorter side, crop the centre or squash the whole: every evaluation's view."""
    return CentreView(view, card)


def random_view(view: View, card: Preprocess, smallest: float = 0.08, flip: bool = True) -> RandomView:
    """Random resized crop and flip: how linear and fine-tuned classifiers are trained.

    Args:
        view: Its size is that of the crop.
        card: What the weights expect.
        smallest: Least share of the picture's area a crop covers; published recipes use 0.08.
        flip: Whether mirrored pictures mean the same; not so for digits.
    """
    return RandomView(view, card, smallest, flip)


def views_of(
    images: ImageSet, transforms: Sequence[Transform], seed: int, epoch: int, index: int
) -> tuple[list[Any], int, int]:
    """The views of picture `index` in one epoch, its label and index, whoever asks and in which order."""
    picture = images.picture(index)
    with forked(seed, "view", epoch, index):
        views = [transform(picture) for transform in transforms]
    return views, int(images.labels[index]), index


class SeededViews(Dataset[tuple[list[Any], int, int]]):
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

    def __getitem__(self, index: int) -> tuple[list[Any], int, int]:
        return views_of(self.images, self.transforms, self.seed, self.epoch, index)


class SeededEpochs(Dataset[tuple[list[Any], int, int]]):
    """Item (e, i): what item i of `SeededViews` is in epoch e. One loader can so run over many epochs."""

    def __init__(self, images: ImageSet, transforms: Sequence[Transform], seed: int) -> None:
        self.images = images
        self.transforms = transforms
        self.seed = seed

    def __getitem__(self, place: tuple[int, int]) -> tuple[list[Any], int, int]:
        epoch, index = place
        return views_of(self.images, self.transforms, self.seed, epoch, index)
