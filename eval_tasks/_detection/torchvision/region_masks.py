"""Masks of regions: their loss, and how they are put back into the image (arXiv:1703.06870, sec. 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align


def mask_loss(
    logits: Tensor,
    boxes: Sequence[Tensor],
    masks: Sequence[Tensor],
    matched: Sequence[Tensor],
    labels: Tensor,
) -> Tensor:
    """Binary cross-entropy on the mask of the right class.

    Args:
        logits: Of all regions, [R, classes, M, M].
        boxes: The regions of each image, px, [r, 4].
        masks: The objects of each image, uint8, [n, H, W].
        matched: The object of each region, [r].
        labels: Class of each region, [R], a column of `logits`.

    Returns:
        The mean over all cells; 0, with a gradient of 0, where there is no region.
    """
    if not len(labels):
        return logits.sum() * 0
    side = logits.shape[-1]
    wanted = [
        roi_align(own[:, None].float(), torch.cat([m[:, None].to(box), box], dim=1), side, aligned=True)
        for own, box, m in zip(masks, boxes, matched, strict=True)
        if len(box)
    ]
    inked = (torch.cat(wanted)[:, 0] >= 0.5).float()  # [R, M, M]
    own = logits[torch.arange(len(labels), device=labels.device), labels]
    return F.binary_cross_entropy_with_logits(own, inked)


def pasted(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks of regions at the size of the image.

    Args:
        masks: Probabilities inside each box, [n, M, M].
        boxes: Where, px, [n, 4].
        size: Height and width of the image, px.

    Returns:
        Pixels of at least one half, interpolated between the centres of the cells; bool, [n, H, W].
    """
    whole = torch.zeros(len(masks), *size, dtype=torch.bool, device=masks.device)
    for mask, box, out in zip(masks, boxes, whole, strict=True):
        x0, y0, x1, y1 = box.tolist()
        left, top = max(int(x0) - 1, 0), max(int(y0) - 1, 0)
        right, bottom = min(int(x1) + 2, size[1]), min(int(y1) + 2, size[0])
        x = _within(left, right, x0, x1, mask)
        y = _within(top, bottom, y0, y1, mask)
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)  # [h, w, 2], x first
        ink = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
        out[top:bottom, left:right] = ink >= 0.5
    return whole


def _within(start: int, stop: int, low: float, high: float, like: Tensor) -> Tensor:
    """Centres of pixels `start` to `stop`, from -1 at `low` to 1 at `high`."""
    centres = torch.arange(start, stop, device=like.device, dtype=like.dtype) + 0.5
    return (centres - low) / (high - low) * 2 - 1
