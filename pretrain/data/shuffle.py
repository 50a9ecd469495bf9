"""Keys in another order than queries, so that their batch norm sees other pictures (MoCo, sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hsa_bench.core.processes import gathered, own_part
from pretrain.data.to_device import to_device
from pretrain.encoder import Encoder


@torch.no_grad()
def shuffled_keys(encoder: Encoder, views: Sequence[Tensor]) -> list[list[Tensor]]:
    """Encode each view of the pictures of all processes in a random order and put the keys back in theirs.

    An order for each view, one after the other, is drawn from torch's global CPU generator, which the loop
    seeds alike on all processes.

    Args:
        encoder: With grouped batch norm; gives one embedding a level.
        views: This process's part of each, [n, 3, H, W].

    Returns:
        Of each view the keys of each level, of all processes, [N, C], without gradient.
    """
    shuffled, places = [], []
    for view in views:
        everyone = gathered(view)
        order, place = _drawn(len(everyone), view.device)
        shuffled.append(own_part(everyone[order]).contiguous(memory_format=torch.channels_last))
        places.append(place)
    encoded = zip(places, encoder.each(shuffled), strict=True)
    return [[gathered(keys)[place] for keys in levels] for place, levels in encoded]


def _drawn(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw a permutation and return it and its inverse on the device, copied without waiting for it."""
    order = torch.randperm(count)
    there, back = to_device(torch.stack([order, order.argsort()]), device)
    return there, back
