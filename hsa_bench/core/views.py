"""Views of pictures: the centre crop of evaluation, the random crop of training, seeded per sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from PIL import Image
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from hsa_bench.core.card import Preprocess
from hsa_bench.core.data import ImageSet
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


class Normalise(torch.nn.Module):
    """Pixels to input as the card says: [3, H, W] uint8 to float32."""

    def __init__(self, card: Preprocess) -> None:
        super().__init__()
        self.scale = card.value_range / 255
        self.mean = torch.tensor(card.mean)[:, None, None]
        self.std = torch.tensor(card.std)[:, None, None]
        self.flip = card.channels == "BGR"

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.float() * self.scale - self.mean) / self.std
        return x.flip(0) if self.flip else x


def centre_view(view: View, card: Preprocess) -> Transform:
    """Resize the shorter side, crop the centre, normalise: the view of every evaluation."""
    mode = InterpolationMode(view.interpolation)
    return v2.Compose(
        [
            v2.Resize(view.resize, mode),
            v2.CenterCrop(view.size),
            v2.PILToTensor(),
            Normalise(card),
        ]
    )


def random_view(view: View, card: Preprocess, smallest: float = 0.08, flip: bool = True) -> Transform:
    """Random resized crop and flip, normalised: how linear and fine-tuned classifiers are trained.

    Args:
        view: Its size is that of the crop.
        card: What the weights expect.
        smallest: Least share of the picture's area a crop covers; published recipes use 0.08.
        flip: Whether mirrored pictures mean the same; not so for digits.
    """
    mode = InterpolationMode(view.interpolation)
    return v2.Compose(
        [
            v2.RandomResizedCrop(view.size, scale=(smallest, 1.0), interpolation=mode),
            *([v2.RandomHorizontalFlip()] if flip else []),
            v2.PILToTensor(),
            Normalise(card),
        ]
    )


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
        picture = self.images.picture(index)
        with forked(self.seed, "view", self.epoch, index):
            views = [transform(picture) for transform in self.transforms]
        return views, int(self.images.labels[index]), index
