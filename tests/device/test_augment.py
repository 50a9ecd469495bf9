"""Augmentation on the device: whole-number arithmetic, so the CPU's pixels to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hsa_bench.core.data.device_resize import planes, resized
from hsa_bench.core.seed import forked
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.device_photometric import blended, blurred, jittered, luma, relit, turned

Figure = Callable[..., None]
COUNT = 24

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "grey": lambda x, _: luma(x),
    "brightness": lambda x, drawn: blended(x, drawn[:, 0].long() * 0, 0.2 + drawn[:, :3]),
    "contrast": lambda x, drawn: blended(x, drawn[:, 0].long() * 0 + 1, 0.2 + drawn[:, :3]),
    "saturation": lambda x, drawn: blended(x, drawn[:, 0].long() * 0 + 2, 0.2 + drawn[:, :3]),
    "hue": lambda x, drawn: turned(x, (255 * drawn[:, 0]).floor()),
    "blur": lambda x, drawn: blurred(x, 2 * drawn[:, 0]),
    "light of digits": lambda x, drawn: relit(x, 0.4 + drawn[:, :3]),
    "colours in one order": lambda x, drawn: jittered(
        x,
        torch.cat(
            [drawn[:, :4] * 0 + torch.tensor([2.0, 3, 0, 1]).to(x), 0.5 + drawn[:, :3], drawn[:, 3:4] * 9], 1
        ),
    ),
}


@pytest.fixture
def pixels(tiny: bool) -> Tensor:
    """Smooth pictures and noise, uint8 [B, H, W, 3]."""
    side, rng = 24 if tiny else 240, np.random.default_rng(0)
    shown = rng.integers(0, 256, (COUNT, side, side, 3), dtype=np.uint8)
    for i in range(COUNT // 2):
        coarse = Image.fromarray(shown[i, :8, :8])
        shown[i] = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return torch.from_numpy(shown)


def levels(one: Tensor, other: Tensor) -> float:
    return float((one.cpu() - other.cpu()).abs().max())


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_the_cpus_pixels(name: str, pixels: Tensor, device: str, figure: Figure) -> None:
    drawn = torch.rand(COUNT, 4, generator=torch.Generator().manual_seed(0))
    pair = [OPERATIONS[name](planes(pixels.to(d)), drawn.to(d)) for d in ("cpu", device)]
    figure("largest difference, grey levels of 255", levels(*pair), at_most=0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_crop_gives_the_cpus_pixels(
    interpolation: str, pixels: Tensor, device: str, figure: Figure, tiny: bool
) -> None:
    side = pixels.shape[1]
    low = torch.rand(COUNT, 2, generator=torch.Generator().manual_seed(1)) * side / 2
    boxes = torch.cat([low, low + side / 3], dim=1).floor()
    target = 16 if tiny else 224
    pair = [resized(pixels.to(d), boxes.to(d), target, interpolation) for d in ("cpu", device)]  # type: ignore[arg-type]
    figure("largest difference, grey levels of 255", levels(*pair), at_most=1)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_gives_pillows_views(
    name: str, pixels: Tensor, device: str, figure: Figure, tiny: bool
) -> None:
    view = AUGMENTATIONS[name](16 if tiny else 224, 1.0)
    pictures = [Image.fromarray(one) for one in pixels.numpy()]
    with forked(0):
        numbers = [view.draw(picture.size) for picture in pictures]
    expected = [view.change(view.cut(p, row), row) for p, row in zip(pictures, numbers, strict=True)]
    there = torch.tensor(numbers).to(device)
    found = view.change_batch(view.cut_batch(pixels.to(device), there), there).permute(0, 2, 3, 1).cpu()
    far = (found - torch.from_numpy(np.stack(expected)).float()).abs()
    figure("mean difference from Pillow, grey levels of 255", float(far.mean()), at_most=0.5)
    figure("of the worst hundredth", float(far.flatten().kthvalue(int(far.numel() * 0.99)).values), at_most=3)
