"""MoCo v2 by lightly's own parts, a peer for our step: examples/pytorch/moco.py @e8d317f, asymmetric."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class LightlyMoCo:
    """Its networks, memory bank and optimiser; it needs lightly.

    Args:
        resnet: Of torchvision; its classifier is left out.
        queue: Keys of earlier batches.
        device: Where it trains.
        bfloat16: Whether it computes in bfloat16, by autocast.
    """

    def __init__(self, resnet: Any, queue: int, device: str = "cpu", bfloat16: bool = False) -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import MoCoProjectionHead
        from lightly.models.utils import deactivate_requires_grad

        width = resnet.fc.in_features
        trunk = nn.Sequential(*list(resnet.children())[:-1], nn.Flatten())
        self.query = nn.Sequential(trunk, MoCoProjectionHead(width, width, 128)).to(device)
        self.momentum = copy.deepcopy(self.query)
        deactivate_requires_grad(self.momentum)
        self.criterion = NTXentLoss(memory_bank_size=(queue, 128)).to(device)
        self.sgd = torch.optim.SGD(self.query.parameters(), lr=0.06)
        self.kind = torch.device(device).type
        self.bfloat16 = bfloat16

    def step(self, x_query: Tensor, x_key: Tensor) -> Tensor:
        """Train on two views of the same pictures, [B, 3, S, S] each; return the loss."""
        from lightly.models.utils import update_momentum

        update_momentum(self.query, self.momentum, m=0.99)
        with torch.autocast(self.kind, torch.bfloat16, enabled=self.bfloat16):
            loss = self.criterion(self.query(x_query), self.momentum(x_key).detach())
        loss.backward()
        self.sgd.step()
        self.sgd.zero_grad()
        return loss.detach()
