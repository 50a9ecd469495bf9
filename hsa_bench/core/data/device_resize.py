"""Pillow's crop and resize as products with matrices, a box for each picture of a batch, on any device.

Weights are whole multiples of 2^-15, so that every sum is exact: neither the device nor the rest of a batch
changes a pixel. Against Pillow, whose weights are multiples of 2^-22, bilinear differs by at most one grey
level of 255, in the mean by less than 0.1. So does bicubic, by at most two, where it overshoots neither black
nor white: what is beyond is cut off after each direction, and Pillow begins with the cheaper one, this with
the horizontal.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from hsa_bench.core.models.precision import computing_in

Interpolation = Literal["bilinear", "bicubic"]

UNIT = 2.0**15
"""Integer that stands for a weight of 1."""


def planes(pictures: Tensor) -> Tensor:
    """Convert uint8 [B, H, W, 3] to float32 [B, 3, H, W], 0 to 255, the layout of all steps on a device."""
    return pictures.permute(0, 3, 1, 2).float().contiguous()


def over(x: Tensor, divisor: float) -> Tensor:
    """Divide, rounding once on every device: CUDA multiplies by the rounded reciprocal of a plain number."""
    return x / x.new_full((), divisor)


def where(chosen: Tensor, changed: Tensor, x: Tensor) -> Tensor:
    """Take a picture of `changed` where its entry of `chosen`, [B], is not zero, and of `x` elsewhere."""
    return torch.where(chosen[:, None, None, None] != 0, changed, x)


def resized(
    pictures: Tensor, boxes: Tensor, side: int, interpolation: Interpolation, beyond: bool = False
) -> Tensor:
    """Cut a box out of each picture and resize it to a square, with antialiasing.

    Args:
        pictures: uint8 [B, H, W, 3].
        boxes: Left, top, right, bottom of each, px, [B, 4], on the same device.
        side: Of the square, px.
        interpolation: As Pillow has it.
        beyond: Whether pixels beyond the box count at its borders, as in `Image.resize(box=…)`; not so after
            `Image.crop`.

    Returns:
        float32 [B, 3, S, S], whole numbers from 0 to 255.
    """
    left, top, right, bottom = boxes.unbind(1)
    height, width = pictures.shape[1:3]
    across = _weights(left, right, width, side, interpolation, beyond)  # [B, S, W]
    down = _weights(top, bottom, height, side, interpolation, beyond)  # [B, S, H]
    with computing_in("float32", pictures.device):  # whatever the network around it computes in
        rows = planes(pictures).flatten(1, 2) @ across.mT  # [B, 3 x H, S]
        return _levels(down[:, None] @ _levels(rows).unflatten(1, (3, height)))


def _weights(
    low: Tensor, high: Tensor, length: int, side: int, interpolation: Interpolation, beyond: bool
) -> Tensor:
    """Weigh each of `length` pixels for each of `side` new ones, [B, side, length]; 1 is `UNIT`."""
    scale = over(high - low, side)[:, None, None]
    places = torch.arange(side, device=low.device) + 0.5
    pixels = torch.arange(length, device=low.device) + 0.5
    centres = low[:, None, None] + places[:, None] * scale  # [B, S, 1]
    weights = FILTERS[interpolation]((pixels - centres).abs() / scale.clamp(min=1))  # [B, S, L]
    if not beyond:
        inside = (pixels > low[:, None]) & (pixels < high[:, None])  # [B, L]
        weights = weights * inside[:, None]
    whole = (weights * UNIT / 2).round()
    return (whole / whole.sum(2, keepdim=True) * UNIT).round()


def _bilinear(x: Tensor) -> Tensor:
    """Weigh distances, px, by Pillow's triangle."""
    return (1 - x).clamp(min=0)


def _bicubic(x: Tensor) -> Tensor:
    """Weigh distances, px, by Pillow's cubic, a = -0.5."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


FILTERS = {"bilinear": _bilinear, "bicubic": _bicubic}


def _levels(sums: Tensor) -> Tensor:
    """Round weighted sums to grey levels, a half upwards, as Pillow does after each direction."""
    return (sums / UNIT + 0.5).floor().clamp(0, 255)
