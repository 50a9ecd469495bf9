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
        positive = torch.einsum("nc,nc->n", q, k.detach())  # [N]
        negative = torch.einsum("nc,ck->nk", q, queue.detach())  # [N, K]
        logits = torch.cat([positive[:, None], negative], dim=1) / temperature  # [N, 1+K]
        target = torch.zeros(len(q), dtype=torch.long, device=q.device)  # column 0
        return F.cross_entropy(logits, target)
