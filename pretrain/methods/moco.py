"""MoCo v2: a momentum encoder and a queue of keys (arXiv:1911.05722, arXiv:2003.04297)."""

from __future__ import annotations

import copy
from typing import ClassVar

from torch import Tensor, nn

from hsa_bench.core.models.batch_norm import group_batch_norm
from hsa_bench.core.processes import own_part
from pretrain.contrastive import Contrastive
from pretrain.data.shuffle import shuffled_keys
from pretrain.ema import follow
from pretrain.encoder import Encoder
from pretrain.key_queue import KeyQueue
from pretrain.losses.info_nce import info_nce
from pretrain.settings import Settings


class Method(Contrastive):
    """Query encoder by gradient, key encoder by momentum, negatives from the queue."""

    queued: ClassVar[bool] = True

    def __init__(self, trunk: nn.Module, settings: Settings) -> None:
        super().__init__(Encoder(trunk, (), settings.projection), settings)
        group_batch_norm(self.encoder, settings.groups)
        self.key_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.queue = KeyQueue(settings.dim, settings.queue)

    def forward(self, views: list[Tensor]) -> dict[str, Tensor]:
        """One step's loss from two views, each [N, 3, H, W]."""
        x_q, x_k = views
        [q] = self.encoder(x_q)
        [[k]] = shuffled_keys(self.key_encoder, [x_k])  # of all processes
        loss = info_nce(q, own_part(k), self.queue.keys.clone(), self.settings.temperature)
        self.queue.enqueue(k)
        return {"loss": loss}

    def after_step(self) -> None:
        """The key encoder follows."""
        follow(self.key_encoder, self.encoder, self.settings.ema)
