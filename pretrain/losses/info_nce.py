"""InfoNCE over a queue of negatives (He et al. 2020, arXiv:1911.05722, eq. 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(q: Tensor, k: Tensor, queue: Tensor, temperature: float = 0.2) -> Tensor:
    """Pick each query's own key out of that key and the whole queue.

    Args:
        q: Queries, [N, C], unit length.
        k: Their keys, [N, C], unit length. No gradient flows into them.
        queue: Keys of earlier batches, [C, K], unit length.
        temperature: Of the softmax. MoCo v1 uses 0.07, v2 uses 0.2.

    Returns:
        The loss averaged over queries, in nats; computed in the embeddings' own precision.
    """
    with torch.autocast(q.device.type, enabled=False):
        return F.cross_entropy(*_choices(q, k, queue, temperature))


def weighted_info_nce(q: Tensor, k: Tensor, queue: Tensor, temperature: float, weights: Tensor) -> Tensor:
    """Average each query's loss times its weight.

    Args:
        q: Queries, [N, C], unit length.
        k: Their keys, [N, C], unit length.
        queue: Keys of earlier batches, [C, K], unit length.
        temperature: Of the softmax.
        weights: Of each query, [N].

    Returns:
        The weighted losses' sum over N, in nats.
    """
    with torch.autocast(q.device.type, enabled=False):
        each = F.cross_entropy(*_choices(q, k, queue, temperature), reduction="none")  # [N]
        return (weights * each).mean()


def _choices(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the logits of each query's own key and of the queue's, [N, 1+K], and the right column, [N]."""
    positive = torch.einsum("nc,nc->n", q, k.detach())  # [N]
    negative = torch.einsum("nc,ck->nk", q, queue.detach())  # [N, K]
    logits = torch.cat([positive[:, None], negative], dim=1) / temperature
    return logits, torch.zeros(len(q), dtype=torch.long, device=q.device)  # column 0
