"""Views whose random numbers are drawn before any pixel, so that PIL or a device can make the same view."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Numbers = list[float]
"""Random numbers of one view. The first four are its box: left, top, right, bottom, px."""

LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
"""Of width over height of a random crop, as torchvision has it."""


class DrawnView(ABC):
    """A random view: numbers, drawn from torch's global generator, and the pixels that follow from them."""

    @abstractmethod
    def draw(self, size: tuple[int, int]) -> Numbers:
        """Draw a view's numbers for a picture of this width and height, px; always equally many."""

    @abstractmethod
    def cut_batch(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        """Crop and resize on the device that the tensors are on.

        Args:
            pictures: uint8 [B, H, W, 3].
            numbers: What was drawn for each, [B, count].

        Returns:
            float32 [B, 3, S, S], whole numbers from 0 to 255.
        """

    @abstractmethod
    def change_batch(self, cuts: Tensor, numbers: Tensor) -> Tensor:
        """Do all that follows the crop on the device; takes and returns what `cut_batch` returns."""

    @abstractmethod
    def cut(self, picture: Image.Image, numbers: Numbers) -> Image.Image:
        """Crop and resize to the square."""

    def change(self, cut: Image.Image, numbers: Numbers) -> NDArray[np.uint8]:
        """Do all that follows the crop; return [S, S, 3]."""
        return np.array(cut)

    def pixels(self, picture: Image.Image, numbers: Numbers) -> NDArray[np.uint8]:
        """Make the view before it is normalised, [S, S, 3]."""
        return self.change(self.cut(picture, numbers), numbers)

    def __call__(self, picture: Image.Image) -> Tensor:
        """Draw a view and make it, uint8 [S, S, 3], for a batch to be normalised on the device."""
        return torch.from_numpy(self.pixels(picture, self.draw(picture.size)))


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


def happens(probability: float) -> bool:
    """Draw True with a probability."""
    return torch.rand(1).item() < probability


def uniform(low: float, high: float) -> float:
    """Draw a number from a range."""
    return torch.empty(1).uniform_(low, high).item()


def cropped(
    picture: Image.Image, numbers: Numbers, side: int, mode: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """Cut the box of whole pixels out, so that nothing beyond it counts, and resize it to a square."""
    left, top, right, bottom = map(int, numbers[:4])
    return picture.crop((left, top, right, bottom)).resize((side, side), mode)
