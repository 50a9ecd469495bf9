"""NT-Xent, the normalised temperature-scaled cross-entropy (Chen et al. 2020, arXiv:2002.05709, eq. 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hsa_bench.core.processes import gathered_with_gradient, rank


def nt_xent(z0: Tensor, z1: Tensor, temperature: float = 0.1) -> Tensor:
    """Pick each view's partner out of all other views in the batch, those of other processes included.

    Args:
        z0: First views, [n, C], unit length; with several processes, this one's part of the batch.
        z1: Second views of the same pictures, [n, C], unit length.
        temperature: Of the softmax.

    Returns:
        The loss averaged over this process's 2n views, in nats. Gradients flow into both views and all
        negatives.
    """
    with torch.autocast(z0.device.type, enabled=False):
        first, second = gathered_with_gradient(z0), gathered_with_gradient(z1)
        everyone = torch.cat([first, second])  # [2N, C]
        here = rank() * len(z0) + torch.arange(len(z0), device=z0.device)
        itself = torch.cat([here, here + len(first)])  # where our own views stand among everyone's
        partner = torch.cat([here + len(first), here])
        similarity = torch.cat([z0, z1]) @ everyone.T / temperature  # [2n, 2N]
        similarity = similarity.scatter(1, itself[:, None], -torch.inf)
        return F.cross_entropy(similarity, partner)
