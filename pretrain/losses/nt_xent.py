"""NT-Xent, the normalised temperature-scaled cross-entropy (Chen et al. 2020, arXiv:2002.05709, eq. 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(z0: Tensor, z1: Tensor, temperature: float = 0.1) -> Tensor:
    """Pick each view's partner out of all other views in the batch.

    Args:
        z0: First views, [N, C], unit length.
        z1: Second views of the same pictures, [N, C], unit length.
        temperature: Of the softmax.

    Returns:
        The loss averaged over the 2N views, in nats. Gradients flow into both views and all negatives.
    """
    n = len(z0)
    z = torch.cat([z0, z1])  # [2N, C]
    similarity = z @ z.T / temperature  # [2N, 2N]
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    similarity = similarity.masked_fill(itself, -torch.inf)
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(similarity, partner)
