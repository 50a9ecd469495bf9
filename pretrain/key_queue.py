"""The queue of keys: the last K of them, first in first out (MoCo, arXiv:1911.05722, sec. 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """Keys of earlier batches as columns, [C, K], unit length; random at first."""

    keys: Tensor
    pointer: Tensor

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(dim, length), dim=0))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Put a batch of keys, [N, C], in the place of the oldest ones."""
        place = (self.pointer + torch.arange(len(keys), device=keys.device)) % self.keys.shape[1]
        self.keys[:, place] = keys.T.to(self.keys.dtype)
        self.pointer.copy_((self.pointer + len(keys)) % self.keys.shape[1])
