"""Steps that augmentations are made of: the draws and pixels of torchvision's transforms v2, sooner.

At 32 px the dispatching of v2 takes several times as long as the work itself, so these call PIL directly.
Every draw is from torch's global generator, in v2's order; a test holds the two equal bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from hsa_bench.core.data.views import Normalise, random_box
from hsa_bench.core.models.preprocess import Preprocess

Step = Callable[[Image.Image], Image.Image]


def _happens(probability: float) -> bool:
    return torch.rand(1).item() < probability


def _uniform(low: float, high: float) -> float:
    return torch.empty(1).uniform_(low, high).item()


class RandomViews:
    """A random crop, resized to the square, then steps, then the card's normalisation."""

    def __init__(self, size: int, area: tuple[float, float], steps: Sequence[Step], card: Preprocess) -> None:
        """Put it together.

        Args:
            size: Side of the square, px.
            area: Least and largest share of the picture that a crop covers.
            steps: What follows the crop, in order.
            card: What the weights expect.
        """
        self.size = (size, size)
        self.area = area
        self.steps = tuple(steps)
        self.normalise = Normalise(card)

    def pixels(self, picture: Image.Image) -> Image.Image:
        """The view before it is normalised."""
        view = picture.crop(random_box(picture.size, self.area))
        view = view.resize(self.size, Image.Resampling.BILINEAR)
        for step in self.steps:
            view = step(view)
        return view

    def __call__(self, picture: Image.Image) -> Tensor:
        return self.normalise(self.pixels(picture))


class Flip:
    """Mirrored, in one of two views."""

    def __call__(self, view: Image.Image) -> Image.Image:
        return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if _happens(0.5) else view


class Grey:
    """Without colour, in one of five views."""

    def __call__(self, view: Image.Image) -> Image.Image:
        return view.convert("L").convert("RGB") if _happens(0.2) else view


class Blur:
    """Blurred by PIL with a radius from 0.1 to 2 px, in one of two views (moco/loader.py @132aea9)."""

    def __call__(self, view: Image.Image) -> Image.Image:
        return view.filter(ImageFilter.GaussianBlur(_uniform(0.1, 2.0))) if _happens(0.5) else view


class ColourJitter:
    """Brightness, contrast, saturation and hue changed in random order, in four of five views."""

    def __init__(self, strength: float, hue: float) -> None:
        """Set the ranges.

        Args:
            strength: The first three are multiplied by 1 ± this.
            hue: Shifted by up to ± this, of a turn.
        """
        self.strength = strength
        self.hue = hue

    def __call__(self, view: Image.Image) -> Image.Image:
        if not _happens(0.8):
            return view
        order = torch.randperm(4).tolist()
        low, high = max(0.0, 1 - self.strength), 1 + self.strength
        factors = (*(_uniform(low, high) for _ in range(3)), _uniform(-self.hue, self.hue))
        for which in order:
            view = CHANGES[which](view, factors[which])
        return view


def _brightness(view: Image.Image, factor: float) -> Image.Image:
    return Image.blend(Image.new("RGB", view.size, 0), view, factor)


def _contrast(view: Image.Image, factor: float) -> Image.Image:
    mean = int(float(np.asarray(view.convert("L")).mean()) + 0.5)
    return Image.blend(Image.new("RGB", view.size, (mean, mean, mean)), view, factor)


def _saturation(view: Image.Image, factor: float) -> Image.Image:
    return Image.blend(view.convert("L").convert("RGB"), view, factor)


def _hue(view: Image.Image, turn: float) -> Image.Image:
    coded = np.array(view.convert("HSV"))  # [H, W, 3]
    coded[..., 0] += np.uint8(int(turn * 255) % 256)  # wraps around
    return Image.frombytes("HSV", view.size, coded.tobytes()).convert("RGB")


CHANGES = (_brightness, _contrast, _saturation, _hue)
"""In the order of v2.ColorJitter's numbers."""
