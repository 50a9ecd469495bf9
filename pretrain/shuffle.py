"""Keys in another order than queries, so that their batch norm sees other pictures (MoCo, sec. 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def shuffled_keys(encoder: nn.Module, pictures: Tensor) -> list[Tensor]:
    """Encode pictures in a random order and put the keys back in theirs.

    Args:
        encoder: With grouped batch norm; gives one embedding a level.
        pictures: [N, 3, H, W].

    Returns:
        Keys of each level, [N, C], without gradient.
    """
    order = torch.randperm(len(pictures), device=pictures.device)
    return [keys[order.argsort()] for keys in encoder(pictures[order])]
