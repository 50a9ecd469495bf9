from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import nn
from torchvision.transforms import v2

from hsa_bench.core.seed import forked
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.photometric import RandomViews


class PilBlur(nn.Module):
    """moco/loader.py's, with torch's draws."""

    def forward(self, picture: Image.Image) -> Image.Image:
        return picture.filter(ImageFilter.GaussianBlur(radius=torch.empty(1).uniform_(0.1, 2.0).item()))


def jitter(strength: float, hue: float) -> nn.Module:
    return v2.RandomApply([v2.ColorJitter(strength, strength, strength, hue)], p=0.8)


def crop(size: int, smallest: float, share: float, mode: str = "bilinear") -> nn.Module:
    interpolation = v2.InterpolationMode(mode)
    return v2.RandomResizedCrop(size, scale=(smallest * share, share), interpolation=interpolation)


def reference(name: str, size: int, share: float) -> v2.Compose:
    grey, blur, flip = v2.RandomGrayscale(0.2), v2.RandomApply([PilBlur()], p=0.5), v2.RandomHorizontalFlip()
    steps = {
        "moco-v2": [crop(size, 0.2, share), jitter(0.4, 0.1), grey, blur, flip],
        "moco-v2-cifar": [crop(size, 0.08, share), flip, jitter(0.4, 0.1), grey],
        "simclr": [crop(size, 0.08, share, "bicubic"), flip, jitter(0.8, 0.2), grey, blur],
        "simclr-cifar": [crop(size, 0.08, share, "bicubic"), flip, jitter(0.4, 0.1), grey],
    }
    return v2.Compose(steps[name])


def picture(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "digits"])
@pytest.mark.parametrize(("size", "share"), [(32, 1.0), (24, 0.75)])
def test_draws_and_pixels_are_those_of_torchvisions_transforms_v2(name: str, size: int, share: float) -> None:
    ours = AUGMENTATIONS[name](size, share)
    theirs, shown = reference(name, size, share), picture(40, 32)
    for seed in range(150):
        with forked(seed):
            found, then = ours(shown), torch.rand(1)
        with forked(seed):
            expected, after = theirs(shown), torch.rand(1)
        assert np.array_equal(np.asarray(found), np.asarray(expected)), seed
        assert torch.equal(then, after), seed


def test_small_crops_cover_less() -> None:
    shown = Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint32).reshape(64, 64, 3).astype(np.uint8))
    for share in (1.0, 0.25):
        for name in AUGMENTATIONS:
            with forked(0):
                assert AUGMENTATIONS[name](16, share)(shown).shape == (16, 16, 3)
    small = AUGMENTATIONS["moco-v2"](192, 192 / 224)
    assert isinstance(small, RandomViews)
    assert small.area == pytest.approx((0.1714, 0.857), abs=1e-3)
