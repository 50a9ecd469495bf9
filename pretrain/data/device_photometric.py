"""Pillow's changes of colour and its blur on batches, with parameters for each picture, on any device.

Pictures are float32 [B, 3, H, W] of whole numbers from 0 to 255. All is done element by element, or summed as
whole numbers, so that neither the device nor the rest of a batch changes a pixel. Against Pillow on the same
numbers: blends (brightness, contrast, saturation) and grey are equal; a shifted hue and a blur differ by at
most one grey level of 255, in the mean by less than 0.01.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from hsa_bench.core.data.device_resize import over, where

HUE = 3
"""Index of hue among the four changes."""

LARGEST_RADIUS = 2.0
"""Largest radius of a blur, px."""
REACH = 2
"""Pixels that the boxes of the largest blur reach to each side."""
SHARES = 2**22
"""Integer that stands for a weight of 1; 255 times it fits in 32 bits."""


def luma(x: Tensor) -> Tensor:
    """Compute Pillow's grey levels, [B, 1, H, W]."""
    red, green, blue = x.split(1, dim=1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536).floor()


def jittered(x: Tensor, numbers: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue in each picture's own order.

    Hue is shifted once for all, between the blends that come before and those that come after it.

    Args:
        x: [B, 3, H, W].
        numbers: What `ColourJitter` draws, [B, 8]: order, three factors, shift of hue.
    """
    order, factors = numbers[:, :4].long(), numbers[:, 4:7]
    hue_at = (order == HUE).long().argmax(1)  # [B]; 0 where there is no change at all
    for place in range(3):
        x = blended(x, torch.where(place < hue_at, order[:, place], -1), factors)
    x = where(order[:, 0] >= 0, turned(x, numbers[:, 7]), x)
    for place in range(1, 4):
        x = blended(x, torch.where(place > hue_at, order[:, place], -1), factors)
    return x


def blended(x: Tensor, which: Tensor, factors: Tensor) -> Tensor:
    """Blend each picture with black (0), its mean grey (1) or its own grey (2), or not at all (-1)."""
    grey = luma(x)
    base = torch.where(_wide(which) == 2, grey, torch.where(_wide(which) == 1, _mean(grey), 0))
    factor = torch.where(which < 0, 1, factors.gather(1, which.clamp(min=0)[:, None])[:, 0])
    return (base + _wide(factor) * (x - base)).clamp(0, 255).floor()


def relit(x: Tensor, factors: Tensor) -> Tensor:
    """Change light as `Digits` does, without rounding between the changes: within a level of it.

    Args:
        x: [B, 3, H, W].
        factors: Of brightness, contrast and saturation, [B, 3].
    """
    brightness, contrast, saturation = (_wide(factor) for factor in factors.unbind(1))
    x = x * brightness
    red, green, blue = x.split(1, dim=1)
    grey = red * 0.299 + green * 0.587 + blue * 0.114
    mean = _mean((grey * 256).round()) / 256
    x = saturation * x + (1 - saturation) * grey
    return (contrast * x + (1 - contrast) * mean).clamp(0, 255).round()


def _mean(grey: Tensor) -> Tensor:
    """Average whole numbers, rounded, a half upwards, [B, 1, 1, 1]: exact in any order of summing."""
    count = grey[0].numel()
    return ((2 * grey.long().sum((1, 2, 3), keepdim=True) + count) // (2 * count)).float()


def _wide(numbers: Tensor) -> Tensor:
    return numbers[:, None, None, None]


def turned(x: Tensor, levels: Tensor) -> Tensor:
    """Shift hue by some levels of Pillow's 256, [B], through its HSV of 8 bits."""
    most, least = x.amax(1), x.amin(1)
    span = most - least  # [B, H, W]
    red, green, blue = x.unbind(1)
    sector = torch.where(red == most, 0, torch.where(green == most, 1, 2))
    ahead = torch.where(sector == 0, green - blue, torch.where(sector == 1, blue - red, red - green))
    hues, saturations = _hsv_tables(x.device)
    hue = hues[((sector * 511 + ahead + 255) * 256 + span).long()]
    saturation = saturations[(span * 256 + most).long()]
    hue = (hue + levels[:, None, None]) % 256
    turn = over(hue * 6, 255)  # of the circle, in sixths
    sixth = torch.stack([turn + ahead for ahead in (5, 3, 1)], dim=1) % 6  # [B, 3, H, W]
    share = torch.minimum(sixth, 4 - sixth).clamp(0, 1)
    return (most[:, None] * (1 - over(saturation, 255)[:, None] * share) + 0.5).floor()


@cache
def _hsv_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Tabulate hue by (brightest channel, difference of the others, span), saturation by (span, most)."""
    ahead = np.arange(-255, 256)[:, None].astype(np.float32)  # [511, 1]
    span = np.arange(256)[None].astype(np.float32)  # [1, 256]
    with np.errstate(all="ignore"):
        first = np.where(ahead >= 0, np.float32(1), (span + ahead) / span)
        second = np.where(ahead >= 0, (span - ahead) / span, np.float32(1))
        sectors = [first - second, *(k + first.astype(np.float64) - second for k in (2.0, 4.0))]
        rounded = [h.astype(np.float32).astype(np.float64) for h in sectors]  # where C has a float
        turns = [np.fmod(h / 6.0 + 1.0, 1.0).astype(np.float32) for h in rounded]
        hue = np.nan_to_num(np.stack(turns).astype(np.float64) * 255.0)
        saturation = np.nan_to_num((span.T / span).astype(np.float64) * 255.0)
    hue[:, :, 0], saturation[0] = 0, 0
    tables = (np.floor(table.clip(0, 255)).astype(np.float32).ravel() for table in (hue, saturation))
    hues, saturations = (torch.from_numpy(table).to(device) for table in tables)
    return hues, saturations


def blurred(x: Tensor, radii: Tensor) -> Tensor:
    """Blur as Pillow's GaussianBlur does, by three box blurs in each direction, rounded after each.

    Args:
        x: [B, 3, H, W].
        radii: Of each picture, px, [B], at most `LARGEST_RADIUS`; 0 leaves it as it is.
    """
    variance = over(radii * radii, 3)
    core = (((12 * variance + 1).sqrt() - 1) / 2).floor()
    part = (2 * core + 1) * (core * (core + 1) - 3 * variance) / (6 * (variance - (core + 1) ** 2))
    inner = (SHARES / (2 * (core + part) + 1)).int()
    outer = (SHARES - (2 * core.int() + 1) * inner) // 2
    offsets = torch.arange(REACH + 1, device=x.device)
    weights = torch.where(offsets <= core[:, None], inner[:, None], 0)
    weights = torch.where(offsets == core[:, None] + 1, outer[:, None], weights)  # [B, REACH + 1]
    levels = x.int()
    for _ in range(3):
        levels = _box_blurred(levels, weights)
    levels = levels.mT
    for _ in range(3):
        levels = _box_blurred(levels, weights)
    return levels.mT.float()


def _box_blurred(levels: Tensor, weights: Tensor) -> Tensor:
    """Sum each pixel and those left and right of it by weight, with the outermost repeated."""
    width = levels.shape[-1]
    ends = [levels[..., :1]] * REACH, [levels[..., -1:]] * REACH
    wide = torch.cat([*ends[0], levels, *ends[1]], dim=-1)
    total = levels * _wide(weights[:, 0])
    for offset in range(1, REACH + 1):
        both = wide[..., REACH - offset :][..., :width] + wide[..., REACH + offset :][..., :width]
        total = total + both * _wide(weights[:, offset])
    return (total + SHARES // 2) >> 22
