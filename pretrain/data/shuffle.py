"""Keys in another order than queries, so that their batch norm sees other pictures (MoCo, sec. 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hsa_bench.core.processes import gathered, own_part


@torch.no_grad()
def shuffled_keys(encoder: nn.Module, pictures: Tensor) -> list[Tensor]:
    """Encode the pictures of all processes in one random order and put the keys back in theirs.

    The order is drawn from torch's global CPU generator, which the loop seeds alike on all processes.

    Args:
        encoder: With grouped batch norm; gives one embedding a level.
        pictures: This process's part, [n, 3, H, W].

    Returns:
        Keys of each level, of all processes, [N, C], without gradient.
    """
    everyone = gathered(pictures)
    order = torch.randperm(len(everyone)).to(pictures.device)
    shuffled = own_part(everyone[order]).contiguous(memory_format=torch.channels_last)
    return [gathered(keys)[order.argsort()] for keys in encoder(shuffled)]
