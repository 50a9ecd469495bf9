"""Steps that augmentations are made of: the draws and pixels of torchvision's transforms v2, sooner.

At 32 px the dispatching of v2 takes several times as long as the work itself, so these call PIL directly.
Every draw is from torch's global generator, in v2's order; a test holds the two equal bit by bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from hsa_bench.core.data.device_resize import Interpolation, resized, where
from hsa_bench.core.data.drawn_view import DrawnView, Numbers, cropped, happens, random_box, uniform
from pretrain.data.device_photometric import LARGEST_RADIUS, blurred, jittered, luma

RESAMPLING: dict[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Pillow's names."""


class Step(ABC):
    """A change of a view: numbers, drawn in v2's order, and the pixels that follow from them."""

    count: ClassVar[int]
    """How many numbers it draws for each view."""

    @abstractmethod
    def draw(self) -> Numbers:
        """Draw from torch's global generator."""

    @abstractmethod
    def pixels(self, view: Image.Image, numbers: Numbers) -> Image.Image:
        """Change a view by PIL."""

    @abstractmethod
    def on_batch(self, views: Tensor, numbers: Tensor) -> Tensor:
        """Change views on a device, float32 [B, 3, S, S], each by its own numbers, [B, count]."""


class RandomViews(DrawnView):
    """A random crop, resized to the square, then steps."""

    def __init__(
        self,
        size: int,
        area: tuple[float, float],
        steps: Sequence[Step],
        interpolation: Interpolation = "bilinear",
    ) -> None:
        """Put it together.

        Args:
            size: Side of the square, px.
            area: Least and largest share of the picture that a crop covers.
            steps: What follows the crop, in order.
            interpolation: How the crop is resized, with antialiasing, as Pillow has it.
        """
        self.side = size
        self.area = area
        self.interpolation: Interpolation = interpolation
        self.steps = tuple(steps)
        ends = [*accumulate((step.count for step in steps), initial=4)]
        self.places = tuple(slice(*both) for both in pairwise(ends))

    def draw(self, size: tuple[int, int]) -> Numbers:
        numbers: Numbers = [*random_box(size, self.area)]
        for step in self.steps:
            numbers += step.draw()
        return numbers

    def cut(self, picture: Image.Image, numbers: Numbers) -> Image.Image:
        return cropped(picture, numbers, self.side, RESAMPLING[self.interpolation])

    def change(self, cut: Image.Image, numbers: Numbers) -> NDArray[np.uint8]:
        for step, place in zip(self.steps, self.places, strict=True):
            cut = step.pixels(cut, numbers[place])
        return np.array(cut)

    def cut_batch(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        return resized(pictures, numbers[:, :4], self.side, self.interpolation)

    def change_batch(self, cuts: Tensor, numbers: Tensor) -> Tensor:
        for step, place in zip(self.steps, self.places, strict=True):
            cuts = step.on_batch(cuts, numbers[:, place])
        return cuts


class Flip(Step):
    """Mirrored, in one of two views."""

    count = 1

    def draw(self) -> Numbers:
        return [float(happens(0.5))]

    def pixels(self, view: Image.Image, numbers: Numbers) -> Image.Image:
        return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if numbers[0] else view

    def on_batch(self, views: Tensor, numbers: Tensor) -> Tensor:
        return where(numbers[:, 0], views.flip(-1), views)


class Grey(Step):
    """Without colour, in one of five views."""

    count = 1

    def draw(self) -> Numbers:
        return [float(happens(0.2))]

    def pixels(self, view: Image.Image, numbers: Numbers) -> Image.Image:
        return view.convert("L").convert("RGB") if numbers[0] else view

    def on_batch(self, views: Tensor, numbers: Tensor) -> Tensor:
        return where(numbers[:, 0], luma(views).expand_as(views), views)


class Blur(Step):
    """Blurred by PIL with a radius from 0.1 to 2 px, in one of two views (moco/loader.py @132aea9)."""

    count = 1

    def draw(self) -> Numbers:
        """Draw the radius, px; 0 for none."""
        return [uniform(0.1, LARGEST_RADIUS) if happens(0.5) else 0.0]

    def pixels(self, view: Image.Image, numbers: Numbers) -> Image.Image:
        return view.filter(ImageFilter.GaussianBlur(numbers[0])) if numbers[0] else view

    def on_batch(self, views: Tensor, numbers: Tensor) -> Tensor:
        return blurred(views, numbers[:, 0])


class ColourJitter(Step):
    """Brightness, contrast, saturation and hue changed in random order, in four of five views."""

    count = 8
    unchanged: ClassVar[Numbers] = [*[-1.0] * 4, *[1.0] * 3, 0.0]

    def __init__(self, strength: float, hue: float) -> None:
        """Set the ranges.

        Args:
            strength: The first three are multiplied by 1 ± this.
            hue: Shifted by up to ± this, of a turn.
        """
        self.strength = strength
        self.hue = hue

    def draw(self) -> Numbers:
        """Draw the order of the four changes, each -1 where there is none, then their amounts.

        Amounts are three factors and the shift of hue in PIL's levels, 0 to 255.
        """
        if not happens(0.8):
            return self.unchanged
        order = torch.randperm(4).tolist()
        low, high = max(0.0, 1 - self.strength), 1 + self.strength
        factors = [uniform(low, high) for _ in range(3)]
        return [*order, *factors, int(uniform(-self.hue, self.hue) * 255) % 256]

    def pixels(self, view: Image.Image, numbers: Numbers) -> Image.Image:
        for which in map(int, numbers[:4]):
            if which >= 0:
                view = CHANGES[which](view, numbers[4 + which])
        return view

    def on_batch(self, views: Tensor, numbers: Tensor) -> Tensor:
        return jittered(views, numbers)


def _brightness(view: Image.Image, factor: float) -> Image.Image:
    return Image.blend(Image.new("RGB", view.size, 0), view, factor)


def _contrast(view: Image.Image, factor: float) -> Image.Image:
    mean = int(float(np.asarray(view.convert("L")).mean()) + 0.5)
    return Image.blend(Image.new("RGB", view.size, (mean, mean, mean)), view, factor)


def _saturation(view: Image.Image, factor: float) -> Image.Image:
    return Image.blend(view.convert("L").convert("RGB"), view, factor)


def _hue(view: Image.Image, levels: float) -> Image.Image:
    coded = np.array(view.convert("HSV"))  # [H, W, 3]
    coded[..., 0] += np.uint8(levels)  # wraps around
    return Image.frombytes("HSV", view.size, coded.tobytes()).convert("RGB")


CHANGES = (_brightness, _contrast, _saturation, _hue)
"""In the order of v2.ColorJitter's numbers."""
