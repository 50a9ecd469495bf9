"""Views of pictures: the centre crop of evaluation, the random crop of training, seeded per sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional

from hsa_bench.core.card import Preprocess
from hsa_bench.core.data import Classification, ImageSet
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


def eval_view(data: Classification, image_size: int = 0, resize: int = 0) -> View:
    """The evaluation view of a data set, at its own size unless another is asked for.

    Args:
        data: Its ratio of `resize` to `image_size` is kept where no `resize` is given.
        image_size: Side of the crop, px; 0 for the data set's.
        resize: Shorter side before the crop, px; 0 to keep the ratio.
    """
    size = image_size or data.image_size
    return View(size=size, resize=resize or round(size * data.resize / data.image_size))


class Normalise(torch.nn.Module):
    """Pixels to input as the card says: a picture, or uint8 [3, H, W], to float32 [3, H, W]."""

    def __init__(self, card: Preprocess) -> None:
        super().__init__()
        self.scale = card.value_range / 255
        self.mean = np.array(card.mean, dtype=np.float32)
        self.std = np.array(card.std, dtype=np.float32)
        self.flip = card.channels == "BGR"

    def forward(self, picture: Image.Image | Tensor) -> Tensor:
        # NumPy, as its calls cost a tenth of torch's on pictures this small.
        pixels = picture.permute(1, 2, 0).numpy() if isinstance(picture, Tensor) else np.asarray(picture)
        x = pixels.astype(np.float32)  # [H, W, 3]
        x *= self.scale
        x -= self.mean
        x /= self.std
        channels_first = x[..., :: -1 if self.flip else 1].transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(channels_first))  # [3, H, W]


class CentreView:
    """Resize the shorter side, crop the centre, normalise."""

    def __init__(self, view: View, card: Preprocess) -> None:
        self.view = view
        self.mode = InterpolationMode(view.interpolation)
        self.normalise = Normalise(card)

    def __call__(self, picture: Image.Image) -> Tensor:
        whole = (self.view.size, self.view.size)
        if not (picture.size == whole and self.view.resize == self.view.size):  # else nothing to do
            picture = functional.resize(picture, [self.view.resize], self.mode)
            picture = functional.center_crop(picture, list(whole))
        return self.normalise(picture)


class RandomView:
    """Cut a random rectangle, resize it to the square, mirror it or not, normalise.

    The same draws and the same pixels as torchvision's v2.RandomResizedCrop and
    v2.RandomHorizontalFlip, at a third of their time on small pictures.
    """

    ratio = (3 / 4, 4 / 3)
    """Width over height of the rectangle."""

    def __init__(self, view: View, card: Preprocess, smallest: float, flip: bool) -> None:
        self.size = (view.size, view.size)
        self.mode = Image.Resampling[view.interpolation.upper()]
        self.scale = (smallest, 1.0)
        self.flip = flip
        self.normalise = Normalise(card)

    def __call__(self, picture: Image.Image) -> Tensor:
        top, left, height, width = RandomResizedCrop.get_params(picture, self.scale, self.ratio)
        cut = picture.crop((left, top, left + width, top + height)).resize(self.size, self.mode)
        if self.flip and float(torch.rand(1)) < 0.5:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return self.normalise(cut)


def centre_view(view: View, card: Preprocess) -> Transform:
    """Resize the shorter side, crop the centre, normalise: the view of every evaluation."""
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
