"""MoCo v2: a momentum encoder and a queue of keys (arXiv:1911.05722, arXiv:2003.04297)."""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
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
    """Query encoder by gradient, key encoder by momentum, negatives from the queue; one direction or both."""

    queued: ClassVar[bool] = True

    def __init__(self, trunk: nn.Module, settings: Settings) -> None:
        super().__init__(Encoder(trunk, (), settings.projection), settings)
        group_batch_norm(self.encoder, settings.groups)
        self.key_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.queue = KeyQueue(settings.dim, settings.queue)

    @classmethod
    def keys(cls, settings: Settings) -> int:
        """Return how many keys each picture gives the queue: with a symmetric loss, those of both crops."""
        return 2 if settings.symmetric else 1

    @property
    def views(self) -> float:
        """Forward passes of the trunk an image: a query and a key in each direction."""
        return 2.0 * self.keys(self.settings)

    def forward(self, views: list[Tensor]) -> dict[str, Tensor]:
        """One step's loss from two views, each [N, 3, H, W].

        With a symmetric loss each view is the query of one direction and the key of the other. Both
        directions meet the queue as it was before the step, and both views' keys enter it, the first view's
        first, as in the authors' demo (facebookresearch/moco colab/moco_cifar10_demo.ipynb @f736491).
        """
        directions = [views, views[::-1]][: self.keys(self.settings)]
        queries = self.encoder.each([x_q for x_q, _ in directions])
        keys = shuffled_keys(self.key_encoder, [x_k for _, x_k in directions])  # of all processes
        queue, tau = self.queue.keys.clone(), self.settings.temperature
        losses = [info_nce(q, own_part(k), queue, tau) for [q], [k] in zip(queries, keys, strict=True)]
        self.queue.enqueue(torch.cat([k for [k] in reversed(keys)]))
        return {"loss": torch.stack(losses).mean()}

    def after_step(self) -> None:
        """The key encoder follows."""
        follow(self.key_encoder, self.encoder, self.settings.ema)
