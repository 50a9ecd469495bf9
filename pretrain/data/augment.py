"""Augmentations of the papers, one constructor each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hsa_bench.core.data.device_resize import resized
from hsa_bench.core.data.drawn_view import DrawnView, Numbers
from pretrain.data.device_photometric import relit
from pretrain.data.photometric import Blur, ColourJitter, Flip, Grey, RandomViews, Step

Augmentation = Literal["moco-v2", "moco-v2-cifar", "simclr", "simclr-cifar", "digits"]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def moco_v2(size: int, share: float = 1.0) -> DrawnView:
    """MoCo v2's "aug+" (facebookresearch/moco main_moco.py:328-345 @132aea9), which HSA uses too.

    Args:
        size: Side of the crop, px.
        share: Scales the range of the crop's area, for small crops (haohang96/moco_group_ShuffleBN, branch
            mc @c6ada30: 192 of 224 px has 0.172 to 0.857).
    """
    steps: list[Step] = [ColourJitter(0.4, 0.1), Grey(), Blur(), Flip()]
    return RandomViews(size, (0.2 * share, share), steps)


def moco_v2_cifar(size: int, share: float = 1.0) -> DrawnView:
    """MoCo's for CIFAR-10, without blur (facebookresearch/moco colab/moco_cifar10_demo.ipynb @f736491)."""
    return RandomViews(size, (0.08 * share, share), [Flip(), ColourJitter(0.4, 0.1), Grey()])


def simclr(size: int, share: float = 1.0) -> DrawnView:
    """SimCLR's at colour strength 1 (google-research/simclr data_util.py:61-180,238-444 @383d414).

    Unlike there, brightness is multiplied and hue shifted as torchvision does, and the blur is PIL's, three
    box blurs in place of a sampled Gaussian a tenth of the side wide. Crops are bicubic by PIL, antialiased
    where it makes smaller; TensorFlow's resize_bicubic is not, has another cubic (a -0.75, not -0.5) and its
    pixels' centres half a pixel off. Boxes are torchvision's: area and logarithm of the ratio uniform, and
    after ten tries the centre; TensorFlow's have uniform heights and ratios, so that they cover less (in the
    mean 0.41 of a square picture, not 0.48), and after 100 tries the whole picture.
    """
    steps: list[Step] = [Flip(), ColourJitter(0.8, 0.2), Grey(), Blur()]
    return RandomViews(size, (0.08 * share, share), steps, "bicubic")


def simclr_cifar(size: int, share: float = 1.0) -> DrawnView:
    """SimCLR's for CIFAR-10: strength 0.5, no blur (google-research/simclr README.md:78-86 @383d414).

    What differs otherwise is said of `simclr`.
    """
    return RandomViews(size, (0.08 * share, share), [Flip(), ColourJitter(0.4, 0.1), Grey()], "bicubic")


class Digits(DrawnView):
    """Ours, for small digits: mild crops, strong changes of light, nearly always grey; no flips, no blur.

    A mirrored digit is another sign, and half of it is none; its colours mean nothing, and left in they are
    all that is learnt. In PIL and NumPy, as torchvision's calls cost several times as much at 32 px.
    """

    smallest = 0.5
    """Least share of the picture's area that a crop covers."""
    ratio = 4 / 3
    """Most that a crop is wider than high, or higher than wide."""
    jitter = 0.6
    """Brightness, contrast and saturation are multiplied by 1 ± this, in four of five views."""
    grey = 0.9
    """Share of views without colour."""

    def __init__(self, size: int, share: float = 1.0) -> None:
        self.area = (self.smallest * share, share)
        self.side = size

    def draw(self, size: tuple[int, int]) -> Numbers:
        """Draw the box and the factors of brightness, contrast and saturation, 0 for grey."""
        draw = torch.rand(9).tolist()
        jitter = self.jitter if draw[4] < 0.8 else 0.0
        brightness, contrast, saturation = (1 + jitter * (2 * u - 1) for u in draw[5:8])
        if draw[8] < self.grey:
            saturation = 0.0
        return [*self._box(size, draw[:4]), brightness, contrast, saturation]

    def cut(self, picture: Image.Image, numbers: Numbers) -> Image.Image:
        left, top, right, bottom = numbers[:4]
        whole = (self.side, self.side)
        return picture.resize(whole, Image.Resampling.BILINEAR, (left, top, right, bottom))

    def change(self, cut: Image.Image, numbers: Numbers) -> NDArray[np.uint8]:
        brightness, contrast, saturation = numbers[4:]
        x = np.asarray(cut, dtype=np.float32) * brightness  # [H, W, 3] in 0 … 255
        grey = x @ LUMA  # [H, W]
        x = saturation * x + (1 - saturation) * grey[..., None]
        x = contrast * x + (1 - contrast) * grey.mean()
        return np.rint(x.clip(0, 255)).astype(np.uint8)

    def cut_batch(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        return resized(pictures, numbers[:, :4], self.side, "bilinear", beyond=True)

    def change_batch(self, cuts: Tensor, numbers: Tensor) -> Tensor:
        return relit(cuts, numbers[:, 4:])

    def _box(self, size: tuple[int, int], draw: list[float]) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of a crop, px."""
        area = self.area[0] + (self.area[1] - self.area[0]) * draw[0]
        stretch = self.ratio ** (draw[1] - 0.5)
        width = size[0] * min(1.0, math.sqrt(area) * stretch)
        height = size[1] * min(1.0, math.sqrt(area) / stretch)
        left, top = (size[0] - width) * draw[2], (size[1] - height) * draw[3]
        return left, top, left + width, top + height


AUGMENTATIONS: dict[str, Callable[[int, float], DrawnView]] = {
    "moco-v2": moco_v2,
    "moco-v2-cifar": moco_v2_cifar,
    "simclr": simclr,
    "simclr-cifar": simclr_cifar,
    "digits": Digits,
}
